#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Root keys wrapped in the store: devices imported so join, a database that
somebody changed is noticed, the storage key is replaced while devices join and
whatever breaks off, and chosen devices are brought into the token."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import scenario
from proto_client import Refused
from scenario import BIN, Device, until


def dump(server, table):
    """{key: value} of a table, in hexadecimal."""
    text = subprocess.run(["mdb_dump", "-s", table, server.dir + "/store"],
                          check=True, capture_output=True, text=True).stdout
    lines = text.split("HEADER=END\n")[1].split("DATA=END")[0].split()
    return dict(zip(lines[::2], lines[1::2]))


def load(server, table, rows):
    lines = ["VERSION=3", "format=bytevalue", "database=" + table,
             "type=btree", "HEADER=END"]
    for key, value in rows.items():
        lines += [" " + key, " " + value]
    subprocess.run(["mdb_load", "-s", table, server.dir + "/store"],
                   check=True, text=True,
                   input="\n".join(lines + ["DATA=END", ""]))


class Case(scenario.Case):
    def join(self, device, dev_nonce):
        with self.server.tls("ns") as ns:
            members = device.members(dev_nonce)
            answer = ns.call("join", **members)
        self.assertEqual(device.judge(dev_nonce, members, answer), [])

    def shown(self):
        return self.server.ctl("storage-key", "show")


