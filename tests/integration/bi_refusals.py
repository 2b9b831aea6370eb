#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backend Interfaces messages that are refused: each gets exactly its result
code, under 1.0 and under 1.1, and changes nothing."""
import json
import secrets

import bi_client
import scenario
from bi_client import app_s_key_req, home_ns_req, join_req

MALFORMED = {"1.0": "MalformedRequest", "1.1": "MalformedMessage"}
REPLAYED = {"1.0": "JoinReqFailed", "1.1": "FrameReplayed"}


def both(code):
    return {"1.0": code, "1.1": code}


class Refusals(scenario.Case):
    options = ("--conf", "repeat-window = 0", "--conf",
               'join-euis = {"70b3d57ed0000000/36"}')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        for name in ("roamer", "stranger", "as2"):
            s.certificate(name, "DNS:%s.example.org" % name)
        s.ctl("peer", "set", "roamer", "--role", "ns", "--net-id", "600013",
              "--cert-san", "roamer.example.org", "--kek", "ns-kek")
        s.ctl("peer", "set", "as2", "--role", "as", "--as-id",
              "as2.example.org", "--cert-san", "as2.example.org",
              "--kek", "as-kek")
        cls.device = s.device("1.0.4")
        cls.device11 = s.device("1.1.0")
        with s.bi("ns") as ns:
            answer = ns.ask(join_req(cls.device, cls.device.phy(40)))
            assert answer["Result"]["ResultCode"] == "Success", answer
            cls.session = answer["SessionKeyID"]

    def assert_result(self, codes, make, peer="ns", kind=None, **changes):
        """The message that make(version) gives is refused under both."""
        before = self.device.get(), self.device11.get()
        for version, code in codes.items():
            message = make(version)
            message = bi_client.changed(message, changes)
            with self.subTest(version=version, code=code, **changes):
                with self.server.bi(peer) as client:
                    answer = client.ask(message)
                self.assertEqual(answer["Result"]["ResultCode"], code, answer)
                self.check_description(answer["Result"]["Description"])
                self.assertEqual(
                    set(answer) - bi_client.JOIN_SERVER_MEMBERS -
                    {"Result", "SenderToken", "ReceiverToken", "SenderNSID",
                     "ReceiverNSID"}, set(), answer)
        self.assert_unchanged(before)

    def check_description(self, text):
        """A request id that the log has too, and nothing internal."""
        self.assertIn("; request ", text)
        request = text.split("; request ")[1]
        lines = self.server.lines(request)
        self.assertEqual(len(lines), 1, (text, lines))
        for internal in ("peer", "token", "KEK", "store", "worker"):
            self.assertNotIn(internal, text)

    def assert_unchanged(self, before):
        for device, was in zip((self.device, self.device11), before):
            now = device.get()
            self.assertEqual(now["nonces"] if "nonces" in now else None,
                             was["nonces"] if "nonces" in was else None)
            self.assertEqual(len(now.get("sessions", [])),
                             len(was.get("sessions", [])))

    def join(self, version, dev_nonce=41, **changes):
        return join_req(self.device, self.device.phy(dev_nonce), version,
                        **changes)

    # ---- no message at all ----

    def test_no_json(self):
        for body in (b"", b"{", b"[]", b"17", b'"JoinReq"', b"\xff\xfe{}",
                     b'{"a":1} {"b":2}', b"null", b'{"MessageType":"JoinReq"}',
                     b"{}", b'{"a":"\\u0000"}',
                     json.dumps(self.join("1.0")).encode() * 2):
            with self.subTest(body=body), self.server.bi("ns") as ns:
                response, answer = ns.post(body)
                self.assertEqual(response.status, 400, answer)
                self.assertIn(json.loads(answer)["Result"]["ResultCode"],
                              MALFORMED.values())
                self.assertEqual(
                    self.server.status().workers[0].state, "ready")

    def test_not_to_be_answered(self):
        """An Ans, or what is no request: there is no Ans to it."""
        for version, code in MALFORMED.items():
            for kind in "JoinAns", "AppSKeyAns", "Hello", "":
                with self.server.bi("ns") as ns:
                    response, answer = ns.post(
                        self.join(version, MessageType=kind))
                self.assertEqual(response.status, 400, (kind, answer))
                self.assertEqual(json.loads(answer)["Result"]["ResultCode"],
                                 code)

    def test_error_notif(self):
        for version in "1.0", "1.1":
            with self.server.bi("ns") as ns:
                response, body = ns.post(
                    self.join(version, MessageType="ErrorNotif",
                              Result={"ResultCode": "Other"}))
            self.assertEqual((response.status, body), (200, b""))
        self.assertTrue(self.server.lines("ErrorNotif"))

    # ---- the header ----

    def test_versions(self):
        for version in "2.0", "1", "", "1.2", 1.0, None:
            with self.server.bi("ns") as ns:
                message = self.join("1.0", ProtocolVersion=version)
                answer = json.loads(ns.post(message)[1])
            self.assertEqual(answer["Result"]["ResultCode"],
                             "InvalidProtocolVersion", version)
            self.assertEqual(answer["MessageType"], "JoinAns")

    def test_transaction_id(self):
        for bad in -1, 4294967296, "7", None, True, 1.5, [7]:
            for version, code in MALFORMED.items():
                with self.server.bi("ns") as ns:
                    answer = json.loads(ns.post(
                        self.join(version, TransactionID=bad))[1])
                self.assertEqual(answer["Result"]["ResultCode"], code, bad)

    def test_messages_for_others(self):
        for kind in ("PRStartReq", "PRStopReq", "HRStartReq", "HRStopReq",
                     "ProfileReq", "XmitDataReq", "XmitLocReq", "FooReq"):
            self.assert_result(MALFORMED, self.join, MessageType=kind)

    def test_senders(self):
        self.assert_result(both("UnknownSender"), self.join,
                           SenderID="000014")
        self.assert_result(both("UnknownSender"), self.join, peer="stranger")
        self.assert_result(both("UnknownSender"), self.join, peer=None)
        self.assert_result(both("UnknownSender"), self.join, peer="as")
        self.assert_result(MALFORMED, self.join, SenderID="13")
        self.assert_result(MALFORMED, self.join, SenderID="00001g")
        self.assert_result({"1.1": "UnknownSender"}, self.join,
                           SenderNSID="0102030405060708")

    def test_receivers(self):
        elsewhere = "0011223344556677"
        self.assert_result(MALFORMED, self.join, ReceiverID=elsewhere)
        self.assert_result(MALFORMED, self.join, ReceiverID="0011")
        device = scenario.Device(self.server, "1.0.4")
        device.join_eui = bytes.fromhex(elsewhere)
        for version in "1.0", "1.1":
            self.assert_result(
                {version: "UnkownReceiver"},
                lambda v: join_req(device, device.phy(1), v))

    # ---- members ----

    def test_missing_members(self):
        for name in ("MACVersion", "PHYPayload", "DevEUI", "DevAddr",
                     "DLSettings", "RxDelay"):
            self.assert_result(MALFORMED, self.join, **{name: None})

    def test_wrong_members(self):
        for name, bads in {
                "MACVersion": ("", "1.2", "1.0.5x!", 1.0, "banana"),
                "DevEUI": ("", "00", "zz" * 8, 5, "0" * 17, []),
                "DevAddr": ("", "2601", "2601 bda", 637541338),
                "DLSettings": ("", "0", "000", 0, {}),
                "RxDelay": (-1, 16, "1", 1.5, True, 2 ** 40),
                "PHYPayload": ("0", "xx", 7, {"a": 1}),
                "CFList": ("00", "zz" * 16, 0, "00" * 15)}.items():
            for bad in bads:
                self.assert_result(MALFORMED, self.join, **{name: bad})

    def test_frame_sizes(self):
        for phy in "", "00" * 22, "00" * 24, "00" * 1000:
            self.assert_result(both("FrameSizeError"), self.join,
                               PHYPayload=phy)

    def test_other_frames(self):
        phy = self.device.phy(41)
        for mhdr in 0x20, 0x40, 0x80, 0x01, 0xc0:
            self.assert_result(MALFORMED, self.join,
                               PHYPayload=(bytes([mhdr]) + phy[1:]).hex())

    def test_euis_that_disagree(self):
        self.assert_result(MALFORMED, self.join,
                           DevEUI=self.device11.dev_eui.hex())

    # ---- the device ----

    def test_unknown_device(self):
        stranger = scenario.Device(self.server, "1.0.4")
        self.assert_result(
            both("UnknownDevEUI"),
            lambda v: join_req(stranger, stranger.phy(1), v))

    def test_net_id_not_allowed(self):
        self.assert_result(both("ActivationDisallowed"), self.join,
                           peer="roamer", SenderID="600013")

    def test_mic(self):
        phy = bytearray(self.device.phy(41))
        phy[-1] ^= 1
        self.assert_result(both("MICFailed"), self.join,
                           PHYPayload=phy.hex())

    def test_replay(self):
        self.assert_result(REPLAYED,
                           lambda v: self.join(v, dev_nonce=40))
        self.assert_result(REPLAYED,
                           lambda v: self.join(v, dev_nonce=39))

    def test_opt_neg(self):
        self.assert_result(MALFORMED, self.join, DLSettings="80")
        self.assert_result(
            MALFORMED, lambda v: join_req(self.device11,
                                          self.device11.phy(1), v,
                                          DLSettings="00"))

    def test_no_root_key(self):
        device = scenario.Device(self.server, "1.1.0")
        app_key, device.app_key = device.app_key, None
        device.register("--mac-version", "1.1.0", "--net-id", "000013",
                        "--as-id", "as.example.org")
        device.app_key = app_key
        self.assert_result(
            both("JoinReqFailed"),
            lambda v: join_req(device, device.phy(1), v))

    def test_no_kek(self):
        self.server.certificate("poor", "DNS:poor.example.org")
        self.server.ctl("peer", "set", "poor", "--role", "ns", "--net-id",
                        "000013", "--cert-san", "poor.example.org")
        self.assert_result(both("Other"), self.join, peer="poor")

    # ---- rejoins ----

    def rejoin(self, version, device=None, kind=1, count=1, **changes):
        device = device or self.device11
        return join_req(device, device.rejoin_phy(kind, count), version,
                        kind="RejoinReq", **changes)

    def test_rejoin_of_a_1_0_device(self):
        device = self.device
        device.nwk_key = device.nwk_key or secrets.token_bytes(16)
        try:
            self.assert_result(
                MALFORMED, lambda v: self.rejoin(v, device))
            self.assert_result(
                MALFORMED, lambda v: self.rejoin(
                    v, device, MACVersion="1.1", DLSettings="80"))
        finally:
            device.nwk_key = None

    def test_rejoin_frames(self):
        self.assert_result(both("FrameSizeError"), self.rejoin,
                           PHYPayload=self.device11.phy(1).hex())
        phy = self.device11.rejoin_phy(1, 1)
        for mhdr in 0x00, 0x20, 0xc1:
            self.assert_result(MALFORMED, self.rejoin,
                               PHYPayload=(bytes([mhdr]) + phy[1:]).hex())
        self.assert_result(both("FrameSizeError"), self.rejoin,
                           PHYPayload=phy[:-1].hex())
        self.assert_result(both("FrameSizeError"), self.rejoin,
                           PHYPayload=phy[:19].hex())
        self.assert_result(
            MALFORMED, self.rejoin,
            PHYPayload=(phy[:1] + b"\x03" + phy[2:]).hex())
        self.assert_result(
            both("MICFailed"), self.rejoin,
            PHYPayload=(phy[:-1] + bytes([phy[-1] ^ 1])).hex())

    def test_rejoin_counts(self):
        device = self.server.device("1.1.0")
        with self.server.bi("ns") as ns:
            ns.ask(join_req(device, device.phy(1)))
            for count in 0x00ff, 0x0100:
                answer = ns.ask(self.rejoin("1.1", device, 1, count))
                self.assertEqual(answer["Result"]["ResultCode"], "Success")
        for count in 0x00ff, 0x0100, 0:
            self.assert_result(
                REPLAYED, lambda v: self.rejoin(v, device, 1, count))

    # ---- session keys ----

    def app(self, version, **changes):
        return app_s_key_req(self.device, self.session, version, **changes)

    def test_app_s_key(self):
        with self.server.bi("as") as client:
            answer = client.ask(self.app("1.0"))
        self.assertEqual(answer["Result"]["ResultCode"], "Success")
        self.assert_result(both("UnknownDevEUI"), self.app, peer="as",
                           SessionKeyID="00" * 16)
        self.assert_result(both("UnknownDevEUI"), self.app, peer="as",
                           DevEUI=self.device11.dev_eui.hex())
        self.assert_result(both("ActivationDisallowed"), self.app,
                           peer="as2", SenderID="as2.example.org")
        self.assert_result(both("UnknownSender"), self.app, peer="as2")
        self.assert_result(both("UnknownSender"), self.app, peer="ns")
        self.assert_result(MALFORMED, self.app, peer="as", SessionKeyID="0")
        self.assert_result(MALFORMED, self.app, peer="as", DevEUI=None)
        self.assert_result(both("UnkownReceiver"), self.app, peer="as",
                           ReceiverID="0011223344556677")

    # ---- home network ----

    def test_home_ns(self):
        def ask(version):
            return home_ns_req(self.device, version)
        self.assert_result(both("NoRoamingAgreement"), ask, peer="roamer")
        self.assert_result(both("UnknownSender"), ask, peer="ns")
        self.assert_result(both("UnknownDevEUI"), ask, peer="roamer",
                           DevEUI="00112233445566aa")
        self.assert_result(MALFORMED, ask, peer="roamer", DevEUI="00")

    # ---- counters that are used up ----

    def test_join_nonce_exhausted(self):
        device = self.server.device("1.0.4")
        with self.server.bi("ns") as ns:
            ns.ask(join_req(device, device.phy(1)))
        self.server.set_join_nonce(device, 0xFFFFFF)
        self.assert_result(
            both("JoinReqFailed"),
            lambda v: join_req(device, device.phy(2), v))


if __name__ == "__main__":
    scenario.main()
