#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Joins, rejoins, session keys and home networks over Backend Interfaces,
each answer judged by the oracle."""
import os
import signal

import scenario
from bi_client import app_s_key_req, home_ns_req, join_req
from scenario import NET_ID, VERSIONS, oracle, until

KEYS = {"NwkSKey": "ns", "FNwkSIntKey": "ns", "SNwkSIntKey": "ns",
        "NwkSEncKey": "ns", "AppSKey": "as"}


def success(answer):
    assert answer["Result"] == {"ResultCode": "Success",
                                "Description": ""}, answer
    return answer


class Joins(scenario.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        for name in "roamer", "second":
            s.certificate(name, "DNS:%s.example.org" % name)
        s.ctl("peer", "set", "roamer", "--role", "ns", "--net-id", "600013",
              "--cert-san", "roamer.example.org", "--kek", "ns-kek",
              "--ns-id", "0102030405060708")
        s.ctl("peer", "set", "second", "--role", "ns", "--net-id", "000013",
              "--cert-san", "second.example.org", "--kek", "ns-kek")

    def ask(self, message, peer="ns"):
        with self.server.bi(peer) as client:
            return client.ask(message)

    def ask_raw(self, message, peer="ns"):
        with self.server.bi(peer) as client:
            return client.post(message)[1]

    # ---- the judge ----

    def judge(self, message, answer, join):
        """Compare an Ans with what the oracle says of the join."""
        success(answer)
        self.assertEqual(answer["PHYPayload"], join.accept().hex())
        self.assertEqual(len(answer["SessionKeyID"]), 32)
        self.assertEqual(answer["Lifetime"], 0)
        wanted = join.session_keys()
        for name, who in KEYS.items():
            if name not in wanted:
                self.assertNotIn(name, answer)
                continue
            key = oracle.wrap(self.server.kek(who), wanted[name])
            self.assertEqual(answer[name], {"KEKLabel": who + "-kek",
                                            "AESKey": key.hex()}, name)
        reply = success(self.ask(
            dict(app_s_key_req(self.device_of(message),
                               answer["SessionKeyID"]),
                 ProtocolVersion=message["ProtocolVersion"]), "as"))
        self.assertEqual(reply["AppSKey"], answer["AppSKey"])
        self.assertEqual(reply["SessionKeyID"], answer["SessionKeyID"])
        self.assertEqual(reply["DevEUI"], message["DevEUI"].lower())

    def device_of(self, message):
        device = scenario.Device(self.server, "1.0.4")
        device.dev_eui = bytes.fromhex(message["DevEUI"].lower()[-16:])
        return device

    def expected(self, device, message, answer, counter):
        """The oracle's join for a message that was answered."""
        cf_list = bytes.fromhex(message.get("CFList", ""))
        members = dict(
            net_id=bytes.fromhex(message["SenderID"]),
            dev_addr=bytes.fromhex(message["DevAddr"]),
            dl_settings=bytes.fromhex(message["DLSettings"]),
            rx_delay=bytes([message["RxDelay"]]), cf_list=cf_list)
        if message["MessageType"] == "RejoinReq":
            phy = bytes.fromhex(message["PHYPayload"])
            blank = device.rejoin(phy[1], counter, **members)
        else:
            blank = device.oracle(dev_nonce=counter.to_bytes(2, "big"),
                                  **members)
        key = (blank.accept_key if message["MessageType"] == "RejoinReq"
               else blank.nwk_root)
        clear = oracle.aes_encrypt(
            key, bytes.fromhex(answer["PHYPayload"])[1:])
        blank.join_nonce = clear[:3][::-1]
        return blank

    def join(self, device, dev_nonce, version="1.0", **changes):
        """A join that is answered rightly: message, answer, the oracle's."""
        message = join_req(device, device.phy(dev_nonce), version, **changes)
        answer = self.ask(message)
        success(answer)
        join = self.expected(device, message, answer, dev_nonce)
        self.judge(message, answer, join)
        return message, answer, join

    def rejoin(self, device, kind, count, session=None, version="1.1",
               **changes):
        message = join_req(device, device.rejoin_phy(kind, count, session),
                           version, kind="RejoinReq", **changes)
        answer = self.ask(message)
        success(answer)
        rejoin = self.expected(device, message, answer, count)
        self.judge(message, answer, rejoin)
        return message, answer, rejoin

    # ---- joins ----

    def test_every_version(self):
        for mac_version in VERSIONS:
            device = self.server.device(mac_version)
            for n, version in enumerate(("1.0", "1.1")):
                with self.subTest(mac=mac_version, bi=version):
                    self.join(device, 0x00ff + 2 * n, version)
                    self.join(device, 0x0100 + 2 * n, version,
                              CFList="184f84e85684b85e84886684586e8400")

    def test_tolerant_input(self):
        device = self.server.device("1.0.2")
        for n, changes in enumerate((
                {"DevEUI": "0x" + device.dev_eui.hex()},
                {"DevEUI": device.dev_eui.hex().upper()},
                {"DevAddr": "0x26011BDA"}, {"CFList": ""},
                {"MACVersion": "1.0"}, {"MACVersion": "1.0.2b"},
                {"SenderToken": "00ff"}, {"ReceiverToken": "AB"},
                {"SenderNSID": "000013"}, {"SenderNSID": "0011223344556677"},
                {"VSExtension": {"VendorID": "00000f", "Object": {"a": [1]}}},
                {"Unknown": None, "Other": [1, 2, {"x": "y"}]},
                {"TransactionID": 0}, {"RxDelay": 0}, {"RxDelay": 15})):
            with self.subTest(**changes):
                message = join_req(device, device.phy(n), "1.0", **changes)
                success(self.ask(message))
        phy = device.phy(99).hex()
        message = join_req(device, b"", PHYPayload="0X" + phy.upper())
        success(self.ask(message))

    def test_ns_ids(self):
        device = self.server.device("1.0.4")
        self.server.ctl("peer", "set", "ns", "--ns-id", "70b3d57ed0000099")
        _, answer, _ = self.join(device, 1, "1.1",
                                 SenderNSID="70b3d57ed0000099")
        self.assertEqual(answer["ReceiverNSID"], "70b3d57ed0000099")
        self.server.ctl("device", "set", *device.words, "--ns-id",
                        "70b3d57ed0000098")
        answer = self.ask(join_req(device, device.phy(2), "1.1",
                                   SenderNSID="70b3d57ed0000099"))
        self.assertEqual(answer["Result"]["ResultCode"],
                         "ActivationDisallowed")
        # Saying none is no way around it.
        for version in "1.0", "1.1":
            answer = self.ask(join_req(device, device.phy(2), version))
            self.assertEqual(answer["Result"]["ResultCode"],
                             "ActivationDisallowed")
        self.server.ctl("device", "set", *device.words, "--ns-id",
                        "70b3d57ed0000099")
        self.join(device, 3, "1.0")
        self.join(device, 4, "1.1")
        self.server.ctl("peer", "set", "ns", "--no-ns-ids")
        self.join(device, 5, "1.1")  # one that has none may be it

    # ---- rejoins ----

    def test_rejoins(self):
        device = self.server.device("1.1.0")
        _, _, session = self.join(device, 0)
        for kind, count in (0, 0), (1, 0x00ff), (2, 0), (1, 0x0100), (0, 0):
            with self.subTest(kind=kind, count=count):
                # The device hears each accept: RJcount0 starts anew.
                _, answer, session = self.rejoin(device, kind, count, session)
        sessions = device.get()["sessions"]
        self.assertEqual(len(sessions), 6)
        self.assertEqual(sessions[0]["session_key_id"],
                         answer["SessionKeyID"])
        for old in sessions:
            success(self.ask(app_s_key_req(device, old["session_key_id"]),
                             "as"))

    def test_rejoins_that_are_not_heard(self):
        device = self.server.device("1.1.0")
        _, first, live = self.join(device, 0)
        for count in range(0x00f8, 0x0108):
            self.rejoin(device, 0, count, live)
        for count in 0x0107, 0x00f8:
            answer = self.ask(join_req(
                device, device.rejoin_phy(0, count, live), "1.1",
                kind="RejoinReq", DevAddr="26011bdb"))
            self.assertEqual(answer["Result"]["ResultCode"], "FrameReplayed")
        for count in range(20):
            self.rejoin(device, 1, count)
        # Not pushed out, and still the one that rejoins.
        success(self.ask(app_s_key_req(device, first["SessionKeyID"]), "as"))
        _, _, heard = self.rejoin(device, 2, 0x0108, live)
        # The device has heard that one; the old session is over.
        self.rejoin(device, 0, 0, heard)
        answer = self.ask(join_req(device, device.rejoin_phy(0, 0x0200, live),
                                   "1.1", kind="RejoinReq"))
        self.assertEqual(answer["Result"]["ResultCode"], "MICFailed")

    # ---- the same request again ----

    def kill_workers(self):
        old = {w.pid for w in self.server.status().workers}
        for pid in old:
            os.kill(pid, signal.SIGKILL)

        def new():
            status = self.server.ready()
            return status and not old & {w.pid for w in status.workers}
        until(new, "new workers")

    def repeated(self, device, message):
        first = self.ask_raw(message)
        before = device.get()["nonces"]
        self.assertEqual(self.ask_raw(message), first)
        self.assertEqual(self.ask_raw(dict(message, SenderToken="00")).replace(
            b'"ReceiverToken":"00",', b""), first)
        return first, before

    def test_repeated_requests(self):
        for make in (lambda d: join_req(d, d.phy(7)),
                     lambda d: join_req(d, d.rejoin_phy(1, 7), "1.1",
                                        kind="RejoinReq")):
            device = self.server.device("1.1.0")
            message = make(device)
            first, before = self.repeated(device, message)
            self.kill_workers()
            self.assertEqual(self.ask_raw(message), first)
            for peer, changes in (("ns", {"DevAddr": "26011bdb"}),
                                  ("ns", {"RxDelay": 2}),
                                  ("ns", {"CFList": "00" * 16}),
                                  ("second", {})):
                answer = self.ask(dict(message, **changes), peer)
                self.assertIn(answer["Result"]["ResultCode"],
                              ("JoinReqFailed", "FrameReplayed"))
            self.assertEqual(device.get()["nonces"], before)

    def test_repetition_is_not_replay(self):
        """Only the newest session's request, and only within the window."""
        device = self.server.device("1.0.4")
        old = join_req(device, device.phy(1))
        success(self.ask(old))
        self.join(device, 2)
        self.assertEqual(self.ask(old)["Result"]["ResultCode"],
                         "JoinReqFailed")

    # ---- home networks and applications ----

    def home(self, device, version="1.0", peer="roamer", **changes):
        return self.ask(home_ns_req(device, version, **changes), peer)

    def test_home_network(self):
        s = self.server
        device = s.device("1.0.4")
        device_set = ("device", "set", *device.words)
        for option, told in ((("--roaming-net-id", "600013"), True),
                             (("--roaming", "none"), False),
                             (("--roaming", "any"), True),
                             (("--roaming", "default"), False),
                             (("--roaming-net-id", "600014"), False)):
            s.ctl(*device_set, *option)
            answer = self.home(device)
            self.assertEqual(answer.get("HNetID"), "000013" if told else None,
                             (option, answer))
            if not told:
                self.assertEqual(answer["Result"]["ResultCode"],
                                 "NoRoamingAgreement")
        s.ctl(*device_set, "--roaming", "any", "--ns-id", "0011223344556677")
        self.assertNotIn("HNSID", self.home(device))
        answer = self.home(device, "1.1", SenderNSID="0102030405060708")
        self.assertEqual(answer["HNSID"], "0011223344556677")

    def test_applications(self):
        s = self.server
        device = scenario.Device(s, "1.0.4")
        device.register("--mac-version", "1.0.4", "--app", "meters")
        s.ctl("app", "set", "meters", "--net-id", "000013", "--as-id",
              "as.example.org", "--roaming-net-id", "600013")
        self.assertEqual(self.home(device)["HNetID"], "%06x" % NET_ID)
        message, answer, _ = self.join(device, 1)
        self.assertIn("AppSKey", answer)
        s.ctl("app", "set", "meters", "--net-id", "000014", "--roaming",
              "none")
        self.assertEqual(self.home(device)["Result"]["ResultCode"],
                         "NoRoamingAgreement")
        message = join_req(device, device.phy(2))
        self.assertEqual(self.ask(message)["Result"]["ResultCode"],
                         "ActivationDisallowed")
        # The device's own word goes before its application's.
        s.ctl("device", "set", *device.words, "--net-id", "000013")
        self.join(device, 3)
        done = s.try_ctl("app", "delete", "meters")
        self.assertEqual(done.returncode, 1, done)


if __name__ == "__main__":
    scenario.main()
