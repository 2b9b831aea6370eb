#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit log: every change by an admin is one event of a chain, whichever
worker made it, and what was done to the database since is found."""
import subprocess
import threading

import scenario
from scenario import until


class Audit(scenario.Case):
    def after(self, run, *args):
        """The events that run(*args) makes."""
        events = self.server.audit()
        last = events[-1]["seq"] if events else 0
        run(*args)
        return self.server.audit("--after", str(last))

    def verify(self, *words):
        """(exit status, what it says)"""
        done = self.server.try_ctl("audit", "verify", *words)
        return done.returncode, done.stdout + done.stderr

    def made(self, event, text, *words):
        (got,) = self.after(lambda: self.server.ctl(*words))
        self.assertEqual((got["event"], got["who"], got["text"]),
                         (event, "uid 0", text))

    def test_events(self):
        """What is in the log, and that no key is."""
        device = scenario.Device(self.server, "1.0.4")
        (event,) = self.after(device.register, "--mac-version", "1.0.4")
        euis = "dev_eui=%s join_eui=%s" % (device.dev_eui.hex(),
                                           device.join_eui.hex())
        self.assertEqual(event["text"], euis + " set=app_key,mac_version")
        self.assertNotIn(device.app_key.hex(), str(self.server.audit()))
        self.made("app_set", 'name="meters" set=name,as_id', "app", "set",
                  "meters", "--as-id", "as1")
        self.made("app_delete", 'name="meters"', "app", "delete", "meters")
        self.made("peer_set", 'name="x" set=name,role,as_ids,uid,clear_keys=yes,'
                  'clear_as_ids=yes', "peer", "set", "x", "--role", "as",
                  "--as-id", "as.x", "--uid", "77", "--clear-keys", "yes")
        self.made("peer_delete", 'name="x"', "peer", "delete", "x")
        (event,) = self.after(lambda: self.server.ctl(
            "kek", "generate", "k", "--bits", "128"))
        self.assertEqual(event["event"], "kek_generate")
        self.assertRegex(event["text"], '^name="k" generation=1 bits=128 '
                         'check_value=[0-9a-f]{8} wire_label="k"$')
        self.made("kek_delete", 'name="k"', "kek", "delete", "k")
        self.made("nonces_reset", euis, "nonces", "reset", *device.words)
        self.made("device_delete", euis, "device", "delete", *device.words)
        events = self.server.audit()
        self.assertEqual([e["seq"] for e in events],
                         list(range(1, len(events) + 1)))
        self.assertEqual(self.verify(), (
            0, "%d events are good, the last is %d\n" % (
                len(events), len(events))))
        table = self.server.try_ctl("audit", "list", "--after",
                                    str(len(events) - 1)).stdout
        self.assertIn("device_delete", table)
        self.assertEqual(len(table.splitlines()), 2)

    def test_no_event(self):
        """What is refused, and what only looks."""
        def run():
            self.server.ctl("device", "list")
            self.server.ctl("audit", "verify")
            done = self.server.try_ctl("app", "delete", "nobody's")
            self.assertEqual(done.returncode, 4)
            with self.server.tls("ns") as ns:
                for call in "audit_list", "audit_verify", "import_key_rotate":
                    self.refused("NOT_ALLOWED", ns.call, call)
        self.assertEqual(self.after(run), [])
        status, said = self.verify("--after", "4000000000")
        self.assertEqual(status, 1)
        self.assertIn("the audit log ends with event", said)

    def test_at_once(self):
        """Two workers and many admins make one chain."""
        def change(name):
            with self.server.admin() as admin:
                for _ in range(10):
                    admin.call("app_set", app=dict(name=name))

        def all_at_once():
            threads = [threading.Thread(target=change, args=("at-once-%d" % i,))
                       for i in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        events = self.after(all_at_once)
        self.assertEqual(len(events), 60)
        self.assertEqual(len(set(e["mac"] for e in events)), 60)
        self.assertEqual(self.verify()[0], 0)

    # ---- damage ----

    def edit(self, change):
        """change(rows, meta), dicts of hexadecimal keys and values, while
        the server is down; and back again at the end of the test."""
        self.server.stop()
        path = self.server.dir + "/store"
        subprocess.run(["cp", "-a", path, path + ".good"], check=True)
        self.addCleanup(self.restore)
        dump = subprocess.run(["mdb_dump", "-a", path], check=True,
                              capture_output=True, text=True).stdout
        out = ""
        tables = {}
        for part in dump.split("DATA=END\n")[:-1]:
            head, _, body = part.partition("HEADER=END\n")
            name = head.split("database=")[1].split("\n")[0]
            lines = body.split()
            tables[name] = (head, list(zip(lines[::2], lines[1::2])))
        rows, meta = (dict(tables[t][1]) for t in ("audit", "meta"))
        change(rows, meta)
        for name, new in ("audit", rows), ("meta", meta):
            tables[name] = (tables[name][0], sorted(new.items()))
        for head, pairs in tables.values():
            out += head + "HEADER=END\n" + "".join(
                " %s\n %s\n" % pair for pair in pairs) + "DATA=END\n"
        subprocess.run("rm %s/*.mdb" % path, shell=True, check=True)
        subprocess.run(["mdb_load", path], check=True, input=out, text=True)
        subprocess.run("chmod 600 %s/*.mdb" % path, shell=True, check=True)
        self.server.start()

    def restore(self):
        self.server.stop()
        path = self.server.dir + "/store"
        subprocess.run(["rm", "-r", path], check=True)
        subprocess.run(["mv", path + ".good", path], check=True)
        self.server.start()

    def broken(self, change, seq, text):
        for name in "a", "b", "c":
            self.server.ctl("app", "set", name)
        last = self.server.audit()[-1]["seq"]
        self.edit(lambda rows, meta: change(rows, meta, last))
        status, said = self.verify()
        self.assertEqual(status, 1, said)
        self.assertIn("the audit log is broken at event %d: %s" % (
            last + seq, text), said)
        return last

    @staticmethod
    def key(seq):
        return "%016x" % seq

    def test_edited(self):
        def change(rows, _, last):
            name = '"b"'.encode().hex()
            assert name in rows[self.key(last - 1)]
            rows[self.key(last - 1)] = rows[self.key(last - 1)].replace(
                name, '"z"'.encode().hex())
        last = self.broken(change, -1, "its MAC is wrong")
        status, said = self.verify("--after", str(last - 1))
        self.assertEqual(status, 0, said)

    def test_missing(self):
        def change(rows, _, last):
            del rows[self.key(last - 1)]
        self.broken(change, -1, "it is missing")

    def test_swapped(self):
        def change(rows, _, last):
            a, b = self.key(last - 2), self.key(last - 1)
            rows[a], rows[b] = rows[b], rows[a]
        self.broken(change, -2, "its MAC is wrong")

    def test_cut(self):
        def change(rows, _, last):
            del rows[self.key(last)]
        self.broken(change, 0, "it is missing")

    def test_damaged(self):
        def change(rows, _, last):
            rows[self.key(last)] = rows[self.key(last)][:-2]
        self.broken(change, 0, "it cannot be read")

    def test_set_back(self):
        """The end alone: no event is written over, and it is found."""
        def change(rows, meta, last):
            meta["6175646974"] = self.key(last - 1) + rows[
                self.key(last - 1)][-32:]
        self.broken(change, 0, "it lies beyond the end of the log")
        done = self.server.try_ctl("app", "set", "d")
        self.assertEqual(done.returncode, 1)
        self.assertIn("this was done, but it is not in the audit log",
                      done.stderr)
        self.server.ctl("app", "get", "d")
        self.assertTrue(self.server.lines(
            "error audit: a change is not in the audit log", "call=app_set"))


class TokenFaults(scenario.Case):
    options = ("--workers", "1")
    mock = True

    def test_not_recorded(self):
        """The change stays; who asked is told, and the log says so."""
        before = self.server.audit()
        self.server.mock("C_SignInit*=CKR_KEY_SIZE_RANGE")
        done = self.server.try_ctl("app", "set", "one")
        self.server.mock("")
        self.assertEqual(done.returncode, 1)
        self.assertIn("TOKEN_REFUSED: this was done, but it is not in the "
                      "audit log", done.stderr)
        until(self.server.ready, "ready")
        self.server.ctl("app", "get", "one")
        self.assertEqual(self.server.audit(), before)
        self.server.ctl("app", "set", "one")
        self.assertEqual(len(self.server.audit()), len(before) + 1)
        self.server.ctl("audit", "verify")


scenario.main()
