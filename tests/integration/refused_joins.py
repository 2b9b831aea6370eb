#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Joins that are refused: the right code to the peer, one log line with
device, reason and request id, the reason in "device get", nonces as before."""
import secrets
import ssl

import scenario
from scenario import VERSIONS, mac_version, until


class RefusedJoins(scenario.Case):
    options = ("--conf", "repeat-window = 0")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        for name in ("roamer", "admin", "stranger", "keyless", "losing"):
            s.certificate(name, "DNS:%s.example.org" % name)
        s.certificate("foreign", "DNS:ns.example.org", ca="other-ca")
        s.ctl("peer", "set", "roamer", "--role", "ns", "--net-id", "600013",
              "--cert-san", "roamer.example.org", "--kek", "ns-kek")
        s.ctl("peer", "set", "keyless", "--role", "ns", "--net-id", "000013",
              "--cert-san", "keyless.example.org")
        s.ctl("peer", "set", "admin", "--role", "admin",
              "--cert-san", "admin.example.org")

    def assert_refused(self, code, device, peer, dev_nonce, noted=True,
                       known=True, **changes):
        """One join that is refused, and all that has to follow from it."""
        before = device.nonces() if known else None
        with self.server.tls(peer) as client:
            error = self.refused(code, device.join, client, dev_nonce,
                                 **changes)
        lines = self.server.lines(error.request_id)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(error.message, lines[0])
        self.assertIn("code=" + code, lines[0])
        if not noted:
            return
        self.assertIn("dev_eui=" + device.dev_eui.hex(), lines[0])
        self.assertIn("join_eui=" + device.join_eui.hex(), lines[0])
        if known:
            self.assertEqual(device.nonces(), before)
            until(lambda: self.is_noted(device, code, error), "a refusal that "
                  "device get shows")

    def is_noted(self, device, code, error):
        last = device.get()["last_join"]
        return (not last["accepted"] and last["refused"] == code and
                last["reason"] == error.message)

    def accepted(self, device, dev_nonce, peer="ns", **changes):
        with self.server.tls(peer) as client:
            return device.join_nonce_of(
                device.join(client, dev_nonce, **changes))

    # ---- frames and nonces ----

    def test_mic_and_replay_in_every_version(self):
        for version in VERSIONS:
            device = self.server.device(version)
            phy = device.phy(40)
            for at in 0, 31:  # first and last bit of the MIC
                flipped = bytearray(phy)
                flipped[19 + at // 8] ^= 1 << at % 8
                self.assert_refused("MIC_FAILED", device, "ns", 40,
                                    phy_payload=bytes(flipped))
            self.assertEqual(self.accepted(device, 40), 1)
            self.assert_refused("DEV_NONCE_REPLAYED", device, "ns", 40)
            self.assertEqual(self.accepted(device, 41), 2)
            counts = version in ("1.0.4", "1.1.0")
            if counts:
                self.assert_refused("DEV_NONCE_REPLAYED", device, "ns", 39)
            else:
                self.assertEqual(self.accepted(device, 39), 3)
            self.assert_refused("DEV_NONCE_REPLAYED", device, "ns", 41)
            self.assertEqual(device.nonces()["join_nonce"],
                             2 if counts else 3)

    def test_a_forged_frame_comes_before_its_nonce(self):
        """A forger learns nothing of the nonces."""
        device = self.server.device("1.0.4")
        self.accepted(device, 9)
        self.assert_refused("MIC_FAILED", device, "ns", 9,
                            phy_payload=device.phy(9)[:19] + bytes(4))

    def test_unknown_device(self):
        device = scenario.Device(self.server, "1.0.3")
        self.assert_refused("UNKNOWN_DEVICE", device, "ns", 1, known=False)
        other = self.server.device("1.0.3")
        device.dev_eui = other.dev_eui
        device.join_eui = secrets.token_bytes(8)
        self.assert_refused("UNKNOWN_DEVICE", device, "ns", 1, known=False)

    # ---- peers ----

    def test_peers_that_may_not(self):
        device = self.server.device("1.0.3")
        self.assert_refused("NOT_ALLOWED", device, "roamer", 1)
        self.assert_refused("NOT_ALLOWED", device, "roamer", 1,
                            net_id=0x600013)
        for peer in "as", "admin":
            self.assert_refused("NOT_ALLOWED", device, peer, 1, noted=False)
        self.assert_refused("PEER_UNKNOWN", device, "stranger", 1,
                            noted=False)
        with self.server.admin() as root:  # by uid, an admin and no NS
            self.refused("NOT_ALLOWED", device.join, root, 1)
        for peer in "foreign", None:
            with self.assertRaises((OSError, EOFError, ssl.SSLError)):
                self.accepted(device, 1, peer)
        self.assertEqual(self.accepted(device, 1), 1)

    def test_peers_may_no_admin_calls(self):
        device = self.server.device("1.0.3")
        for peer in "ns", "as":
            with self.server.tls(peer) as client:
                for call in "device_get", "device_delete", "nonces_reset":
                    self.refused("NOT_ALLOWED", client.call, call,
                                 id=device.id)
                self.refused("NOT_ALLOWED", client.call, "kek_list")
                self.refused("NOT_ALLOWED", client.call, "status")
                error = self.refused("NOT_ALLOWED", client.call, "kek_delete",
                                     label='a" code=OK peer="b')
                line = self.server.lines(error.request_id)[0]
                self.assertIn('name="a\' code=OK peer=\'b" code=NOT_ALLOWED',
                              line)
        with self.server.tls("admin") as client:
            client.call("device_get", id=device.id)

    def test_home_net_id(self):
        device = self.server.device("1.0.3")
        self.server.ctl("device", "set", *device.words, "--net-id", "000014")
        self.assert_refused("NOT_ALLOWED", device, "ns", 1)
        self.server.ctl("device", "set", *device.words, "--no-net-ids")
        self.accepted(device, 1)

    # ---- provisioning ----

    def test_no_kek(self):
        device = self.server.device("1.0.3")
        self.assert_refused("KEK_MISSING", device, "keyless", 1)
        # Without an AS that could get its key, neither.
        self.server.ctl("device", "set", *device.words, "--as-id",
                        "nobody.example.org")
        self.assert_refused("KEK_MISSING", device, "ns", 1)

    def test_kek_deleted(self):
        s = self.server
        s.ctl("kek", "generate", "short-lived", "--bits", "128")
        s.ctl("peer", "set", "losing", "--role", "ns", "--net-id", "000013",
              "--cert-san", "losing.example.org", "--kek", "short-lived")
        device = s.device("1.0.3")
        self.accepted(device, 1, "losing")
        done = s.try_ctl("kek", "delete", "short-lived", "--json")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("IN_USE", done.stdout)
        s.ctl("peer", "set", "losing", "--kek", "")
        s.ctl("kek", "delete", "short-lived")
        self.assert_refused("KEK_MISSING", device, "losing", 2)
        self.accepted(device, 2)

    def test_opt_neg(self):
        old, new = self.server.device("1.0.3"), self.server.device("1.1.0")
        v11 = mac_version("1.1.0")
        self.assert_refused("OPTNEG_MISMATCH", old, "ns", 1, dl_settings=0x80)
        self.assert_refused("OPTNEG_MISMATCH", old, "ns", 1, mac_version=v11,
                            dl_settings=0x80)
        self.assert_refused("OPTNEG_MISMATCH", old, "ns", 1, mac_version=v11)
        self.assert_refused("OPTNEG_MISMATCH", new, "ns", 1, dl_settings=0)

    def test_no_root_key(self):
        device = self.server.device("1.0.4")  # only an AppKey
        self.server.ctl("device", "set", *device.words, "--mac-version",
                        "1.1.0")
        self.assert_refused(
            "NO_ROOT_KEY", device, "ns", 1, mac_version=mac_version("1.1.0"),
            dl_settings=0x80)

    def test_zz_the_service_goes_on(self):
        self.serves()


if __name__ == "__main__":
    scenario.main()
