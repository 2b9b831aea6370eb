#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The calls of admins, over the framed protocol: applications, peers of every
kind, JoinEUIs, trials of what a peer would get, traces; and what rejoins are
left to the Network Server."""
import secrets

import scenario
from proto_client import Refused, pb
from scenario import JOIN_EUI, NET_ID, mac_version, oracle

ROAMER = 0x600013
MAC_1_1 = mac_version("1.1.0")
STEPS = ["parse", "device", "access", "policy", "mic", "nonce", "accept",
         "keys", "commit"]


def request(call, sender=None, ident=1, **members):
    """A Request, with whom it speaks for."""
    message = pb.Request(id=ident)
    part = getattr(message, call)
    part.SetInParent()
    part.MergeFrom(type(part)(**members))
    if sender is not None:
        message.sender.CopyFrom(pb.Sender(**sender))
    return message


def ask(client, call, sender=None, **members):
    """The answer's message, or Refused."""
    client.send_frame(
        request(call, sender, **members).SerializeToString())
    response = client.receive()
    result = response.WhichOneof("result")
    if result == "error":
        raise Refused(response.error)
    return getattr(response, result)


class Calls(scenario.Case):
    """Peers, and what judges a rejoin; without tests."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        s.ctl("peer", "set", "ns", "--ns-id", "70b3d57ed0000098", "--ns-id",
              "70b3d57ed0000099")
        for name, net_id in ("roamer", "600013"), ("second", "000013"):
            s.certificate(name, "DNS:%s.example.org" % name)
            s.ctl("peer", "set", name, "--role", "ns", "--net-id", net_id,
                  "--cert-san", name + ".example.org", "--kek", "ns-kek")

    def setUp(self):
        self.clients = {}

    def tearDown(self):
        super().tearDown()
        self.hang_up()

    def hang_up(self):
        for client in self.clients.values():
            client.close()
        self.clients = {}

    def client(self, who):
        if who not in self.clients:
            self.clients[who] = (self.server.admin() if who == "admin"
                                 else self.server.tls(who))
        return self.clients[who]

    def ask(self, who, call, sender=None, **members):
        return ask(self.client(who), call, sender, **members)

    def assert_refused(self, code, who, call, sender=None, **members):
        """It is, and the log says so in one line; the line."""
        error = self.refused(code, self.ask, who, call, sender, **members)
        lines = self.server.lines("request=" + error.request_id)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("code=" + code, lines[0])
        return lines[0]

    # ---- joins and rejoins ----

    def rejoin_members(self, device, kind, count, session=None, **changes):
        members = dict(
            phy_payload=device.rejoin_phy(kind, count, session),
            mac_version=MAC_1_1, net_id=NET_ID, dev_addr=0x26011bdb,
            dl_settings=0x91, rx_delay=3)
        members.update(changes)
        return {k: v for k, v in members.items() if v is not None}

    def on_air(self, members):
        """What the oracle needs of a join's or rejoin's members."""
        return dict(net_id=members["net_id"].to_bytes(3, "big"),
                    dev_addr=members["dev_addr"].to_bytes(4, "big"),
                    dl_settings=bytes([members["dl_settings"]]),
                    rx_delay=bytes([members["rx_delay"]]),
                    cf_list=members.get("cf_list", b""))

    def judged(self, device, blank, key, answer):
        """The oracle's view of what was answered; all of it is compared."""
        clear = oracle.aes_encrypt(key, answer.phy_payload[1:])
        blank.join_nonce = clear[:3][::-1]
        self.assertEqual(answer.phy_payload, blank.accept())
        self.assertEqual(device.judge_keys(blank, answer), [])
        self.assertEqual(len(answer.session_key_id), 16)
        return blank

    def join(self, device, dev_nonce, **changes):
        """A join that is answered rightly: its answer and its session."""
        members = device.members(dev_nonce, **changes)
        answer = self.ask("ns", "join", **members)
        blank = device.oracle(dev_nonce=dev_nonce.to_bytes(2, "big"),
                              **self.on_air(members))
        return answer, self.judged(device, blank, blank.nwk_root, answer)

    def rejoin(self, device, kind, count, session=None, **changes):
        members = self.rejoin_members(device, kind, count, session, **changes)
        answer = self.ask("ns", "rejoin", **members)
        blank = device.rejoin(kind, count, session, **self.on_air(members))
        return answer, self.judged(device, blank, blank.accept_key, answer)

    def assert_keys(self, device, answer):
        """The session's keys are given again, the same ones."""
        keys = self.ask("ns", "network_keys", dev_eui=device.dev_eui,
                        session_key_id=answer.session_key_id)
        for field in "f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key":
            self.assertEqual(getattr(keys, field), getattr(answer, field))
        key = self.ask("as", "app_s_key", dev_eui=device.dev_eui,
                       join_eui=device.join_eui,
                       session_key_id=answer.session_key_id)
        self.assertEqual(key.app_s_key, answer.app_s_key)

    def counters(self, *prefixes):
        """What the workers counted, those whose name begins so."""
        sums = {}
        for worker in self.server.status().workers:
            for c in worker.counters:
                if c.name.startswith(prefixes):
                    sums[c.name] = sums.get(c.name, 0) + c.value
        return sums


