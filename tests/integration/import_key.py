#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rotation of the import key, with two workers: the new one is offered by
both at once, the one before opens what was sealed for it until it is
dropped, and whatever breaks a rotation off leaves a server that works."""
import json
import os
import secrets
import signal
import subprocess
import threading
import time

import scenario
from scenario import BIN, Device, until

import keyfile  # of tests/vectors, which scenario has added to the path

from cryptography.hazmat.primitives import serialization


class ImportKey(scenario.Case):
    def show(self):
        """A worker of SoftHSM that lost sight of a key restarts first."""
        def shown():
            done = self.server.try_ctl("import-key", "show", "--json")
            if "TOKEN_UNAVAILABLE" in done.stdout:
                return None
            self.assertEqual(done.returncode, 0, done.stdout)
            return json.loads(done.stdout)
        return until(shown, "import key")

    def rotate(self):
        return self.server.ctl("import-key", "rotate")

    def public(self, shown=None):
        return serialization.load_pem_public_key(
            (shown or self.show())["pem"].encode())

    def pem(self, shown):
        path = "%s/%s.pem" % (self.server.dir, secrets.token_hex(4))
        with open(path, "w") as f:
            f.write(shown["pem"])
        return path

    def file(self, public, n=1):
        """A key file for that import key, and its devices."""
        made = [Device(self.server, "1.0.4") for _ in range(n)]
        path = "%s/%s.keys" % (self.server.dir, secrets.token_hex(4))
        with open(path, "wb") as f:
            f.write(keyfile.make(public, [dict(
                join_eui=d.join_eui.hex(), dev_eui=d.dev_eui.hex(),
                mac_version="1.0.4", nwk=None, app=d.app_key.hex(),
                meta=[["net-id", "000013"], ["as-id", "as.example.org"]])
                for d in made]))
        return path, made

    def joins(self, device, dev_nonce=1):
        with self.server.tls("ns") as ns:
            members = device.members(dev_nonce)
            answer = ns.call("join", **members)
        self.assertEqual(device.judge(dev_nonce, members, answer), [])

    def import_works(self, public):
        path, (device,) = self.file(public)
        # Several times, so that every worker has it.
        for outcome in "created", "same", "same":
            self.assertEqual(self.server.ctl("import", path)[outcome], 1)
        self.joins(device)

    def import_refused(self, public):
        path, _ = self.file(public)
        for _ in range(3):
            done = self.server.try_ctl("import", path)
            self.assertEqual(done.returncode, 1)
            self.assertIn("sealed for import key %s; this token has %s" % (
                keyfile.fingerprint(public), self.show()["fingerprint"]),
                done.stderr)

    def test_rotate(self):
        first = self.show()
        self.assertNotIn("previous_fingerprint", first)
        second = self.rotate()
        self.assertNotEqual(second["fingerprint"], first["fingerprint"])
        self.assertEqual(second["previous_fingerprint"], first["fingerprint"])
        for _ in range(6):  # whichever worker answers
            self.assertEqual(self.show(), second)
        event = self.server.audit()[-1]
        self.assertEqual((event["event"], event["text"]), (
            "import_key_rotated", "new=%s previous=%s" % (
                second["fingerprint"], first["fingerprint"])))
        self.import_works(self.public(first))
        self.import_works(self.public(second))
        self.serves()  # a key sealed by itself
        third = self.rotate()
        self.import_refused(self.public(first))
        self.import_works(self.public(second))
        self.import_works(self.public(third))
        dropped = self.server.ctl("import-key", "drop-old")
        self.assertEqual(dropped["fingerprint"], third["fingerprint"])
        self.assertNotIn("previous_fingerprint", dropped)
        event = self.server.audit()[-1]
        self.assertEqual((event["event"], event["text"]), (
            "import_key_dropped", "dropped=" + second["fingerprint"]))
        self.import_refused(self.public(second))
        self.import_works(self.public(third))
        done = self.server.try_ctl("import-key", "drop-old")
        self.assertEqual(done.returncode, 4)
        # It is all in token and store.
        self.server.stop()
        self.server.start()
        self.assertEqual(self.show(), dropped)
        self.import_works(self.public(third))

    def test_pinned(self):
        """--import-key goes on being a safeguard, and says what happened."""
        first = self.show()
        path = self.pem(first)
        self.rotate()
        device = Device(self.server, "1.0.4")
        key = self.server.dir + "/pinned.key"
        with open(key, "w") as f:
            f.write(device.app_key.hex())
        os.chmod(key, 0o600)
        words = ("device", "set", *device.words, "--app-key", "@" + key,
                 "--import-key")
        done = self.server.try_ctl(*words, path)
        self.assertEqual(done.returncode, 5)
        self.assertIn("its import key was rotated since %s was written, to %s"
                      % (path, self.show()["fingerprint"]), done.stderr)
        self.server.ctl(*words, self.pem(self.show()))
        self.rotate()
        done = self.server.try_ctl(*words, path)
        self.assertEqual(done.returncode, 5)
        self.assertIn("the server's import key is not the one in " + path,
                      done.stderr)

    def test_under_way(self):
        """A file sealed for the old key goes on; joins do, too."""
        path, made = self.file(self.public(), 400)
        device = self.server.device("1.0.4")
        running = subprocess.Popen(
            [BIN + "/joineryctl", "import", path, "--json"], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.server.env)
        until(lambda: self.server.lines("call=import_batch"), "begun")
        rotating = threading.Thread(target=self.rotate)
        rotating.start()
        self.joins(device, 1)
        rotating.join()
        out, err = running.communicate()
        self.assertEqual(running.returncode, 0, err)
        self.assertEqual(json.loads(out)["created"], 400)
        self.server.stop()
        self.server.start()
        for done in made[0], made[-1]:
            self.joins(done)

    def test_at_once(self):
        """Of several at once one is the last; the others changed nothing."""
        before = self.show()["fingerprint"]
        done = []
        threads = [threading.Thread(target=lambda: done.append(
            self.server.try_ctl("import-key", "rotate", "--timeout", "60000",
                                "--json"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in done:
            if one.returncode != 0:
                self.assertTrue("CONFLICT" in one.stdout or
                                "TOKEN_" in one.stdout, one.stdout)
        good = [json.loads(d.stdout) for d in done if d.returncode == 0]
        shown = self.show()
        self.assertIn(shown["fingerprint"], [g["fingerprint"] for g in good])
        self.assertNotEqual(shown["fingerprint"], before)
        self.import_works(self.public(shown))
        self.server.ctl("audit", "verify")

    def test_killed(self):
        """Killed at any time: the one that was offered still is, or the new
        one; and the next rotation goes through."""
        for wait_s in 0.005, 0.05, 0.2, 0.4:
            before = self.show()["fingerprint"]
            running = subprocess.Popen(
                [BIN + "/joineryctl", "import-key", "rotate"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=self.server.env)
            time.sleep(wait_s)
            for worker in self.server.status().workers:
                os.kill(worker.pid, signal.SIGKILL)
            running.communicate()
            self.server.wait_ready()
            shown = self.show()
            self.assertIn(before, (shown["fingerprint"],
                                   shown.get("previous_fingerprint")))
            self.import_works(self.public(shown))
        self.assertEqual(self.rotate()["previous_fingerprint"],
                         shown["fingerprint"])
        self.import_works(self.public())

    def tearDown(self):
        super().tearDown()
        self.server.try_ctl("import-key", "drop-old")


scenario.main()
