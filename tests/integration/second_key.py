#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An AppKey that comes to a 1.0.x device that joins with its NwkKey: which of
them is the root has to be said, by "device set" and in key files alike."""
import secrets

import scenario
from import_case import ImportCase
from scenario import Device

SAYS = "joins with its NwkKey: say v10-root app"


class SecondKey(ImportCase):
    def pair(self, version="1.0.4"):
        """A registered device with a NwkKey only; one with an AppKey more."""
        first = Device(self.server, version, nwk_key=secrets.token_bytes(16))
        first.app_key = None
        first.register("--mac-version", version, "--net-id", "000013",
                       "--as-id", "as.example.org")
        second = Device(self.server, version, dev_eui=first.dev_eui)
        second.nwk_key = None
        return first, second

    def sets(self, second, *options):
        return self.server.try_ctl("device", "set", *second.words, "--app-key",
                                   "-", *options, stdin=second.app_key.hex())

    def test_device_set(self):
        first, second = self.pair()
        before = first.get()
        for options in ((), ("--mac-version", "1.0.2"),
                        ("--resets-join-nonces", "yes")):
            done = self.sets(second, *options)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("MALFORMED_REQUEST", done.stderr)
            self.assertIn(SAYS, done.stderr)
        self.assertEqual(first.get(), before)
        self.joins(first)
        for root in "nwk", "default":
            done = self.sets(second, "--v10-root", root)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.joins(first, 2)
        done = self.sets(second, "--v10-root", "app")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.joins(second, 3)
        # It is known by now.
        again = Device(self.server, "1.0.4", dev_eui=first.dev_eui)
        done = self.sets(again)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.joins(again, 4)

    def test_not_asked(self):
        """Where there is one key, or a device of 1.1, or both come at once."""
        for version in "1.1.0", "1.0.4":
            both = Device(self.server, version,
                          nwk_key=secrets.token_bytes(16))
            both.app_key = secrets.token_bytes(16)
            both.register("--mac-version", version, "--net-id", "000013",
                          "--as-id", "as.example.org")
            self.joins(both)
        first, second = self.pair("1.1.0")
        done = self.sets(second)
        self.assertEqual(done.returncode, 0, done.stderr)
        second.nwk_key = first.nwk_key
        self.joins(second)
        single = Device(self.server, "1.0.4")
        for nonce in 1, 2:
            done = self.sets(single, "--mac-version", "1.0.4", "--net-id",
                             "000013", "--as-id", "as.example.org")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.joins(single, nonce)

    def test_import(self):
        first, second = self.pair()
        other, third = self.pair()
        before = first.get()
        self.file([second])
        for options in (), ("--dry-run",), ("--replace",):
            stderr = self.imports_partly(*options, refused=1)
            self.assertIn("line 5: MALFORMED_REQUEST: the device is one of "
                          "1.0.4 and " + SAYS, stderr)
        self.assertEqual(first.get(), before)
        self.joins(first)
        self.file([second], ["v10-root", "nwk"])
        self.imports("--dry-run", created=1)
        self.imports(created=1)
        self.joins(first, 2)
        # What is there need not be said again; another key has to.
        self.file([second])
        self.imports(same=1)
        self.file([Device(self.server, "1.0.4", dev_eui=first.dev_eui)])
        self.assertIn("ALREADY_EXISTS", self.imports_partly(refused=1))
        self.assertIn(SAYS, self.imports_partly("--replace", refused=1))
        self.file([third], ["v10-root", "app"])
        self.assertIn("other settings", self.imports_partly(refused=1))
        self.imports("--replace", replaced=1)
        self.joins(third)
        # Both in one file: the NwkKey is the root, as ever.
        both = Device(self.server, "1.0.4", nwk_key=secrets.token_bytes(16))
        both.app_key = secrets.token_bytes(16)
        self.file([both])
        self.imports(created=1)
        self.imports("--replace", same=1)
        self.joins(both)

    def test_changed_first(self):
        """Said beforehand it need not be said with the key."""
        first, second = self.pair()
        self.server.ctl("device", "set", *first.words, "--v10-root", "app")
        self.file([second])
        self.imports(created=1)
        self.joins(second)


if __name__ == "__main__":
    scenario.main()