class LeftToTheNs(Calls):
    options = ("--conf", "rejoin-mic = ns", "--conf", "repeat-window = 0",
               "--conf", "join-euis = {'70b3d57e00000000/32', "
               "'a84041000181a1b2'}", "--conf",
               "default-join-eui = '70b3d57ed0000001'")

    def test_mic_of_types_0_and_2(self):
        """The MIC is not looked at, and only the same frame is refused."""
        device = self.server.device("1.1.0")
        _, live = self.join(device, 0)
        for kind in 0, 2:
            phy = device.rejoin_phy(kind, 3, live)
            members = self.rejoin_members(
                device, kind, 3, live, phy_payload=phy[:-4] + b"\1\2\3\4")
            self.ask("ns", "rejoin", **members)
            self.assert_refused("RJ_COUNT_REPLAYED", "ns", "rejoin",
                                **members)
        phy = device.rejoin_phy(1, 3)
        self.assert_refused(
            "MIC_FAILED", "ns", "rejoin",
            **self.rejoin_members(device, 1, 3,
                                  phy_payload=phy[:-4] + b"\1\2\3\4"))

    def test_join_euis(self):
        answer = self.ask("admin", "join_euis")
        self.assertEqual(list(answer.prefixes),
                         ["70b3d57e00000000/32", "a84041000181a1b2/64"])
        self.assertEqual(answer.default_join_eui.hex(), "70b3d57ed0000001")
        self.assert_refused("NOT_ALLOWED", "ns", "join_euis")
        device = self.server.device("1.1.0")
        device.join_eui = bytes.fromhex("0011223344556677")
        self.assert_refused("JOIN_EUI_NOT_SERVED", "ns", "join",
                            **device.members(1))
        self.assert_refused("JOIN_EUI_NOT_SERVED", "ns", "rejoin",
                            **self.rejoin_members(device, 1, 1))
        self.assert_refused("JOIN_EUI_NOT_SERVED", "ns", "home_ns",
                            dev_eui=device.dev_eui, net_id=NET_ID,
                            join_eui=device.join_eui)


