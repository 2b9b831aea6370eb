#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Root keys, KEKs, session keys and PINs stand nowhere outside the token: not
in the database, not in the log, not in joineryd's memory.  A worker's memory
is not searched: SoftHSM is a library and keeps its objects there."""
import os

import scenario

EMPTY = bytes(4096)  # a page


def forms(secret):
    """A key as octets and as digits, in both cases."""
    return {secret, secret.hex().encode(), secret.hex().upper().encode()}


class KeyLeaks(scenario.Case):
    options = ("--conf", 'log-level = "debug"')

    def test_nowhere(self):
        secrets = self.use_everything()
        self.search_memory(secrets, wanted=b"ns.example.org")
        self.search_files(secrets)
        self.server.stop()
        self.search_files(secrets)

    def use_everything(self):
        """All kinds of traffic; the octets nobody may find afterwards."""
        secrets = {self.server.kek("ns"), self.server.kek("as")}
        for version in "1.0.3", "1.1.0":
            device = self.server.device(version)
            with self.server.tls("ns") as ns, self.server.tls("as") as app:
                for n in range(1, 30):
                    members = device.members(n)
                    answer = ns.call("join", **members)
                    self.assertEqual(device.judge(n, members, answer), [])
                which = dict(session_key_id=answer.session_key_id,
                             dev_eui=device.dev_eui)
                ns.call("network_keys", **which)
                app.call("app_s_key", **which)
                self.refused("DEV_NONCE_REPLAYED", device.join, ns, 1)
            join = device.oracle(
                dev_nonce=(29).to_bytes(2, "big"),
                join_nonce=device.join_nonce_of(answer).to_bytes(3, "big"),
                net_id=members["net_id"].to_bytes(3, "big"))
            secrets |= {device.app_key, *join.session_keys().values()}
            if device.nwk_key:
                secrets |= {device.nwk_key, join.js_key(5), join.js_key(6)}
        for name in "pin", "so-pin":
            with open("%s/%s" % (self.server.dir, name)) as f:
                secrets.add(f.read().strip().encode())
        return secrets

    def assert_absent(self, where, octets, secrets):
        for secret in secrets:
            for form in forms(secret):
                self.assertNotIn(form, octets, where)

    def search_files(self, secrets):
        """Everything but the token's own files and those given to us."""
        store = self.server.dir + "/store"
        for path in [store + "/" + name for name in os.listdir(store)] + [
                self.server.dir + "/joineryd.log", self.server.conf]:
            with open(path, "rb") as f:
                octets = f.read()

            self.assert_absent(path, octets, secrets)

    def search_memory(self, secrets, wanted):
        if os.geteuid() != 0:
            return  # the process is not dumpable
        found = False
        pid = self.server.pid()
        with open("/proc/%d/maps" % pid) as maps, \
                open("/proc/%d/mem" % pid, "rb", 0) as memory:
            for line in maps:
                octets = read_mapping(memory, line)
                found = found or wanted in octets
                self.assert_absent(line, octets, secrets)
        self.assertTrue(found, "the search finds what is there")


def read_mapping(memory, line):
    bounds, rights = line.split()[:2]
    start, end = (int(x, 16) for x in bounds.split("-"))
    # The shadow of a sanitizer is terabytes that hold no data.
    if "r" not in rights or "[v" in line or end - start > 1 << 30:
        return b""
    try:
        memory.seek(start)
        return without_empty_pages(memory.read(end - start) or b"")
    except (OSError, OverflowError):
        return b""


def without_empty_pages(octets):
    """No key is in a page of zeros, and a sanitizer has a great many."""
    pages = (octets[i:i + len(EMPTY)] for i in range(0, len(octets),
                                                      len(EMPTY)))
    return b"".join(page for page in pages if page != EMPTY)


if __name__ == "__main__":
    scenario.main()