class Custody(Case):
    options = ("--workers", "2", "--conf", 'custody = "wrapped"',
               "--conf", "resident-max = 3")

    def made(self, n, version="1.0.4"):
        return [self.server.device(version) for _ in range(n)]

    def file(self, devices):
        """A sealed key file of 1.0.4 devices."""
        path = self.server.dir + "/devices.csv"
        with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write("join_eui,dev_eui,mac_version,app_key,net_id,as_id\n")
            for d in devices:
                f.write("%s,%s,1.0.4,%s,000013,as.example.org\n" % (
                    d.join_eui.hex(), d.dev_eui.hex(), d.app_key.hex()))
        pem = self.server.dir + "/import.pem"
        with open(pem, "w") as f:
            f.write(self.server.ctl("import-key", "show")["pem"])
        keys = self.server.dir + "/devices.keys"
        self.server.ctl("seal", path, "--import-key", pem, "--out", keys)
        return keys

    def imported(self, n):
        devices = [Device(self.server, "1.0.4") for _ in range(n)]
        done = self.server.ctl("import", self.file(devices))
        self.assertEqual(done["created"], n)
        return devices

    def roots_of(self, device):
        name = (device.dev_eui + device.join_eui).hex()
        return {k: v for k, v in dump(self.server, "roots").items()
                if k.startswith(name)}

    def test_joins_and_restart(self):
        old, new = self.made(1)[0], self.made(1, "1.1.0")[0]
        self.assertEqual(self.shown()["resident_keys"], 0)
        self.assertEqual(len(self.roots_of(old)), 1)
        self.assertEqual(len(self.roots_of(new)), 2)
        for dev_nonce in 1, 2:
            self.join(old, dev_nonce)
            self.join(new, dev_nonce)
            self.server.stop()
            self.server.start()
        stored = b""
        for root, _, files in os.walk(self.server.dir + "/store"):
            for name in files:
                with open(os.path.join(root, name), "rb") as f:
                    stored += f.read()
        for key in old.app_key, new.app_key, new.nwk_key:
            self.assertNotIn(key, stored)
        self.server.ctl("device", "delete", *old.words)
        self.assertEqual(self.roots_of(old), {})
        self.assertEqual(len(self.roots_of(new)), 2)

    def test_changed_database(self):
        """Blobs swapped between two devices open at neither."""
        a, b, c = self.made(3)
        self.server.stop()
        rows = dump(self.server, "roots")
        (key_a, key_b), key_c = [
            next(k for k in rows if k.startswith(d.dev_eui.hex()))
            for d in (a, b)], next(
                k for k in rows if k.startswith(c.dev_eui.hex()))
        swapped = dict(rows)
        swapped[key_a], swapped[key_b] = rows[key_b], rows[key_a]
        load(self.server, "roots", swapped)
        self.server.start()
        with self.server.tls("ns") as ns:
            for device in a, b:
                error = self.refused("ROOT_KEY_FORGED", ns.call, "join",
                                     **device.members(1))
                self.assertIn("AppKey", str(error))
        self.join(c, 1)
        forged = sum(counter.value for worker in self.server.status().workers
                     for counter in worker.counters
                     if counter.name == "roots_forged")
        self.assertEqual(forged, 2)
        self.assertEqual(
            len(self.server.lines("error store: a root key belongs")), 2)
        # Nothing was used up: put right, they join with the same DevNonce.
        self.server.stop()
        load(self.server, "roots", rows)
        self.server.start()
        for device in a, b:
            self.join(device, 1)
            self.assertEqual(device.nonces()["join_nonce"], 1)

    def joining(self, devices, stop, failures):
        dev_nonce = 100
        while not stop.is_set():
            for device in devices:
                try:
                    self.join(device, dev_nonce)
                except Exception as e:  # pylint: disable=broad-except
                    failures.append(e)
            dev_nonce += 1

    def test_rotation(self):
        """Devices join all the while, and no key is lost."""
        devices = self.imported(600)
        before = self.shown()
        stop, failures = threading.Event(), []
        thread = threading.Thread(target=self.joining, args=(
            devices[:5], stop, failures))
        thread.start()
        try:
            done = self.server.ctl("storage-key", "rotate")
            again = self.server.ctl("storage-key", "rotate")
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreaterEqual(done["moved"], 600)
        self.assertEqual(again["moved"], done["moved"])
        after = self.shown()
        self.assertNotEqual(after["storage_key"], before["storage_key"])
        self.assertNotIn("storage_key_replaced", after)
        self.assertEqual(after["wrapped_keys"], before["wrapped_keys"])
        for value in dump(self.server, "roots").values():
            self.assertEqual(value[2:10], after["storage_key"])
        self.server.stop()
        self.server.start()
        for device in devices[::97]:
            self.join(device, 5000)

    def test_rotation_broken_off(self):
        """Client and worker die in the middle; the same command goes on."""
        devices = self.imported(3000)
        before = self.shown()
        with subprocess.Popen([BIN + "/joineryctl", "storage-key", "rotate"],
                              env=self.server.env) as client:
            until(lambda: "storage_key_replaced" in self.shown(), "a new key")
            client.send_signal(signal.SIGKILL)
        killed = [worker.pid for worker in self.server.status().workers]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(lambda: (status := self.server.ready()) and not any(
            worker.pid in killed for worker in status.workers), "new workers")
        half = self.shown()
        self.assertEqual(half["storage_key_replaced"], before["storage_key"])
        for device in devices[::499]:
            self.join(device, 1)
        self.server.kill()
        self.server.start()
        self.server.ctl("storage-key", "rotate")
        after = self.shown()
        self.assertEqual(after["storage_key"], half["storage_key"])
        self.assertNotIn("storage_key_replaced", after)
        for device in devices[::499]:
            self.join(device, 2)

    def test_rotation_of_forged(self):
        """What is not what the database says is named and stays."""
        device, other = self.made(2)
        self.server.stop()
        rows = dump(self.server, "roots")
        key = next(k for k in rows if k.startswith(device.dev_eui.hex()))
        load(self.server, "roots", {key: rows[key][:-2] + "%02x" % (
            int(rows[key][-2:], 16) ^ 1)})
        self.server.start()
        done = self.server.try_ctl("storage-key", "rotate")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(device.dev_eui.hex(), done.stderr)
        self.assertIn("storage_key_replaced", self.shown())
        self.repair(device)
        self.server.ctl("storage-key", "rotate")
        self.assertNotIn("storage_key_replaced", self.shown())
        for joining in device, other:
            self.join(joining, 1)

    def repair(self, device):
        """The same key once more, in place of what is there."""
        path = self.file([device])
        self.assertEqual(self.server.ctl("import", path)["same"], 1)
        done = self.server.ctl("import", path, "--replace")
        self.assertEqual((done["same"], done["replaced"]), (0, 1))
        done = self.server.ctl("import", path, "--replace")
        self.assertEqual((done["same"], done["replaced"]), (1, 0))

    def test_settle(self):
        """Into the token, as far as there is room."""
        devices = self.made(5)
        self.join(devices[0], 1)
        listed = self.server.dir + "/settle"
        with open(listed, "w") as f:
            for d in devices[1:3]:
                f.write("%s %s\n" % (d.join_eui.hex(), d.dev_eui.hex()))
        self.server.ctl("device", "settle", *devices[0].words)
        done = self.server.ctl("device", "settle", "--file", listed, "--yes")
        self.assertEqual((done["settled"], done["not_settled"]), (2, 0))
        refused = self.server.try_ctl("device", "settle", *devices[3].words)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("TOKEN_FULL", refused.stderr)
        self.assertEqual(self.shown()["resident_keys"], 3)
        self.assertEqual(self.roots_of(devices[0]), {})
        self.assertEqual(len(self.roots_of(devices[3])), 1)
        # Done once is done; and status says how much room there is.
        self.server.ctl("device", "settle", *devices[0].words)
        status = self.server.ctl("status")["custody"]
        self.assertEqual((status["resident_keys"], status["resident_max"]),
                         (3, 3))
        self.server.stop()
        self.server.start()
        self.assertEqual(self.shown()["resident_keys"], 3)
        for device in devices:
            self.join(device, 2)
        for device in devices[:3]:
            self.server.ctl("device", "delete", *device.words)
        self.assertEqual(self.shown()["resident_keys"], 0)

    def settled(self):
        """What the audit log says of them."""
        return [e["text"] for e in self.server.audit()
                if e["event"] == "root_keys_settled"]

    def test_settle_in_part(self):
        """The audit log has what was done before there was no more room."""
        before = self.settled()
        first, second = self.made(2)
        both = self.server.device("1.1.0")
        for device in first, second:
            self.server.ctl("device", "settle", *device.words)
        done = self.server.try_ctl("device", "settle", *both.words)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("TOKEN_FULL", done.stderr)
        self.assertEqual(self.shown()["resident_keys"], 3)
        self.assertEqual(len(self.roots_of(both)), 1)
        told = self.settled()[len(before):]
        for device, text in zip((first, second, both), told, strict=True):
            self.assertIn(device.dev_eui.hex(), text)
        # Tried again it does nothing, and there is nothing to tell.
        done = self.server.try_ctl("device", "settle", *both.words)
        self.assertIn("TOKEN_FULL", done.stderr)
        self.assertEqual(self.settled()[len(before):], told)
        for device in first, second, both:
            self.join(device, 1)
            self.server.ctl("device", "delete", *device.words)
        self.assertEqual(self.shown()["resident_keys"], 0)

    def test_settle_refused(self):
        done = self.server.try_ctl("device", "settle", "--dev-eui",
                                   "00" * 8, "--join-eui", "00" * 8)
        self.assertEqual(done.returncode, 4, done.stderr)
        done = self.server.try_ctl("device", "settle")
        self.assertEqual(done.returncode, 2)
        with self.server.admin() as admin:
            self.refused("MALFORMED_REQUEST", admin.call, "storage_move",
                         after=b"123")
            self.refused("MALFORMED_REQUEST", admin.call, "storage_finish")
        with self.server.tls("ns") as ns:
            for call in ("custody", "storage_replace", "storage_move",
                         "storage_finish", "device_settle"):
                self.refused("NOT_ALLOWED", ns.call, call)


