#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An import whose ground gives way: the store is full, the token is gone, the
file is as large as a disk.  What was said is what is there, and the same
command goes on when the fault is mended."""
import json
import os
import shutil
import subprocess
import time
import unittest

import scenario
from scenario import BIN, Device, until


class Faults(scenario.Case):
    options = ("--workers", "2", "--conf", 'custody = "wrapped"')

    def file(self, n):
        """A sealed key file of n devices, and some of these."""
        devices = [Device(self.server, "1.0.4") for _ in range(n)]
        path = self.server.dir + "/devices.csv"
        with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write("join_eui,dev_eui,mac_version,app_key,net_id,as_id\n")
            for d in devices:
                f.write("%s,%s,1.0.4,%s,000013,as.example.org\n" % (
                    d.join_eui.hex(), d.dev_eui.hex(), d.app_key.hex()))
        pem = self.server.dir + "/import.pem"
        with open(pem, "w") as f:
            f.write(self.server.ctl("import-key", "show")["pem"])
        self.keys = self.server.dir + "/devices.keys"
        self.server.ctl("seal", path, "--import-key", pem, "--out", self.keys)
        return devices

    def there(self):
        """Devices there are; each has its root key."""
        path = self.server.dir + "/export.jsonl"
        n = self.server.ctl("export", "--out", path)["devices"]
        shown = self.server.ctl("storage-key", "show")
        self.assertEqual(shown["wrapped_keys"], n)
        return n

    def goes_on(self, devices):
        before = self.there()
        self.assertLess(before, len(devices))
        done = self.server.ctl("import", self.keys)
        self.assertEqual((done["created"], done["same"], done["refused"]),
                         (len(devices) - before, before, 0))
        self.assertEqual(self.there(), len(devices))
        with self.server.tls("ns") as ns:
            for device in devices[::len(devices) // 4]:
                members = device.members(1)
                answer = ns.call("join", **members)
                self.assertEqual(device.judge(1, members, answer), [])

class DiskFull(Faults):
    def mount(self, *options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options),
                        "tmpfs", self.store], check=True)

    @unittest.skipUnless(os.geteuid() == 0, "only root mounts a small disk")
    def test_disk_full(self):
        devices = self.file(4000)
        self.store = self.server.dir + "/store"
        self.server.stop()
        os.rename(self.store, self.store + ".saved")
        os.mkdir(self.store, 0o700)
        self.mount("size=700k", "mode=0700")
        try:
            shutil.copy(self.store + ".saved/data.mdb", self.store)
            self.server.start()
            self.full(devices)
        finally:
            self.server.stop()
            subprocess.run(["umount", self.store], check=True)

    def full(self, devices):
        done = self.server.try_ctl("import", self.keys, "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("STORE_FULL", done.stderr)
        self.assertGreaterEqual(
            self.there(), json.loads(done.stdout)["created"])
        self.mount("remount", "size=32m")
        self.goes_on(devices)


class TokenGone(Faults):
    def test_token_gone(self):
        """The token's directory goes in the middle, and comes back."""
        devices = self.file(4000)
        tokens = self.server.dir + "/tokens"
        with subprocess.Popen(
                [BIN + "/joineryctl", "import", self.keys, "--json"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=self.server.env) as client:
            until(lambda: self.server.ctl("storage-key", "show")[
                "wrapped_keys"] > 100, "it is under way")
            os.rename(tokens, tokens + ".away")
            try:
                until(lambda: self.server.status().trouble, "trouble")
                client.kill()
            finally:
                os.rename(tokens + ".away", tokens)
        self.assertTrue(self.server.lines("TOKEN_UNAVAILABLE"))
        self.server.wait_ready()
        self.goes_on(devices)


class Large(scenario.Case):
    def test_large_file(self):
        """One line without an end, of a gigabyte; and as many short ones:
        refused with its line, in memory that does not grow with it."""
        path = self.server.dir + "/large.keys"
        for head, said in ((b"", "line 1"), (b"\n" * 5, "line 1")):
            with open(path, "wb") as f:
                f.write(head)
                f.truncate(1 << 30)
            before = time.monotonic()
            done = subprocess.run(
                ["/usr/bin/python3", "-c",
                 "import resource, subprocess, sys\n"
                 "done = subprocess.run(sys.argv[1:])\n"
                 "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
                 "print('maxrss', usage.ru_maxrss)\n"
                 "sys.exit(done.returncode)\n",
                 BIN + "/joineryctl", "import", path],
                env=self.server.env, capture_output=True, text=True)
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn(said, done.stderr)
            grown = int(done.stdout.split("maxrss ")[1])
            self.assertLess(grown, 400 << 10)
            self.assertLess(time.monotonic() - before, 60)
        os.unlink(path)


if __name__ == "__main__":
    scenario.main()
