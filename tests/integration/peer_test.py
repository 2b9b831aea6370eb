#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""joineryctl peer test against what the server then does: each message is
tried twice, with nothing changed, and then sent in earnest by that peer."""
import itertools
import json

import scenario
from bi_client import app_s_key_req, changed, home_ns_req, join_req

VERSIONS = "1.0", "1.1"
PREFIXES = 'join-euis = {"70b3d57ed0000000/36"}'


def chirpstack(message):
    """The same as ChirpStack writes it: no member is ever left out."""
    message = dict(message, SenderToken="", ReceiverToken="",
                   TransactionID=2818493410)
    if message["MessageType"] in ("JoinReq", "RejoinReq"):
        message = dict({"CFList": ""}, **message)
    return message


def the_things_stack(message):
    """The same as The Things Stack writes it: upper case, always 0."""
    def upper(name, value):
        hexadecimal = name not in ("ProtocolVersion", "MessageType",
                                   "MACVersion", "SenderID")
        return (value.upper() if hexadecimal and isinstance(value, str)
                else value)
    message = {k: upper(k, v) for k, v in message.items()}
    return dict(message, TransactionID=0)


class PeerTest(scenario.Case):
    # However slow the machine is, a repetition stays one.
    options = ("--conf", PREFIXES, "--conf", "repeat-window = 600000")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        for name in "roamer", "home", "poor", "stack":
            s.certificate(name, "DNS:%s.example.org" % name)
        for name, *words in (
                ("roamer", "ns", "--net-id", "600013", "--kek", "ns-kek"),
                ("home", "ns", "--net-id", "000013", "--kek", "ns-kek",
                 "--ns-id", "0102030405060708"),
                ("poor", "ns", "--net-id", "000013"),
                ("stack", "ns-as", "--net-id", "000013", "--as-id", "stack",
                 "--kek", "ns-kek", "--clear-keys", "no")):
            s.ctl("peer", "set", name, "--role", *words, "--cert-san",
                  name + ".example.org")

    def setUp(self):
        self.device = self.server.device("1.0.4")
        self.device11 = self.server.device("1.1.0")

    # ---- one message, both ways ----

    def snapshot(self):
        """All that is known of both devices."""
        with self.server.admin() as admin:
            return [admin.call("device_get", id=device.id).SerializeToString()
                    for device in (self.device, self.device11)]

    def dry_run(self, peer, body):
        """What peer test says; it has to say the same of a second try."""
        before = self.snapshot()
        runs = [self.server.try_ctl("peer", "test", peer, "--json",
                                    stdin=body) for _ in range(2)]
        self.assertEqual(runs[0].stdout, runs[1].stdout)
        self.assertEqual(self.snapshot(), before)
        verdict = json.loads(runs[0].stdout)
        good = verdict.get("result") == "Success"
        self.assertEqual(runs[0].returncode, 0 if good else 1, runs[0])
        self.assertEqual("error" in verdict, not good)
        if not good:
            self.assertTrue(verdict["reason"])
        people = self.server.try_ctl("peer", "test", peer, stdin=body)
        self.assertEqual(people.returncode, runs[0].returncode)
        return verdict

    def send(self, peer, body):
        """The HTTP status, and the answer if there is one."""
        with self.server.bi(peer) as client:
            response, text = client.post(body)
        answer = (json.loads(text) if response.getheader("Content-Type") ==
                  "application/json" and text else {})
        return response.status, answer

    def same(self, peer, message, expected=None):
        """Try and send; what the server said.  expected: the ResultCode."""
        body = message if isinstance(message, str) else json.dumps(message)
        verdict = self.dry_run(peer, body)
        status, answer = self.send(peer, body)
        code = answer.get("Result", {}).get("ResultCode")
        with self.subTest(peer=peer, message=body[:600]):
            self.assertEqual(int(verdict.get("http_status", 200)), status)
            self.assertEqual(verdict.get("result"), code, (verdict, answer))
            if expected:
                self.assertEqual(code, expected, (verdict, answer))
            self.assert_same_answer(verdict, answer)
        return verdict, answer

    def assert_same_answer(self, verdict, answer):
        """The parts of a success that peer test foretells."""
        if verdict.get("result") != "Success":
            return
        for member, field in (("FNwkSIntKey", "ns_kek"),
                              ("NwkSKey", "ns_kek"), ("AppSKey", "as_kek")):
            if member in answer:
                self.assertEqual(answer[member]["KEKLabel"], verdict[field])
        if "ns_kek" in verdict and "as_kek" not in verdict:
            self.assertNotIn("AppSKey", answer)
        if "home_ns" in verdict:
            self.assertEqual(verdict["home_ns"]["net_id"], answer["HNetID"])
        if "join_nonce" in verdict:
            session = self.server.ctl(
                "session", "get", answer["SessionKeyID"])["session"]
            self.assertEqual(session["join_nonce"], verdict["join_nonce"])

    # ---- what is answered ----

    def test_joins(self):
        n = 0
        for version in VERSIONS:
            for shape in dict, chirpstack, the_things_stack:
                for device in self.device, self.device11:
                    n += 1
                    message = shape(join_req(device, device.phy(n), version))
                    self.same("ns", message, "Success")
                    # The same once more is a repetition; others are replays.
                    self.same("ns", message, "Success")
                    self.same("ns", dict(message, RxDelay=5),
                              "FrameReplayed" if version == "1.1"
                              else "JoinReqFailed")
                    self.same("ns", join_req(device, device.phy(n), version,
                                             CFList="00" * 16),
                              "FrameReplayed" if version == "1.1"
                              else "JoinReqFailed")

    def test_rejoins(self):
        device = self.device11
        _, answer = self.same("ns", join_req(device, device.phy(1)))
        device_session = self.oracle_session(device, answer, 1)
        for n, version in enumerate(VERSIONS):
            for kind, session in ((1, None), (0, device_session),
                                  (2, device_session)):
                count = 10 * (n + 1) + kind
                message = join_req(
                    device, device.rejoin_phy(kind, count, session), version,
                    kind="RejoinReq")
                self.same("ns", message, "Success")
                self.same("ns", message, "Success")
                self.same("ns", dict(message, RxDelay=3),
                          "FrameReplayed" if version == "1.1"
                          else "JoinReqFailed")
            self.same("ns", join_req(
                self.device, device.rejoin_phy(1, 99), version,
                kind="RejoinReq"))
            wrong = bytearray(device.rejoin_phy(1, 99))
            wrong[-1] ^= 1
            self.same("ns", join_req(device, wrong, version,
                                     kind="RejoinReq"), "MICFailed")

    def oracle_session(self, device, answer, dev_nonce):
        """The oracle's view of the session that an answer began."""
        members = dict(dev_nonce=dev_nonce.to_bytes(2, "big"),
                       net_id=b"\0\0\x13", dev_addr=bytes.fromhex("26011bda"),
                       dl_settings=b"\x80", rx_delay=b"\1")
        blank = device.oracle(**members)
        clear = scenario.oracle.aes_encrypt(
            blank.nwk_root, bytes.fromhex(answer["PHYPayload"])[1:])
        return device.oracle(join_nonce=clear[:3][::-1], **members)

    def test_session_keys(self):
        _, answer = self.same(
            "ns", join_req(self.device, self.device.phy(1)), "Success")
        session = answer["SessionKeyID"]
        for version in VERSIONS:
            right = app_s_key_req(self.device, session, version)
            for peer, message in (
                    ("as", right), ("as", chirpstack(right)),
                    ("as", the_things_stack(right)), ("ns", right),
                    ("stack", dict(right, SenderID="stack")),
                    ("stack", right), ("as", dict(right, SenderID="")),
                    ("as", dict(right, SenderID="x" * 128)),
                    ("as", dict(right, SenderID="x" * 129)),
                    ("as", dict(right, SessionKeyID="00" * 16)),
                    ("as", dict(right, SessionKeyID="00")),
                    ("as", dict(right, SessionKeyID="zz")),
                    ("as", dict(right, ReceiverID="0011223344556677")),
                    ("as", dict(right, DevEUI=self.device11.dev_eui.hex())),
                    ("as", changed(dict(right), {"DevEUI": None}))):
                self.same(peer, message)

    def test_home_networks(self):
        for version in VERSIONS:
            def ask(sender, **changes):
                return home_ns_req(self.device, version, sender, **changes)
            self.same("ns", ask("000013"), "Success")
            self.same("roamer", ask("600013"), "NoRoamingAgreement")
            self.same("ns", ask("600013"), "UnknownSender")
            self.same("as", ask("000013"), "UnknownSender")
            self.same("roamer", ask("600013", DevEUI="00" * 8))
            self.same("roamer", ask("600013", ReceiverID="00" * 8))
            self.same("roamer", ask("600013", DevEUI="00"))
        self.server.ctl("device", "set", *self.device.words, "--roaming",
                        "any", "--ns-id", "0102030405060708")
        for version in VERSIONS:
            self.same("roamer", home_ns_req(self.device, version), "Success")

    # ---- what is refused ----

    def test_members(self):
        self.same("ns", join_req(self.device, self.device.phy(40)))
        changes = [
            {name: bad} for name, bads in {
                "ProtocolVersion": ("2.0", "", 1.0, None),
                "TransactionID": (-1, 4294967296, "7", None, 1.5),
                "SenderID": ("13", "00001g", "600013", "000014"),
                "ReceiverID": ("00", "0011223344556677"),
                "SenderToken": ("0g", "ff" * 128, "ff" * 129, 5),
                "SenderNSID": ("0102030405060708", "01"),
                "ReceiverNSID": ("0102030405060708", "x"),
                "MACVersion": ("", "1.1", "1.2", "1.0.3", 1.0, None),
                "DevEUI": ("", "00" * 8, 5, None),
                "DevAddr": ("2601", None, 7),
                "DLSettings": ("80", "0", None),
                "RxDelay": (-1, 0, 15, 16, "1", True, None),
                "CFList": ("00", "zz" * 16, 0, "", None),
                "PHYPayload": ("", "0", "xx", "00" * 22, "00" * 1000, None,
                               "20" + "00" * 22, "00" * 23),
                "VSExtension": ({"VendorID": "000000", "Object": {}}, 7),
                "Unheard": ("of", None, [1, {"a": 2}]),
            }.items() for bad in bads]
        for n, (version, change) in enumerate(
                itertools.product(VERSIONS, changes)):
            message = join_req(self.device, self.device.phy(100 + n),
                               version, **change)
            self.same("ns", message)

    def test_types(self):
        for version in VERSIONS:
            right = join_req(self.device, self.device.phy(7), version)
            for kind in ("JoinReq", "RejoinReq", "AppSKeyReq", "HomeNSReq",
                         "PRStartReq", "PRStopReq", "HRStartReq",
                         "HRStopReq", "ProfileReq", "XmitDataReq",
                         "XmitLocReq", "ErrorNotif", "JoinAns", "RejoinAns",
                         "AppSKeyAns", "HomeNSAns", "PRStartAns", "Req", "",
                         "joinreq", "J" * 29 + "Req", "J" * 30 + "Req"):
                self.same("ns", dict(right, MessageType=kind))

    def test_peers_and_devices(self):
        stranger = scenario.Device(self.server, "1.0.4")
        keyless = scenario.Device(self.server, "1.1.0")
        app_key, keyless.app_key = keyless.app_key, None
        keyless.register("--mac-version", "1.1.0", "--net-id", "000013")
        keyless.app_key = app_key
        wrong = bytearray(self.device.phy(1))
        wrong[-1] ^= 1
        for version in VERSIONS:
            for peer, message in (
                    ("poor", join_req(self.device, self.device.phy(1))),
                    ("as", join_req(self.device, self.device.phy(1))),
                    ("stack", join_req(self.device, self.device.phy(1))),
                    ("roamer", join_req(self.device, self.device.phy(2),
                                        sender="600013")),
                    ("home", join_req(self.device, self.device.phy(3),
                                      SenderNSID="0102030405060708")),
                    ("home", join_req(self.device, self.device.phy(4),
                                      SenderNSID="0102030405060709")),
                    ("ns", join_req(stranger, stranger.phy(1))),
                    ("ns", join_req(keyless, keyless.phy(1))),
                    ("ns", join_req(self.device, wrong)),
                    ("ns", join_req(self.device11, self.device11.phy(1),
                                    DLSettings="00")),
                    ("ns", join_req(self.device, self.device11.phy(1)))):
                self.same(peer, dict(message, ProtocolVersion=version))

    def test_exhausted(self):
        self.same("ns", join_req(self.device, self.device.phy(1)), "Success")
        self.server.set_join_nonce(self.device, 0xFFFFFF)
        self.same("ns", join_req(self.device, self.device.phy(2)),
                  "JoinReqFailed")

    def test_garbage(self):
        right = json.dumps(join_req(self.device, self.device.phy(7)))
        for body in ("", "{", "[]", "17", "null", '"JoinReq"', right * 2,
                     right[:-1], right + "x", "{}", '{"a":"\\u0000"}',
                     '{"MessageType":"JoinReq"}', "\u2028", "[" * 3000,
                     '{"ProtocolVersion":"1.1"}',
                     right.replace("JoinReq", "Jo\\ninReq"),
                     right + " " * (32769 - len(right)),
                     right + " " * 100000):
            self.same("ns", body)
        self.same("ns", "\n " + right + " " * (32766 - len(right)),
                  "Success")

    def test_unknown_peer(self):
        done = self.server.try_ctl(
            "peer", "test", "nobody", "--json", stdin=json.dumps(
                join_req(self.device, self.device.phy(1))))
        self.assertEqual(done.returncode, 4, done)


if __name__ == "__main__":
    scenario.main()