class AtOnce(Case):
    """Several admins at once, over workers that serve several at once."""
    options = ("--workers", "2", "--conf", 'custody = "wrapped"',
               "--conf", "sessions = 2")

    def objects(self):
        """How many objects SoftHSM's token has."""
        return sum(name.endswith(".object") and name != "token.object"
                   for _, _, names in os.walk(self.server.dir + "/tokens")
                   for name in names)

    def at_once(self, calls):
        """Make them, each over a connection of its own; what was refused."""
        refused = []

        def run(name, members):
            with self.server.admin() as admin:
                try:
                    admin.call(name, **members)
                except Refused as e:
                    refused.append(e.code)

        threads = [threading.Thread(target=run, args=c) for c in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return refused

    def test_settle_twice(self):
        before = self.objects()
        devices = [self.server.device("1.0.4") for _ in range(10)]
        for device in devices:
            self.assertEqual(self.at_once(
                [("device_settle", {"id": device.id})] * 4), [])
        self.assertEqual(self.shown()["resident_keys"], len(devices))
        self.assertEqual(self.objects(), before + len(devices))
        for device in devices:
            self.join(device, 1)
            self.server.ctl("device", "delete", *device.words)
        self.assertEqual(self.objects(), before)

    def test_no_lock(self):
        """Two could be at it at once: nothing is done, and nothing lost."""
        path = self.server.dir + "/store/settle.lock"
        device = self.server.device("1.0.4")
        self.server.stop()
        if os.path.exists(path):
            os.unlink(path)
        os.symlink("elsewhere", path)
        self.server.start()
        done = self.server.try_ctl("device", "settle", *device.words)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("settle.lock", done.stderr + self.server.log())
        self.assertEqual(self.shown()["resident_keys"], 0)
        os.unlink(path)
        self.server.ctl("device", "settle", *device.words)
        self.assertEqual(self.shown()["resident_keys"], 1)
        self.server.ctl("device", "delete", *device.words)

    def test_settle_and_delete(self):
        """Whichever is faster: no key stays that no device has."""
        before = self.objects()
        for _ in range(20):
            device = self.server.device("1.0.4")
            refused = self.at_once([("device_settle", {"id": device.id}),
                                    ("device_delete", {"id": device.id})])
            self.assertLessEqual(set(refused), {"UNKNOWN_DEVICE"})
        self.assertEqual(self.shown()["resident_keys"], 0)
        self.assertEqual(self.objects(), before)


class Resident(scenario.Case):
    options = ("--conf", "resident-max = 2")

    def test_capacity(self):
        first = self.server.device("1.1.0")
        with self.assertRaises(AssertionError) as caught:
            self.server.device("1.0.4")
        self.assertIn("TOKEN_FULL", str(caught.exception))
        done = self.server.try_ctl("storage-key", "rotate")
        self.assertEqual(done.returncode, 1)
        self.assertIn("custody is resident", done.stderr)
        self.server.ctl("device", "delete", *first.words)
        self.server.device("1.0.4")


class Changed(Case):
    options = ("--conf", 'custody = "resident"')

    def test_changed_custody(self):
        """What is there stays where it is; what comes goes the new way."""
        old = self.server.device("1.0.4")
        for custody, kept in ("wrapped", "wrapped_keys"), (
                "resident", "resident_keys"):
            self.server.stop()
            self.server.change_conf("^custody = .*$",
                                    'custody = "%s"' % custody)
            self.server.start()
            before = self.shown()
            new = self.server.device("1.0.4")
            after = self.shown()
            self.assertEqual(after["custody"], custody)
            self.assertEqual(after[kept], before[kept] + 1)
            for device in old, new:
                self.join(device, before["wrapped_keys"] + 1)


class Orphans(Case):
    """Keys of the token that nothing names."""
    options = ("--workers", "2")

    def orphans(self):
        return self.server.ctl("token", "orphans")["orphans"]

    def test_older_database(self):
        self.server.device("1.1.0")
        self.assertEqual(self.orphans(), [])
        store, old = self.server.dir + "/store", self.server.dir + "/old"
        self.server.stop()
        shutil.copytree(store, old)
        self.server.start()
        lost = self.server.device("1.0.4")
        self.server.ctl("kek", "generate", "lost", "--bits", "256")
        self.assertEqual(self.orphans(), [])
        self.server.stop()
        shutil.rmtree(store)
        os.rename(old, store)
        self.server.start()
        kek, root = sorted(self.orphans(), key=lambda o: o["kind"])
        self.assertEqual((kek["kind"], root["kind"]), ("kek", "root-key"))
        self.assertEqual(root["device"], dict(
            join_eui=lost.join_eui.hex(), dev_eui=lost.dev_eui.hex()))
        shown = self.server.try_ctl("token", "orphans").stdout
        self.assertIn(root["key_id"], shown.replace(" ", ""))
        with self.server.admin() as admin:
            error = self.refused("MALFORMED_REQUEST", admin.call,
                                 "token_orphans", after=bytes(40))
            self.assertIn("40 octets", str(error))
            behind = admin.call("token_orphans",
                                after=bytes.fromhex(kek["key_id"]))
            self.assertEqual([o.kind for o in behind.orphans], ["root-key"])
        # It can be registered again, with another key.
        again = Device(self.server, "1.0.4", dev_eui=lost.dev_eui)
        again.register("--mac-version", "1.0.4", "--net-id", "000013",
                       "--as-id", "as.example.org")
        self.join(again, 1)
        self.assertEqual(len(self.orphans()), 2)


if __name__ == "__main__":
    scenario.main()
