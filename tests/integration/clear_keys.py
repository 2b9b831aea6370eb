#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keys in clear: only for a peer without a KEK whose row allows it by name."""
import scenario
from scenario import NET_ID


class ClearKeys(scenario.Case):
    def setUp(self):
        s = self.server
        for name, role in ("ns", "ns"), ("as", "as"):
            s.ctl("peer", "set", name, "--role", role, "--kek", "",
                  "--clear-keys", "no")
        self.device = s.device("1.1.0")
        self.last = 0

    def join(self):
        self.last += 1
        with self.server.tls("ns") as ns:
            return self.device.join(ns, self.last)

    def session_keys(self, answer):
        return self.device.oracle(
            dev_nonce=self.last.to_bytes(2, "big"),
            join_nonce=self.device.join_nonce_of(answer).to_bytes(3, "big"),
            net_id=NET_ID.to_bytes(3, "big")).session_keys()

    def allow(self, *names):
        for name in names:
            self.server.ctl("peer", "set", name, "--clear-keys", "yes")

    def test_refused(self):
        self.refused("KEK_MISSING", self.join)
        self.allow("as")  # is nothing to the Network Server
        self.refused("KEK_MISSING", self.join)
        self.assertEqual(self.device.nonces().get("dev_nonces_used", 0), 0)

    def test_allowed(self):
        self.allow("ns", "as")
        answer = self.join()
        keys = self.session_keys(answer)
        self.assertFalse(answer.HasField("app_s_key"),
                         "the AppSKey in clear through the NS")
        for name, field in (("FNwkSIntKey", "f_nwk_s_int_key"),
                            ("SNwkSIntKey", "s_nwk_s_int_key"),
                            ("NwkSEncKey", "nwk_s_enc_key")):
            envelope = getattr(answer, field)
            self.assertFalse(envelope.HasField("kek_label"))
            self.assertEqual(envelope.aes_key, keys[name])
        with self.server.tls("as") as app:
            got = app.call("app_s_key", dev_eui=self.device.dev_eui,
                           session_key_id=answer.session_key_id)
        self.assertEqual(got.app_s_key.aes_key, keys["AppSKey"])

    def test_a_kek_goes_first(self):
        self.allow("ns", "as")
        for name in "ns", "as":
            self.server.ctl("peer", "set", name, "--kek", name + "-kek")
        members = self.device.members(1)
        with self.server.tls("ns") as ns:
            answer = ns.call("join", **members)
        self.assertEqual(self.device.judge(1, members, answer), [])

    def test_taken_back(self):
        self.allow("ns", "as")
        answer = self.join()
        for name in "ns", "as":
            self.server.ctl("peer", "set", name, "--clear-keys", "no")
        which = dict(dev_eui=self.device.dev_eui,
                     session_key_id=answer.session_key_id)
        for name, call in ("ns", "network_keys"), ("as", "app_s_key"):
            with self.server.tls(name) as client:
                self.refused("KEK_MISSING", client.call, call, **which)
        self.refused("KEK_MISSING", self.join)


if __name__ == "__main__":
    scenario.main()
