# SPDX-License-Identifier: Apache-2.0
"""Sealed key files for the scenarios that import them, rightly and wrongly
made by tests/vectors/keyfile.py."""
import json
import re
import secrets
import subprocess

import scenario
from scenario import BIN, Device, until

import keyfile  # of tests/vectors, which scenario has added to the path

from cryptography.hazmat.primitives import serialization


def entry(device, *meta):
    """A device as keyfile.py wants it."""
    return dict(join_eui=device.join_eui.hex(), dev_eui=device.dev_eui.hex(),
                mac_version=device.version,
                nwk=device.nwk_key and device.nwk_key.hex(),
                app=device.app_key and device.app_key.hex(),
                meta=[["net-id", "000013"], ["as-id", "as.example.org"],
                      *meta])


class ImportCase(scenario.Case):
    def setUp(self):
        with self.server.admin() as admin:
            shown = admin.call("import_key")
        self.public = serialization.load_der_public_key(shown.public_key)
        self.path = "%s/%s.keys" % (self.server.dir, secrets.token_hex(4))

    def devices(self, *versions):
        return [Device(self.server, version) for version in versions]

    def file(self, devices, *meta, public=None, edit=None):
        """Write a file; edit changes its octets afterwards."""
        octets = keyfile.make(public or self.public,
                              [entry(d, *meta) for d in devices])
        with open(self.path, "wb") as f:
            f.write(edit(octets) if edit else octets)
        return self.path

    def sealed_again(self, edit):
        """Make a file whose lines edit(transport_key, lines) changed, with a
        right MAC: what a wrong producer would make."""
        transport = secrets.token_bytes(32)
        octets = keyfile.make(self.public, [
            entry(d) for d in self.made], transport_key=transport)
        lines = octets.decode().split("\n")
        lines[4:-2] = edit(transport, lines[4:-2])
        covered = ("\n".join(lines[:-2]) + "\nend %d " % (
            len(lines) - 6)).encode()
        with open(self.path, "wb") as f:
            f.write(covered + keyfile.file_mac(
                transport, covered).hex().encode() + b"\n")
        return self.path

    def run_import(self, *options, path=None):
        """(summary, what stood on stderr, exit status)"""
        done = self.server.try_ctl("import", path or self.path, *options,
                                   "--json")
        stderr = re.sub(r"(?m)^\d+ of \d+ devices, .* left\n", "", done.stderr)
        return json.loads(done.stdout), stderr, done.returncode

    def imports(self, *options, **counts):
        """The import succeeds with these counts, the others 0."""
        summary, stderr, status = self.run_import(*options)
        self.assertEqual((status, stderr), (0, ""), summary)
        self.assert_counts(summary, counts)
        return summary

    def imports_partly(self, *options, **counts):
        """Some lines are refused, with these counts; what stood on stderr."""
        summary, stderr, status = self.run_import(*options)
        self.assertEqual(status, 1, stderr)
        self.assert_counts(summary, counts)
        return stderr

    def assert_counts(self, summary, counts):
        for name in "created", "same", "replaced", "refused":
            self.assertEqual(summary[name], counts.get(name, 0), summary)

    def fails(self, *texts, status=5, options=()):
        """Nothing is imported, and it is said why; status None: 1 or 5."""
        before = self.server.ctl("device", "list").get("devices", [])
        summary, stderr, got = self.run_import(*options)
        self.assertIn(got, (1, 5) if status is None else (status,),
                      (summary, stderr))
        self.assertNotIn("created", summary)
        for text in texts:
            self.assertIn(text, stderr + summary["error"]["message"])
        after = self.server.ctl("device", "list").get("devices", [])
        self.assertEqual(before, after)

    def beginning(self):
        """The number of the last import's event."""
        return [e["seq"] for e in self.server.audit()
                if e["event"] == "import_begin"][-1]

    def absent(self, device):
        done = self.server.try_ctl("device", "get", *device.words)
        self.assertEqual(done.returncode, 4, done.stderr)

    def joins(self, device, dev_nonce=1):
        with self.server.tls("ns") as ns:
            members = device.members(dev_nonce)
            answer = ns.call("join", **members)
        self.assertEqual(device.judge(dev_nonce, members, answer), [])
        return answer

    def start_import(self, *options):
        return subprocess.Popen(
            [BIN + "/joineryctl", "import", self.path, *options, "--json"],
            env=self.server.env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def some_done(self, made):
        """Wait until the import is in the middle."""
        with self.server.admin() as admin:
            def middle():
                answer = admin.call("device_list", app=self.app)
                return len(answer.devices) > 5
            until(middle, "some devices are there")
