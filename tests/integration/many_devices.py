#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many devices at once: export in both forms, device delete --file, and what
becomes of them when the server goes away meanwhile."""
import csv
import fcntl
import io
import json
import os
import pty
import resource
import signal
import subprocess
import time

import scenario
from scenario import BIN, JOIN_EUI, NET_ID, pb, until

COUNT = 300
KEY = "5d3c0f7a96e1b2488a4d10c97be6f351"
DONE, REFUSED, USAGE, CONNECT, NONE, LOCAL = range(6)


class ManyDevices(scenario.Case):
    def setUp(self):
        """COUNT devices, every third one of another application."""
        with self.server.admin() as admin:
            for n in range(COUNT):
                self.add(admin, n)

    def tearDown(self):
        done = self.run_ctl("device", "delete", "--file", "-", "--yes",
                            stdin=self.run_ctl("export").stdout)
        self.assertEqual(done.returncode, DONE, done)
        self.assertEqual(self.devices(), [])
        super().tearDown()

    def add(self, admin, n):
        admin.call(
            "device_set",
            id=pb.DeviceId(join_eui=JOIN_EUI,
                           dev_eui=(n * 7919 + 1).to_bytes(8, "big")),
            settings=pb.DeviceSettings(
                app="meters" if n % 3 else "tanks", name='no. %d, "x"' % n,
                net_ids=[NET_ID, 0x600001], mac_version=pb.MAC_1_0_4,
                as_id="as.example.org", resets_join_nonces=n % 2 == 0))

    def run_ctl(self, *words, stdin=""):
        """Without a terminal, whoever runs the tests."""
        return subprocess.run(
            [BIN + "/joineryctl", *words], input=stdin, capture_output=True,
            text=True, env=self.server.env, start_new_session=True)

    def devices(self, *words):
        return self.server.ctl("device", "list", *words)["devices"]

    def exported(self, *words):
        done = self.run_ctl("export", *words)
        self.assertEqual((done.returncode, done.stderr), (DONE, ""))
        return done.stdout

    def file(self, name, text):
        path = "%s/%s" % (self.server.dir, name)
        with open(path, "w", newline="") as f:
            f.write(text)
        return path

    # ---- export ----

    def test_json_lines(self):
        """They are the objects of "device list --json"."""
        words = ("--join-eui", JOIN_EUI.hex(), "--dev-eui", "00" * 7 + "01")
        self.server.ctl("device", "set", *words, "--app-key", "-", stdin=KEY)
        for app in (), ("--app", "tanks"), ("--app", "none"):
            text = self.exported(*app)
            rows = [json.loads(line) for line in text.splitlines()]
            self.assertEqual(rows, self.devices(*app))
            self.assertEqual(len(rows), {(): COUNT}.get(
                app, COUNT // 3 if "tanks" in app else 0))
            self.assertNotIn(KEY, text)
        self.assertIn('"has_app_key":true', self.exported())

    def test_csv(self):
        text = self.run_ctl("export", "--format", "csv", "--out",
                            self.server.dir + "/all.csv")
        self.assertEqual(text.stdout, "%d devices exported\n" % COUNT)
        with open(self.server.dir + "/all.csv", newline="") as f:
            self.assertEqual(os.fstat(f.fileno()).st_mode & 0o7777, 0o600)
            text = f.read()
        self.assertEqual(text.count("\r\n"), text.count("\n"))
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(len(rows), COUNT)
        for row, device in zip(rows, self.devices()):
            settings = device["settings"]
            self.assertEqual(row["dev_eui"], device["id"]["dev_eui"])
            self.assertEqual(row["join_eui"], JOIN_EUI.hex())
            for name in "app", "name", "mac_version", "as_id", "roaming":
                self.assertEqual(row[name], settings[name])
            self.assertEqual(row["net_ids"], "000013 600001")
            self.assertEqual(row["resets_join_nonces"],
                             str(settings["resets_join_nonces"]).lower())
            self.assertEqual(row["created_ms"], str(device["created_ms"]))

    def test_disk_full(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN + "/joineryctl", "export"], stdout=full,
                                  stderr=subprocess.PIPE, text=True,
                                  env=self.server.env)
        self.assertEqual(done.returncode, LOCAL, done)
        self.assertIn("No space left", done.stderr)
        path = self.file("kept.jsonl", "as it was")

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        done = subprocess.run(
            [BIN + "/joineryctl", "export", "--out", path],
            capture_output=True, text=True, env=self.server.env,
            preexec_fn=small_files)
        self.assertEqual((done.returncode, done.stdout), (LOCAL, ""))
        self.assertIn("File too large", done.stderr)
        with open(path) as f:
            self.assertEqual(f.read(), "as it was")
        self.assertEqual([name for name in os.listdir(self.server.dir)
                          if name.startswith("kept.jsonl.")], [])

    def slow_export(self):
        """One that waits, with a page or two printed, until it is read."""
        process = subprocess.Popen(
            [BIN + "/joineryctl", "export"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, bufsize=0, env=self.server.env)
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        return process, process.stdout.read(10)

    def rest(self, process, first):
        out, errors = process.communicate()
        return (first + out).decode(), errors.decode()

    def test_server_restarts(self):
        wanted = self.exported()
        process, first = self.slow_export()
        self.server.stop()
        self.server.start()
        text, errors = self.rest(process, first)
        self.assertEqual(process.returncode, DONE, errors)
        self.assertEqual(text, wanted)
        self.assertIn("trying again", errors)

    def test_server_stays_away(self):
        process, first = self.slow_export()
        self.server.stop()
        text, errors = self.rest(process, first)
        self.server.start()
        self.assertEqual(process.returncode, CONNECT, errors)
        self.assertIn("it is not complete", errors)
        self.assertTrue(self.exported().startswith(text))

    # ---- delete ----

    def test_delete_forms(self):
        """What export writes; the other application's devices stay."""
        left = self.devices("--app", "meters")
        path = self.file("tanks.csv", self.exported(
            "--app", "tanks", "--format", "csv"))
        done = self.run_ctl("device", "delete", "--file", path, "--yes")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (
            DONE, "%d deleted, 0 refused, 0 left\n" % (COUNT // 3), ""))
        self.assertEqual(self.devices(), left)
        lines = ["%s %s  # %s" % (d["id"]["join_eui"], d["id"]["dev_eui"],
                                  d["settings"]["name"]) for d in left]
        lines[1:1] = ["nonsense", lines[0].replace("0", "1")]
        done = self.run_ctl("device", "delete", "--file", "-", "--yes",
                            "--json", stdin="\n".join(lines[:50]))
        self.assertEqual(done.returncode, REFUSED, done)
        answer = json.loads(done.stdout)
        self.assertEqual([(r["line"], r["code"]) for r in answer["refused"]],
                         [(2, "LOCAL"), (3, "UNKNOWN_DEVICE")])
        self.assertEqual((answer["deleted"], answer["not_deleted"],
                          answer["not_tried"]), (48, 2, 0))
        self.assertEqual(self.devices(), left[48:])

    def test_strict(self):
        before = self.devices()
        text = self.exported()
        done = self.run_ctl("device", "delete", "--file", "-", "--yes",
                            "--strict", stdin=text + "{}\n")
        self.assertEqual(done.returncode, LOCAL, done)
        self.assertIn("line %d: " % (COUNT + 1), done.stderr)
        self.assertEqual(self.devices(), before)
        unknown = '{"join_eui":"%s","dev_eui":"%s"}\n' % ((JOIN_EUI.hex(),) * 2)
        done = self.run_ctl("device", "delete", "--file", "-", "--yes",
                            "--strict", stdin=unknown + text)
        self.assertEqual(done.returncode, REFUSED, done)
        self.assertIn("line 1: ", done.stderr)
        deleted = int(done.stdout.split()[0])
        self.assertLess(deleted, COUNT)
        self.assertEqual(self.devices(), before[deleted:])

    def at_terminal(self, typed, path):
        """joineryctl with a terminal of its own: its status, its words."""
        pid, terminal = pty.fork()
        if pid == 0:
            try:
                os.execve(BIN + "/joineryctl",
                          ["joineryctl", "device", "delete", "--file", path],
                          self.server.env)
            finally:
                os._exit(127)
        os.write(terminal, typed)
        shown = b""
        try:
            while True:
                octets = os.read(terminal, 4096)
                if not octets:
                    break
                shown += octets
        except OSError:
            pass  # how Linux says that the other end is closed
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        return status, shown.decode()

    def test_asks(self):
        path = self.file("all.jsonl", self.exported())
        for typed in b"yes\n", b"299\n", b"\n", b"\x04":
            status, shown = self.at_terminal(typed, path)
            self.assertEqual(status, LOCAL, shown)
            self.assertIn("300 devices: delete them and their root keys? "
                          "type the number: ", shown)
            self.assertIn("nothing was deleted", shown)
        done = self.run_ctl("device", "delete", "--file", path)
        self.assertEqual(done.returncode, USAGE, done)
        self.assertEqual(len(self.devices()), COUNT)
        status, shown = self.at_terminal(b"300\n", path)
        self.assertEqual(status, DONE, shown)
        self.assertIn("300 deleted, 0 refused, 0 left", shown)
        self.assertEqual(self.devices(), [])

    def test_workers_die(self):
        """Whatever the moment: the device is gone, and counted once."""
        process = subprocess.Popen(
            [BIN + "/joineryctl", "device", "delete", "--file",
             self.file("all.jsonl", self.exported()), "--yes"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.server.env)
        until(lambda: len(self.devices()) < COUNT, "the first are deleted")
        for worker in self.server.status().workers:
            os.kill(worker.pid, signal.SIGKILL)
            time.sleep(0.05)
        out, errors = process.communicate()
        self.assertEqual((process.returncode, out), (
            DONE, "%d deleted, 0 refused, 0 left\n" % COUNT), errors)
        self.server.wait_ready()
        self.assertEqual(self.devices(), [])


if __name__ == "__main__":
    scenario.main()