class Admin(Calls):
    # ---- applications ----

    def app(self, **members):
        return self.ask("admin", "app_set", app=pb.App(**members)).created

    def test_applications(self):
        everything = dict(
            name="all", net_ids=[0x13, 0x600013], as_id="as.example.org",
            ns_kek="ns-kek", as_kek="as-kek", ns_id=b"12345678",
            roaming=pb.ROAMING_LISTED, roaming_net_ids=[1, 0xffffff])
        self.assertTrue(self.app(**everything))
        self.assertFalse(self.app(name="all"))  # changes nothing
        self.assertEqual(self.ask("admin", "app_get", name="all").app,
                         pb.App(**everything))
        self.app(name="all", clear_net_ids=True, net_ids=[0x14], as_id="",
                 ns_kek="", as_kek="", ns_id=b"", roaming_net_ids=[2],
                 clear_roaming_net_ids=True)
        self.assertEqual(self.ask("admin", "app_get", name="all").app,
                         pb.App(name="all", net_ids=[0x14],
                                roaming=pb.ROAMING_LISTED,
                                roaming_net_ids=[2]))
        self.app(name="all", roaming=pb.ROAMING_ANY)  # drops the list
        self.assertEqual(self.ask("admin", "app_get", name="all").app,
                         pb.App(name="all", net_ids=[0x14],
                                roaming=pb.ROAMING_ANY))
        self.ask("admin", "app_delete", name="all")
        for call in "app_get", "app_delete":
            self.assert_refused("NOT_FOUND", "admin", call, name="all")

    def test_applications_refused(self):
        for code, members in (
                ("MALFORMED_REQUEST", {}),
                ("MALFORMED_REQUEST", {"name": ""}),
                ("MALFORMED_REQUEST", {"name": "a" * 65}),
                ("MALFORMED_REQUEST", {"name": "a\tb"}),
                ("MALFORMED_REQUEST", {"name": "a", "ns_id": b"1234567"}),
                ("MALFORMED_REQUEST", {"name": "a", "as_id": "a" * 129}),
                ("MALFORMED_REQUEST", {"name": "a", "net_ids": range(17)}),
                ("MALFORMED_REQUEST", {"name": "a", "net_ids": [1 << 24]}),
                ("MALFORMED_REQUEST", {"name": "a", "roaming_net_ids":
                                       range(17),
                                       "roaming": pb.ROAMING_LISTED}),
                ("MALFORMED_REQUEST", {"name": "a", "roaming_net_ids": [1],
                                       "roaming": pb.ROAMING_ANY}),
                ("KEK_MISSING", {"name": "a", "ns_kek": "nobody's"}),
                ("KEK_MISSING", {"name": "a", "as_kek": "nobody's"})):
            with self.subTest(code=code, **members):
                self.assert_refused(code, "admin", "app_set",
                                    app=pb.App(**members))
        self.assert_refused("MALFORMED_REQUEST", "admin", "app_set")
        self.assert_refused("NOT_FOUND", "admin", "app_get", name="a")
        for call, members in (("app_set", {"app": pb.App(name="a")}),
                              ("app_get", {"name": "a"}),
                              ("app_delete", {"name": "a"}),
                              ("app_list", {}),
                              ("peer_test", {"name": "ns"})):
            for who in "ns", "as":
                self.assert_refused("NOT_ALLOWED", who, call, **members)

    def test_pages_of_applications(self):
        """The largest rows there may be still come in frames."""
        names = ["%03d" % i + "p" * 61 for i in range(130)]
        for name in names:
            self.app(name=name, net_ids=range(0xffff00, 0xffff10),
                     as_id="a" * 128, ns_kek="ns-kek", as_kek="as-kek",
                     ns_id=b"12345678", roaming=pb.ROAMING_LISTED,
                     roaming_net_ids=range(0xffff10, 0xffff20))
        got, after, pages = [], None, 0
        while True:
            page = self.ask("admin", "app_list",
                            **({} if after is None else {"after": after}))
            got += [a.name for a in page.apps]
            pages += 1
            if not page.more:
                break
            after = page.apps[-1].name
        self.assertEqual([n for n in got if n in names], names)
        self.assertLessEqual(pages, 6)
        for name in names:
            self.ask("admin", "app_delete", name=name)

    def test_devices_found(self):
        """By application, by prefix, by name; page by page."""
        devices = [self.server.device("1.0.4", "--app", app, "--name", name,
                                      dev_eui=bytes.fromhex(eui))
                   for eui, app, name in (
                       ("a000000000000001", "tanks", "red"),
                       ("a000000000000012", "tanks", "blue"),
                       ("a000000000000013", "silos", "red"),
                       ("a100000000000000", "tanks", "far"))]
        found = self.found
        ids = [d.id for d in devices]
        self.assertEqual(found(dev_eui_prefix="a000000000000000/8"),
                         ids[:3])
        self.assertEqual(found(dev_eui_prefix="a000000000000010/60"),
                         ids[1:3])
        self.assertEqual(found(app="tanks"), [ids[0], ids[1], ids[3]])
        self.assertEqual(found(app="tanks", limit=1),
                         [ids[0], ids[1], ids[3]])
        self.assertEqual(
            found(app="tanks", dev_eui_prefix="a000000000000010/60"),
            ids[1:2])
        self.assertEqual(found(app="nobody's"), [])
        for prefix in "a0", "a000000000000000/2", "a000000000000000/65", "":
            self.refused("MALFORMED_REQUEST", self.ask, "admin",
                         "device_list", dev_eui_prefix=prefix)
        self.refused("MALFORMED_REQUEST", self.ask, "admin", "device_list",
                     after=pb.DeviceId(dev_eui=b"short"))

        got = self.ask("admin", "device_get", app="silos", name="red")
        self.assertEqual(got.device.id, ids[2])
        self.assertTrue(got.device.has_app_key)
        for members, code in (
                (dict(app="silos", name="blue"), "UNKNOWN_DEVICE"),
                (dict(name="red"), "UNKNOWN_DEVICE"),
                (dict(app="silos"), "MALFORMED_REQUEST"),
                (dict(app="silos", name=""), "MALFORMED_REQUEST"),
                (dict(app="silos", name="x" * 65), "MALFORMED_REQUEST"),
                (dict(app="silos", name="red", id=ids[2]),
                 "MALFORMED_REQUEST")):
            with self.subTest(**members):
                self.refused(code, self.ask, "admin", "device_get", **members)
        self.assertEqual(
            self.server.ctl("device", "get", "--app", "silos", "--name",
                            "red")["device"]["id"]["dev_eui"],
            "a000000000000013")
        page = self.server.ctl("device", "list", "--prefix", "A0", "--limit",
                               "2")
        self.assertEqual(len(page["devices"]), 2)
        page = self.server.ctl("device", "list", "--prefix", "A0", "--after",
                               page["next"])
        self.assertEqual([d["id"]["dev_eui"] for d in page["devices"]],
                         ["a000000000000013"])
        self.assertNotIn("next", page)

    def found(self, **members):
        """The ids of all pages of a list."""
        ids, more, after = [], True, {}
        while more:
            answer = self.ask("admin", "device_list", **after, **members)
            ids += [device.id for device in answer.devices]
            more, after = answer.more, dict(after=answer.next)
            self.assertTrue(answer.devices or not more)
        return ids

    def test_devices_inherit(self):
        device = scenario.Device(self.server, "1.1.0")
        device.register("--mac-version", "1.1.0", "--app", "heirs")
        self.app(name="heirs", net_ids=[0x14])
        self.assert_refused("NOT_ALLOWED", "ns", "join", **device.members(1))
        self.app(name="heirs", net_ids=[NET_ID], as_id="as.example.org")
        answer, _ = self.join(device, 1)
        self.assert_keys(device, answer)
        self.assert_refused("IN_USE", "admin", "app_delete", name="heirs")
        # The device's own word goes before its application's.
        self.server.ctl("device", "set", *device.words, "--net-id", "000014")
        self.assert_refused("NOT_ALLOWED", "ns", "rejoin",
                            **self.rejoin_members(device, 1, 1))
        self.server.ctl("device", "delete", *device.words)
        self.ask("admin", "app_delete", name="heirs")

    # ---- home networks ----

    def test_home_network(self):
        device = self.server.device("1.0.4")

        def settings(**members):
            self.ask("admin", "device_set", id=device.id,
                     settings=pb.DeviceSettings(**members))

        def home(who="roamer", net_id=ROAMER, **members):
            return self.ask(who, "home_ns", net_id=net_id,
                            dev_eui=device.dev_eui, **members)

        def refused(code="NO_ROAMING_AGREEMENT", who="roamer", **changes):
            self.assert_refused(code, who, "home_ns", **dict(
                dict(dev_eui=device.dev_eui, net_id=ROAMER), **changes))

        refused()
        self.assertEqual(home("ns", NET_ID).net_id, NET_ID)
        for members, told in (
                ({"roaming": pb.ROAMING_ANY}, True),
                ({"roaming": pb.ROAMING_NONE}, False),
                ({"roaming": pb.ROAMING_LISTED,
                  "roaming_net_ids": [0x14]}, False),
                ({"roaming_net_ids": [ROAMER]}, True),
                ({"clear_roaming_net_ids": True}, False),
                ({"roaming": pb.ROAMING_DEFAULT}, False)):
            settings(**members)
            with self.subTest(**members):
                if told:
                    self.assertEqual(home(), pb.HomeNsAnswer(net_id=NET_ID))
                else:
                    refused()
        self.app(name="roamers", roaming=pb.ROAMING_LISTED,
                 roaming_net_ids=[ROAMER])
        settings(app="roamers", ns_id=b"12345678")
        told = pb.HomeNsAnswer(net_id=NET_ID, ns_id=b"12345678")
        self.assertEqual(home(), told)
        self.assertEqual(home(join_eui=JOIN_EUI), told)
        settings(roaming=pb.ROAMING_NONE)  # its own word counts
        refused()
        settings(roaming=pb.ROAMING_ANY, ns_id=b"")
        # The home it joined at last.
        settings(net_ids=[ROAMER])
        self.assertEqual(home().net_id, NET_ID)
        self.ask("roamer", "join", **device.members(1, net_id=ROAMER))
        self.assertEqual(home("ns", NET_ID).net_id, ROAMER)
        refused("NOT_ALLOWED", net_id=NET_ID)
        refused("NOT_ALLOWED", "as")
        refused("UNKNOWN_DEVICE", dev_eui=b"87654321")
        refused("UNKNOWN_DEVICE", join_eui=b"87654321")
        refused("MALFORMED_REQUEST", dev_eui=b"1234567")
        refused("MALFORMED_REQUEST", join_eui=b"1234567")
        refused("MALFORMED_REQUEST", net_id=1 << 24)
        self.assert_refused("MALFORMED_REQUEST", "roamer", "home_ns",
                            net_id=ROAMER)
        self.assert_refused("MALFORMED_REQUEST", "roamer", "home_ns",
                            dev_eui=device.dev_eui)

    # ---- peers ----

    def test_peer_of_every_kind(self):
        hashes = {n: secrets.token_bytes(32) for n in ("bearer", "basic")}
        fingerprint = secrets.token_bytes(32)
        peer = dict(name="both", role=pb.ROLE_NS_AS, net_ids=[0x20],
                    as_ids=["both.example.org"], ns_ids=[b"12345678"],
                    cert_fingerprint=fingerprint, basic_user="user",
                    bearer_hash=hashes["bearer"], basic_hash=hashes["basic"],
                    answer_url="https://both.example.org/", answer_ca="/ca",
                    answer_cert="/cert", answer_key="/key")
        self.ask("admin", "peer_set", peer=pb.Peer(**peer))
        got = self.ask("admin", "peer_get", name="both").peer
        for field, value in peer.items():
            if not field.endswith("_hash"):
                self.assertEqual(getattr(got, field), value, field)
        self.assertEqual(got.bearer_hash, hashes["bearer"][:4])
        self.assertIn(got.basic_hash, (b"", hashes["basic"][:4]))
        self.ask("admin", "peer_set", peer=pb.Peer(
            name="both", ns_ids=[b"12345678", b"abcdefgh"]))
        got = self.ask("admin", "peer_get", name="both").peer
        self.assertEqual(list(got.ns_ids), [b"12345678", b"abcdefgh"])
        for code, changes in (
                ("MALFORMED_REQUEST", {"ns_ids": [b"1234567"]}),
                ("MALFORMED_REQUEST", {"bearer_hash": b"x" * 31}),
                ("MALFORMED_REQUEST", {"basic_hash": b"x" * 33}),
                ("MALFORMED_REQUEST", {"basic_hash": b""}),
                ("MALFORMED_REQUEST", {"basic_user": ""}),
                ("MALFORMED_REQUEST", {"answer_url": "ftp://x/"}),
                ("MALFORMED_REQUEST", {"answer_key": ""})):
            with self.subTest(**changes):
                self.assert_refused(code, "admin", "peer_set", peer=pb.Peer(
                    name="both", **changes))
        # An empty value clears, each credential for itself.
        self.ask("admin", "peer_set", peer=pb.Peer(
            name="both", basic_user="", basic_hash=b"", clear_ns_ids=True,
            answer_url="", answer_ca="", answer_cert="", answer_key=""))
        self.ask("admin", "peer_set", peer=pb.Peer(
            name="both", cert_fingerprint=b""))
        got = self.ask("admin", "peer_get", name="both").peer
        self.assertEqual(got.bearer_hash, hashes["bearer"][:4])
        for field in ("ns_ids", "basic_user", "basic_hash", "answer_url",
                      "answer_ca", "answer_cert", "answer_key",
                      "cert_fingerprint"):
            self.assertFalse(getattr(got, field), field)
        self.assert_refused("MALFORMED_REQUEST", "admin", "peer_set",
                            peer=pb.Peer(name="both", bearer_hash=b""))
        self.ask("admin", "peer_delete", name="both")

    # ---- what a peer would get ----

    def trial(self, name, call, sender=None, **members):
        return self.ask(
            "admin", "peer_test", name=name,
            request=request(call, sender, **members).SerializeToString())

    def assert_trial_refused(self, code, step, *args, **members):
        answer = self.trial(*args, **members)
        self.assertTrue(answer.HasField("code"), answer)
        self.assertEqual(pb.ErrorCode.Name(answer.code), code, answer)
        self.assertTrue(answer.reason)
        if step is not None:
            self.assertEqual(answer.step, step, answer)
        for field in "join_nonce", "ns_kek", "as_kek", "home_ns":
            self.assertFalse(answer.HasField(field), answer)

    def test_trials_change_nothing(self):
        device = self.server.device("1.1.0", "--roaming", "any")
        answer, live = self.join(device, 5)
        names = ("joins_", "rejoins_", "keys_", "homes_", "store_")
        before = device.get(), self.counters(*names)
        join, rejoin = device.members(6), self.rejoin_members(
            device, 0, 1, live)
        ident = dict(session_key_id=answer.session_key_id,
                     dev_eui=device.dev_eui)
        home = dict(dev_eui=device.dev_eui, net_id=ROAMER)
        for call, members in (("join", join), ("rejoin", rejoin)):
            for _ in range(2):
                got = self.trial("ns", call, {"net_id": NET_ID}, **members)
                self.assertFalse(got.HasField("code"), got)
                self.assertEqual((got.join_nonce, got.ns_kek, got.as_kek),
                                 (2, "ns-kek", "as-kek"))
                self.assertEqual(got.device, device.id)
        got = self.trial("as", "app_s_key", **ident)
        self.assertFalse(got.HasField("code"), got)
        self.assertEqual(got.as_kek, "as-kek")
        got = self.trial("roamer", "home_ns", **home)
        self.assertFalse(got.HasField("code"), got)
        self.assertEqual(got.home_ns, pb.HomeNsAnswer(net_id=NET_ID))
        self.assertEqual(got.device, device.id)
        bad = device.phy(7)[:-1] + b"\0"
        for args, members in (
                (("MIC_FAILED", "mic", "ns", "join"),
                 dict(join, phy_payload=bad)),
                (("DEV_NONCE_REPLAYED", "nonce", "ns", "join"),
                 device.members(5, dev_addr=1)),
                (("NOT_ALLOWED", "access", "roamer", "join"),
                 dict(join, net_id=ROAMER)),
                (("NOT_ALLOWED", "role", "as", "join"), join),
                (("PEER_UNKNOWN", "sender", "ns", "join",
                  {"net_id": ROAMER}), join),
                (("OPTNEG_MISMATCH", "policy", "ns", "rejoin"),
                 dict(rejoin, dl_settings=0)),
                (("FRAME_SIZE", "parse", "ns", "rejoin"),
                 dict(rejoin, phy_payload=b"x")),
                (("UNKNOWN_DEVICE", "device", "ns", "join"),
                 self.server_unknown()),
                (("MALFORMED_REQUEST", None, "ns", "join"), {}),
                (("UNKNOWN_SESSION", None, "as", "app_s_key"),
                 {"session_key_id": b"x" * 16}),
                (("NOT_ALLOWED", "role", "as", "home_ns"), home),
                (("UNKNOWN_DEVICE", None, "roamer", "home_ns"),
                 {"dev_eui": b"87654321", "net_id": ROAMER})):
            with self.subTest(args=args):
                self.assert_trial_refused(*args, **members)
        self.assert_refused("NOT_FOUND", "admin", "peer_test", name="nobody",
                            request=request("join").SerializeToString())
        for octets in (b"", b"\xff", request("ping").SerializeToString(),
                       request("peer_test", name="ns").SerializeToString()):
            self.assert_refused("MALFORMED_REQUEST", "admin", "peer_test",
                                name="ns", request=octets)
        self.assertEqual((device.get(), self.counters(*names)), before)
        # And what was foretold comes true.
        _, made = self.rejoin(device, 0, 1, live)
        self.assertEqual(made.join_nonce, b"\0\0\2")
        self.ask("ns", "join", **join)

    def server_unknown(self):
        return scenario.Device(self.server, "1.1.0").members(0)

    def test_trial_of_a_repetition(self):
        device = self.server.device("1.0.4")
        self.join(device, 1)
        got = self.trial("ns", "join", **device.members(1))
        self.assertFalse(got.HasField("code"), got)
        self.assertEqual(got.join_nonce, 1)  # the one it has

    # ---- traces ----

    def test_trace(self):
        device = self.server.device("1.1.0")
        with self.server.admin() as watcher:
            ident = watcher.send("trace", dev_eui=device.dev_eui)

            def event():
                response = watcher.receive()
                self.assertEqual(response.id, ident)
                return response.trace.event

            self.assertEqual(watcher.receive().trace, pb.TraceAnswer())
            answer, live = self.join(device, 0x0102)
            e = event()
            self.assertEqual(
                (e.call, e.peer, e.mac_version, e.net_id, e.counter,
                 e.join_type, e.join_nonce, e.session_key_id, e.device),
                ("join", "ns", MAC_1_1, NET_ID, 0x0102, 255, 1,
                 answer.session_key_id, device.id))
            self.assertFalse(e.HasField("code") or e.repeated_answer, e)
            self.assertEqual([s.name for s in e.steps_us], STEPS)
            self.assertEqual(e.step, "commit")
            self.assertLessEqual(sum(s.value for s in e.steps_us),
                                 e.total_us)
            again = self.ask("ns", "join", **device.members(0x0102))
            self.assertEqual(again, answer)
            e = event()
            self.assertTrue(e.repeated_answer)
            self.assertEqual(e.join_nonce, 1)
            self.rejoin(device, 2, 4, live)
            e = event()
            self.assertEqual((e.call, e.join_type, e.counter, e.join_nonce),
                             ("rejoin", 2, 4, 2))
            error = self.refused(
                "RJ_COUNT_REPLAYED", self.ask, "ns", "rejoin",
                **self.rejoin_members(device, 0, 4, live))
            e = event()
            self.assertEqual(
                (pb.ErrorCode.Name(e.code), e.step, e.request_id, e.counter,
                 e.reason), ("RJ_COUNT_REPLAYED", "nonce", error.request_id,
                             4, error.message))
            self.assertEqual([s.name for s in e.steps_us], STEPS[:6])
            for who, call, members in (
                    ("ns", "network_keys", {}), ("as", "app_s_key", {})):
                self.ask(who, call, dev_eui=device.dev_eui,
                         session_key_id=answer.session_key_id, **members)
                e = event()
                self.assertEqual((e.call, e.peer), (call, who))
                self.assertEqual(e.device.dev_eui, device.dev_eui)
            self.refused("NO_ROAMING_AGREEMENT", self.ask, "roamer",
                         "home_ns", dev_eui=device.dev_eui, net_id=ROAMER)
            e = event()
            self.assertEqual((e.call, e.peer, e.code),
                             ("home_ns", "roamer", pb.NO_ROAMING_AGREEMENT))


if __name__ == "__main__":
    scenario.main()
