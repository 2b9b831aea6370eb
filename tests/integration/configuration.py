#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""joinery.conf and what joineryd will not start with."""
import os
import subprocess

import scenario
from scenario import BIN, until


class Configuration(scenario.Case):
    def setUp(self):
        with open(self.server.conf) as f:
            self.conf = f.read()

    def run_it(self, option, conf):
        path = self.server.dir + "/other.conf"
        with open(path, "w") as f:
            f.write(conf)
        words = [BIN + "/joineryd", "-c", path] + ([option] if option else [])
        done = subprocess.run(words, capture_output=True, text=True,
                              env=self.server.env, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_errors_name_their_line(self):
        lines = self.conf.count("\n")
        for wrong in ("no-such-option = 1", "workers = 65", "workers = many",
                      "session-keep = 0", "log-level = 'loud'",
                      "app-s-key = maybe", "frame-timeout = 0",
                      "workers = {", 'admin-uids = {"root"}'):
            conf = self.conf
            if wrong.startswith("workers"):
                conf = conf.replace("workers = 2\n", "")
            status, _, said = self.run_it("-t", conf + wrong + "\n")
            self.assertEqual(status, 78, (wrong, said))
            self.assertIn("other.conf", said)
            at = conf.count("\n") + 1
            self.assertRegex(said, ":(%d|%d)\\b" % (at, at + 1), wrong)
        self.assertGreater(lines, 10)

    def test_errors(self):
        for was, wrong in (("token-uri = ", "# "),
                           ("pin-source=", "pin-value=1234&pin-source="),
                           ("/server.key", "/missing.key"),
                           ("/joinery-worker", "/joinery-nothing"),
                           ("tls-client-ca = ", "# ")):
            self.assertIn(was, self.conf)
            status, _, said = self.run_it("-t", self.conf.replace(was, wrong))
            self.assertEqual(status, 78, (wrong, said))
            self.assertTrue(said)
        self.assertEqual(self.run_it("-t", self.conf)[0], 0)

    def test_effective(self):
        """What -T prints is a configuration, and the same."""
        status, first, said = self.run_it("-T", self.conf)
        self.assertEqual(status, 0, said)
        self.assertIn("session-keep", first)
        status, second, said = self.run_it("-T", first)
        self.assertEqual((status, second), (0, first), said)
        self.assertEqual(self.run_it("-t", first)[0], 0)

    def test_second_server(self):
        """On the socket of one that runs; that one goes on."""
        alone = "".join(line for line in self.conf.splitlines(True)
                        if not line.startswith(("tls-", "bi-")))
        for conf, what in (alone, "joinery.sock"), (self.conf, "tls-listen"):
            status, _, said = self.run_it(None, conf)
            self.assertEqual(status, 1, said)
            self.assertIn(what, said)
        with self.server.admin() as admin:
            admin.call("ping")

    def test_stale_socket(self):
        """That of one that was killed is replaced."""
        self.server.kill()
        self.assertTrue(os.path.exists(self.server.env["JOINERY_SOCKET"]))
        self.server.start()

    def test_store_that_others_may_write(self):
        store = self.server.dir + "/store"
        self.server.stop()
        os.chmod(store, 0o777)
        try:
            self.server.start(wait=False)
            self.assertEqual(self.server.process.wait(60), 78)
            self.assertEqual(len(self.server.lines(
                "error", "can be written by others")), 1)
        finally:
            os.chmod(store, 0o700)
            self.server.stop()
        self.server.start()

    def test_pin_that_others_may_read(self):
        pin = self.server.dir + "/pin"
        self.server.stop()
        os.chmod(pin, 0o644)
        try:
            self.server.start(wait=False)
            until(lambda: self.server.lines("error", pin), "a line about it")
            self.assertIsNone(self.server.ready())
        finally:
            os.chmod(pin, 0o600)
            self.server.stop()
        self.server.start()


if __name__ == "__main__":
    scenario.main()
