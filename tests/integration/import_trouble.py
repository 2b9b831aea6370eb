#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Imports that meet trouble: a file of a gigabyte, a full store, a token that
is gone in the middle, workers that grow old.  What was done stays done, it is
said what is wrong, and the same command goes on."""
import json
import os
import resource
import secrets
import subprocess

import scenario
from import_case import ImportCase, entry
from proto_client import Refused, pb
from scenario import BIN, JOIN_EUI, until

import keyfile  # of tests/vectors, which scenario has added to the path

GIB = 1 << 30


class Trouble(ImportCase):
    # A token object is read only for a key that is not at hand.
    options = ("--conf", "key-cache = 16")

    def test_gigabyte(self):
        """However long a file is, little memory is enough to read it: it
        fails where it is wrong, or at its MAC."""
        self.file(self.devices("1.0.4"))
        os.truncate(self.path, GIB)  # a hole follows
        self.fails_in_little_memory(5, "line 7 is longer than 2048 octets")
        self.long_file(GIB // 16)
        self.fails_in_little_memory(1, "the file's MAC does not match")

    def long_file(self, size):
        """Devices with all settings there may be, so that few are much."""
        text = "%C3%A4" * 32
        key = "0" * 48 + ":00000000"
        line = " ".join(
            ["device", JOIN_EUI.hex(), "{:016x}", "1.1.0",
             "nwk=" + key, "app=" + key, *["net-id=000013"] * 16,
             "as-id=" + 2 * text, "ns-kek=" + text, "as-kek=" + text,
             "app-name=" + text, "device-name=" + text]) + "\n"
        count = size // len(line)
        head = keyfile.make(self.public, [
            entry(d) for d in self.devices("1.0.4")]).splitlines(True)[:4]
        with open(self.path, "wb") as f:
            f.writelines(head)
            f.writelines(line.format(n).encode() for n in range(count))
            f.write(b"end %d %s\n" % (count, b"0" * 32))

    def fails_in_little_memory(self, status, said):
        def little():
            resource.setrlimit(resource.RLIMIT_DATA, (16 << 20, 16 << 20))

        sanitized = "asan" in BIN  # which has memory of its own
        done = subprocess.run(
            [BIN + "/joineryctl", "import", self.path], env=self.server.env,
            preexec_fn=None if sanitized else little, capture_output=True,
            text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(said, done.stderr)

    # ---- the token ----

    def away(self):
        tokens = self.server.dir + "/tokens"
        os.rename(tokens, tokens + ".away")
        self.addCleanup(self.back)

    def back(self):
        tokens = self.server.dir + "/tokens"
        if os.path.exists(tokens + ".away"):
            os.rename(tokens + ".away", tokens)

    def begun(self, *options):
        """An import that is in its middle, and its devices."""
        made = self.devices(*["1.0.4"] * 200)
        self.app = "app-%s" % secrets.token_hex(4)
        self.file(made, ["app-name", self.app])
        running = self.start_import(*options)
        self.some_done(made)
        return made, running

    def completed(self, made):
        """The same command ends well, each device is there once and joins."""
        summary, stderr, status = self.run_import()
        self.assertEqual((status, stderr), (0, ""), summary)
        self.assertEqual(summary["created"] + summary["same"], len(made))
        self.imports(same=len(made))
        for device in made[::50]:
            self.joins(device)
        with self.server.admin() as admin:
            for device in made[::20]:
                got = admin.call("device_get", id=device.id).device
                self.assertTrue(got.has_app_key)

    def test_token_gone(self):
        """The import gives up, says why, and goes on when it is back."""
        made, running = self.begun("--timeout", "5000")
        self.away()
        out, err = running.communicate(timeout=60)
        self.assertNotEqual(running.returncode, 0, (out, err))
        error = json.loads(out)["error"]
        self.assertIn("the same command", error["hint"])
        self.assertIn("token", error["message"].lower())
        self.back()
        self.completed(made)

    def test_token_gone_for_a_moment(self):
        """The import waits for it."""
        made, running = self.begun()
        self.away()
        until(lambda: self.server.status().trouble, "trouble in status")
        self.back()
        out, err = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 0, (out, err))
        self.assertEqual(json.loads(out)["refused"], 0)
        self.completed(made)


class FullStore(ImportCase):
    options = ("--conf", "store-max-size = 1")

    def test_full(self):
        """The store is full in the middle: it is said, and with more room the
        same command goes on."""
        made = self.devices(*["1.0.4"] * 120)
        self.file(made, *([["net-id", "%06x" % n] for n in range(15)] + [
            ["app-name", "x" * 64], ["ns-kek", "ns-kek"]]))
        self.fill()
        summary, stderr, status = self.run_import()
        self.assertEqual(status, 1, (summary, stderr))
        self.assertEqual(summary["error"]["code"], "STORE_FULL")
        self.assertIn("largest size", summary["error"]["message"])
        self.assertIn("the same command", summary["error"]["hint"])
        self.server.stop()
        self.server.change_conf("store-max-size = 1$", "store-max-size = 64")
        self.server.start()
        summary, stderr, status = self.run_import()
        self.assertEqual((status, stderr), (0, ""), summary)
        self.assertGreater(summary["same"], 0)
        self.assertGreater(summary["created"], 0)
        self.assertEqual(summary["created"] + summary["same"], len(made))
        for device in made[0], made[-1]:
            self.joins(device)
        self.serves()

    def fill(self):
        """Large peers, as many as there is room for; then not quite so
        many."""
        with self.server.admin() as admin:
            with self.assertRaises(Refused) as caught:
                for n in range(1000):
                    admin.call("peer_set", peer=pb.Peer(
                        name="p%d" % n, role=pb.ROLE_AS, cert_san="p%d" % n,
                        as_ids=["%0128d" % (8 * n + i) for i in range(8)]))
            self.assertEqual(caught.exception.code, "STORE_FULL",
                             caught.exception)
            for i in range(15):
                try:
                    admin.call("peer_delete", name="p%d" % i)
                except Refused as refused:  # done, but it is not in the log
                    self.assertEqual(refused.code, "STORE_FULL")


class OldWorkers(ImportCase):
    options = ("--workers", "1", "--conf", "worker-max-joins = 100")

    def test_replaced(self):
        """A token's library keeps some memory of every key it ever made, so
        imports age a worker like joins, and nothing is lost with it."""
        before = self.server.status().workers[0].pid
        self.file(self.devices(*["1.0.4"] * 250))
        self.imports(created=250)
        until(lambda: self.server.status().workers[0].pid != before,
              "the worker was replaced")
        self.imports(same=250)


if __name__ == "__main__":
    scenario.main()
