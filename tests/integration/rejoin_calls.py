#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rejoins, senders, home networks, dry runs and repeated requests in the
framed protocol; what is answered is judged by the oracle, what is refused
changes nothing."""
import os
import signal

import scenario
from bi_client import join_req
from proto_client import Refused, pb
from scenario import NET_ID, mac_version, oracle, until

OTHER_NET_ID = 0x600013
OTHER_JOIN_EUI = bytes.fromhex("a840410001020304")
NS_ID = bytes.fromhex("70b3d57ed0000099")


class Rejoins(scenario.Case):
    """What all the servers of this file have, and how they are asked."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        for name in "roamer", "second":
            s.certificate(name, "DNS:%s.example.org" % name)
        s.ctl("peer", "set", "roamer", "--role", "ns", "--net-id", "600013",
              "--cert-san", "roamer.example.org", "--kek", "ns-kek")
        s.ctl("peer", "set", "second", "--role", "ns", "--net-id", "000013",
              "--cert-san", "second.example.org", "--kek", "ns-kek",
              "--ns-id", NS_ID.hex())

    def call(self, call, peer="ns", **members):
        with self.server.tls(peer) as client:
            return client.call(call, **members)

    # ---- the judge ----

    def members(self, device, phy, **changes):
        members = dict(phy_payload=phy, mac_version=mac_version("1.1.0"),
                       net_id=NET_ID, dev_addr=0x26011bda, dl_settings=0xa4,
                       rx_delay=5)
        members.update(changes)
        return members

    def judge(self, device, blank, members, answer):
        """Compare an answer with what the oracle says; its join."""
        blank.net_id = members["net_id"].to_bytes(3, "big")
        blank.dev_addr = members["dev_addr"].to_bytes(4, "big")
        blank.dl_settings = bytes([members["dl_settings"]])
        blank.rx_delay = bytes([members["rx_delay"]])
        blank.cf_list = members.get("cf_list", b"")
        clear = oracle.aes_encrypt(blank.accept_key, answer.phy_payload[1:])
        blank.join_nonce = clear[:3][::-1]
        self.assertEqual(answer.phy_payload.hex(), blank.accept().hex())
        self.assertEqual(device.judge_keys(blank, answer), [])
        self.assertEqual(int.from_bytes(blank.join_nonce, "big"),
                         device.nonces()["join_nonce"])
        return blank

    def join(self, device, dev_nonce):
        """The session that a join makes."""
        members = self.members(device, device.phy(dev_nonce))
        answer = self.call("join", **members)
        return self.judge(device, device.oracle(
            dev_nonce=dev_nonce.to_bytes(2, "big")), members, answer)

    def rejoin(self, device, kind, count, session=None, **changes):
        """Members, answer and session of a rejoin that is answered rightly."""
        members = self.members(
            device, device.rejoin_phy(kind, count, session), **changes)
        answer = self.call("rejoin", **members)
        return members, answer, self.judge(
            device, device.rejoin(kind, count), members, answer)

    def assert_refused(self, code, device, call="rejoin", peer="ns",
                       **members):
        """It is refused, one line of the log says all, nothing changes."""
        before = device.get()
        error = self.refused(code, self.call, call, peer, **members)
        line, = self.server.lines(error.request_id)
        for part in (error.message, "code=" + code,
                     "dev_eui=" + device.dev_eui.hex(),
                     "join_eui=" + device.join_eui.hex(),
                     "mac_version=1.1.0"):
            self.assertIn(part, line)
        self.assert_unchanged(device, before)
        return error

    def assert_unchanged(self, device, before):
        after = device.get()
        for name in "nonces", "sessions":
            self.assertEqual(after.get(name), before.get(name))

    def same(self, members, answer, peer="ns"):
        """The request again gets this answer again."""
        self.assertEqual(self.call("rejoin", peer, **members), answer)


class Calls(Rejoins):
    options = ("--workers", "2")

    # ---- types, counters, MICs ----

    def test_types(self):
        device = self.server.device("1.1.0")
        session = self.join(device, 0x00ff)
        given = []
        for kind, count in ((0, 0), (1, 0x00ff), (2, 0), (1, 0x0100),
                            (0, 0x00ff), (0, 0x0100), (2, 0xffff)):
            cf_list = bytes(range(16)) if kind == 2 else b""
            with self.subTest(kind=kind, count=count):
                _, answer, session = self.rejoin(
                    device, kind, count, session, cf_list=cf_list)
                given.append((answer, session))
        for answer, session in given:  # all stay retrievable
            again = self.call("network_keys",
                              session_key_id=answer.session_key_id)
            for name in "f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key":
                self.assertEqual(getattr(again, name), getattr(answer, name))
            again = self.call("app_s_key", "as", dev_eui=device.dev_eui,
                              join_eui=device.join_eui,
                              session_key_id=answer.session_key_id)
            self.assertEqual(again.app_s_key, answer.app_s_key)

    def test_counts(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        self.rejoin(device, 0, 0x00ff, live)
        self.rejoin(device, 2, 0x0100, live)
        for kind, count in (0, 0x0100), (2, 0x00ff), (0, 0):
            error = self.assert_refused(
                "RJ_COUNT_REPLAYED", device, **self.members(
                    device, device.rejoin_phy(kind, count, live), rx_delay=1))
            self.assertIn("RJcount0 %d is not above the last, 256" % count,
                          error.message)
        self.rejoin(device, 1, 0x0100)
        live = self.join(device, 2)
        self.rejoin(device, 0, 0, live)  # anew with the session
        for count in 0x0100, 0x00ff, 0:  # but not RJcount1
            self.assert_refused(
                "RJ_COUNT_REPLAYED", device, **self.members(
                    device, device.rejoin_phy(1, count), rx_delay=1))
        self.rejoin(device, 1, 0x0101)
        self.server.ctl("nonces", "reset", *device.words)
        self.rejoin(device, 1, 0)
        self.rejoin(device, 0, 0, live)
        self.assertEqual(device.nonces()["join_nonce"], 9)

    def test_forged_frames(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        for kind in range(3):
            phy = device.rejoin_phy(kind, 7, live)
            # Type, NetID or JoinEUI, RJcount, first and last bit of the MIC.
            for at, bit in (2, 1), (-6, 1), (-4, 0x80), (-1, 1):
                forged = bytearray(phy)
                forged[at] ^= bit
                code = ("UNKNOWN_DEVICE" if (kind, at) == (1, 2)
                        else "MIC_FAILED")
                with self.subTest(kind=kind, at=at):
                    error = self.refused(
                        code, self.call, "rejoin",
                        **self.members(device, bytes(forged)))
                    self.assertIn("code=" + code,
                                  self.server.lines(error.request_id)[0])
        swapped = bytearray(device.rejoin_phy(0, 7, live))
        swapped[1] = 2
        self.assert_refused("MIC_FAILED", device,
                            **self.members(device, bytes(swapped)))
        self.assertEqual(device.nonces()["join_nonce"], 1)
        self.rejoin(device, 0, 7, live)

    def test_not_for_1_0(self):
        """Neither OptNeg 0 nor a device that is registered as 1.0.x."""
        device = self.server.device("1.1.0")
        phy = device.rejoin_phy(1, 1)
        for changes in (dict(dl_settings=0), dict(
                mac_version=mac_version("1.0.4"), dl_settings=0x80)):
            self.refused("OPTNEG_MISMATCH", self.call, "rejoin",
                         **self.members(device, phy, **changes))
        self.server.ctl("device", "set", *device.words, "--mac-version",
                        "1.0.4")
        self.assert_refused("OPTNEG_MISMATCH", device,
                            **self.members(device, phy))
        # One that says no version is believed to be what the NS says.
        self.server.ctl("device", "set", *device.words, "--mac-version", "")
        self.rejoin(device, 1, 1)

    # ---- who, and which device ----

    def test_senders(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        phy = device.rejoin_phy(0, 0, live)
        for sender in (dict(net_id=OTHER_NET_ID), dict(ns_id=NS_ID),
                       dict(as_id="as.example.org"), dict(as_id=""),
                       dict(net_id=NET_ID, ns_id=NS_ID)):
            with self.subTest(sender=sender):
                self.refused("PEER_UNKNOWN", self.call, "rejoin",
                             sender=sender, **self.members(device, phy))
        self.refused("MALFORMED_REQUEST", self.call, "rejoin",
                     sender=dict(ns_id=b"short"),
                     **self.members(device, phy))
        self.assert_refused("NOT_ALLOWED", device, peer="roamer",
                            **self.members(device, phy))
        self.assert_refused("NOT_ALLOWED", device, peer="roamer",
                            **self.members(device, phy, net_id=OTHER_NET_ID))
        self.refused("NOT_ALLOWED", self.call, "rejoin", "as",
                     **self.members(device, phy))
        self.server.ctl("device", "set", *device.words, "--ns-id",
                        "0102030405060708")
        for sender in None, dict(net_id=NET_ID), dict(ns_id=NS_ID):
            self.assert_refused("NOT_ALLOWED", device, peer="second",
                                sender=sender, **self.members(device, phy))
        self.server.ctl("device", "set", *device.words, "--ns-id", NS_ID.hex())
        answer = self.call("rejoin", "second",
                           sender=dict(net_id=NET_ID, ns_id=NS_ID),
                           **self.members(device, phy))
        for sender, code in ((dict(as_id="as.example.org"), None),
                             (dict(as_id="other"), "PEER_UNKNOWN"),
                             (dict(net_id=NET_ID), "PEER_UNKNOWN")):
            ask = dict(session_key_id=answer.session_key_id, sender=sender)
            if code is None:
                self.call("app_s_key", "as", **ask)
            else:
                self.refused(code, self.call, "app_s_key", "as", **ask)

    def test_euis_that_disagree(self):
        device, other = (self.server.device("1.1.0") for _ in range(2))
        live = self.join(device, 1)
        frames = {"join": device.phy(2), "rejoin": device.rejoin_phy(1, 2)}
        before = device.get()
        for call, phy in frames.items():
            for euis in (dict(dev_eui=other.dev_eui),
                         dict(dev_eui=device.dev_eui[::-1]),
                         dict(dev_eui=device.dev_eui[:7]),
                         dict(join_eui=OTHER_JOIN_EUI),
                         dict(join_eui=b"")):
                with self.subTest(call=call, **euis):
                    self.refused("MALFORMED_REQUEST", self.call, call,
                                 **self.members(device, phy, **euis))
        phy = device.rejoin_phy(0, 2, live)
        self.refused("MALFORMED_REQUEST", self.call, "rejoin",
                     **self.members(device, phy, dev_eui=other.dev_eui))
        self.refused("UNKNOWN_DEVICE", self.call, "rejoin",
                     **self.members(device, phy, join_eui=OTHER_JOIN_EUI))
        self.assert_unchanged(device, before)
        for kind in range(3):
            _, _, live = self.rejoin(device, kind, 3, live,
                                     dev_eui=device.dev_eui,
                                     join_eui=device.join_eui)

    def test_one_dev_eui_twice(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        twin = scenario.Device(self.server, "1.1.0", dev_eui=device.dev_eui)
        twin.join_eui = OTHER_JOIN_EUI
        twin.words = ("--join-eui", OTHER_JOIN_EUI.hex(),
                      "--dev-eui", twin.dev_eui.hex())
        twin.register("--mac-version", "1.1.0", "--net-id", "000013")
        phy = device.rejoin_phy(2, 0, live)
        self.refused("MALFORMED_REQUEST", self.call, "rejoin",
                     **self.members(device, phy))
        self.assert_refused("MIC_FAILED", twin, join_eui=twin.join_eui,
                            **self.members(twin, phy))
        self.rejoin(device, 2, 0, live, join_eui=device.join_eui)

    def test_malformed(self):
        device = self.server.device("1.1.0")
        phy = device.rejoin_phy(1, 1)
        for changes, code in (
                (dict(phy_payload=device.phy(1)), "FRAME_SIZE"),
                (dict(phy_payload=phy[:19]), "FRAME_SIZE"),
                (dict(phy_payload=b""), "FRAME_SIZE"),
                (dict(phy_payload=phy[:1] + b"\x03" + phy[2:]),
                 "MALFORMED_REQUEST"),
                (dict(phy_payload=b"\xc1" + phy[1:]), "MALFORMED_REQUEST"),
                (dict(phy_payload=b"\x00" + phy[1:]), "MALFORMED_REQUEST"),
                (dict(mac_version=0), "MALFORMED_REQUEST"),
                (dict(net_id=1 << 24), "MALFORMED_REQUEST"),
                (dict(cf_list=b"short"), "MALFORMED_REQUEST")):
            with self.subTest(**changes):
                self.refused(code, self.call, "rejoin",
                             **self.members(device, phy, **changes))
        self.refused("FRAME_SIZE", self.call, "join",
                     **self.members(device, phy))
        # What is refused before its frame is read is still found by device.
        error = self.refused(
            "MALFORMED_REQUEST", self.call, "rejoin", **self.members(
                device, phy, rx_delay=16, dev_eui=device.dev_eui))
        self.assertIn("dev_eui=" + device.dev_eui.hex(),
                      self.server.lines(error.request_id)[0])

    # ---- home networks ----

    def test_home_ns(self):
        device = self.server.device("1.1.0")
        ask = dict(dev_eui=device.dev_eui, net_id=OTHER_NET_ID)

        def home(**changes):
            return self.call("home_ns", "roamer", **dict(ask, **changes))
        self.refused("NO_ROAMING_AGREEMENT", home)
        self.server.ctl("device", "set", *device.words, "--roaming-net-id",
                        "600013", "--ns-id", NS_ID.hex())
        for join_eui in None, device.join_eui:
            self.assertEqual(home(join_eui=join_eui), pb.HomeNsAnswer(
                net_id=NET_ID, ns_id=NS_ID))
        self.refused("NOT_ALLOWED", home, net_id=NET_ID)
        self.refused("PEER_UNKNOWN", home, sender=dict(net_id=NET_ID))
        self.refused("UNKNOWN_DEVICE", home, join_eui=OTHER_JOIN_EUI)
        self.refused("UNKNOWN_DEVICE", home, dev_eui=bytes(8))
        self.refused("MALFORMED_REQUEST", home, dev_eui=bytes(7))
        self.refused("MALFORMED_REQUEST", home, net_id=None)
        self.refused("NOT_ALLOWED", self.call, "home_ns", "as", **ask)
        # Whose session it is does not matter while it names its home.
        self.join(device, 1)
        self.assertEqual(home().net_id, NET_ID)
        self.server.ctl("device", "set", *device.words, "--no-net-ids")
        self.assertEqual(home().net_id, NET_ID)  # where it joined last

    # ---- dry runs ----

    def dry_run(self, call, peer="ns", sender=None, **members):
        request = pb.Request()
        getattr(request, call).CopyFrom(
            type(getattr(request, call))(**members))
        if sender is not None:
            request.sender.CopyFrom(pb.Sender(**sender))
        with self.server.admin() as admin:
            return admin.call("peer_test", name=peer,
                              request=request.SerializeToString())

    def counters(self):
        """All that counts joins and keys, by name."""
        return {c.name: c.value for c in self.server.status().counters
                if "join" in c.name or "keys_" in c.name or "home" in c.name}

    def test_dry_runs(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        _, answer, _ = self.rejoin(device, 1, 1)
        before, counted = device.get(), self.counters()
        replay = self.members(device, device.rejoin_phy(1, 1), rx_delay=1)
        members = self.members(device, device.rejoin_phy(0, 0, live))
        forged = dict(members, phy_payload=members["phy_payload"][:-1] + b"!")
        for request, peer, code, step in (
                (members, "ns", "ERROR_UNSPECIFIED", "nonce"),
                (replay, "ns", "RJ_COUNT_REPLAYED", "nonce"),
                (forged, "ns", "MIC_FAILED", "mic"),
                (members, "roamer", "NOT_ALLOWED", "access"),
                (members, "as", "NOT_ALLOWED", "role"),
                (dict(members, sender=dict(net_id=1)), "ns", "PEER_UNKNOWN",
                 "sender"),
                (dict(members, rx_delay=16), "ns", "MALFORMED_REQUEST",
                 "call")):
            told = self.dry_run("rejoin", peer, **request)
            self.assertEqual((pb.ErrorCode.Name(told.code), told.step),
                             (code, step), told)
            if told.code == 0:
                self.assertEqual((told.join_nonce, told.ns_kek, told.as_kek),
                                 (3, "ns-kek", "as-kek"))
                self.assertEqual(told.device, device.id)
        told = self.dry_run("join", **self.members(device, device.phy(2)))
        self.assertEqual(told.join_nonce, 3, told)
        told = self.dry_run("app_s_key", "as",
                            session_key_id=answer.session_key_id)
        self.assertEqual((told.code, told.as_kek), (0, "as-kek"), told)
        told = self.dry_run("home_ns", "roamer", dev_eui=device.dev_eui,
                            net_id=OTHER_NET_ID)
        self.assertEqual(told.code, pb.NO_ROAMING_AGREEMENT)
        self.assert_unchanged(device, before)
        self.assertEqual(device.get(), before)  # no refusal noted either
        self.assertEqual(self.counters(), counted)
        self.assertEqual(self.rejoin(device, 0, 0, live)[0], members)

    def test_dry_runs_are_for_admins(self):
        device = self.server.device("1.1.0")
        request = pb.Request(rejoin=pb.JoinRequest(
            **self.members(device, device.rejoin_phy(1, 1))))
        packed = request.SerializeToString()
        for peer in "ns", "as":
            self.refused("NOT_ALLOWED", self.call, "peer_test", peer,
                         name="ns", request=packed)
        nested = pb.Request(peer_test=pb.PeerTestRequest(
            name="ns", request=packed))
        for bad in (nested.SerializeToString(), b"", b"\xff", pb.Request(
                device_get=pb.DeviceGetRequest(id=device.id))
                .SerializeToString()):
            with self.server.admin() as admin:
                self.refused("MALFORMED_REQUEST", admin.call, "peer_test",
                             name="ns", request=bad)
                self.refused("NOT_FOUND", admin.call, "peer_test",
                             name="nobody", request=packed)

    # ---- the same request again ----

    def kill_workers(self):
        old = {w.pid for w in self.server.status().workers}
        for pid in old:
            os.kill(pid, signal.SIGKILL)

        def new():
            status = self.server.ready()
            return status and not old & {w.pid for w in status.workers}
        until(new, "new workers")

    def test_repeated(self):
        for kind in range(3):
            device = self.server.device("1.1.0")
            live = self.join(device, 1)
            members, answer, _ = self.rejoin(device, kind, 0x0100, live)
            before = device.get()
            self.same(members, answer)
            self.same(dict(members, dev_eui=device.dev_eui,
                           join_eui=device.join_eui), answer)
            for peer, changes in (("ns", dict(dev_addr=1)),
                                  ("ns", dict(rx_delay=6)),
                                  ("ns", dict(dl_settings=0x80)),
                                  ("ns", dict(cf_list=bytes(16))),
                                  ("second", {})):
                self.assert_refused("RJ_COUNT_REPLAYED", device, peer=peer,
                                    **dict(members, **changes))
            self.assert_unchanged(device, before)

    def test_repeated_elsewhere(self):
        """By the other protocol, and of another worker."""
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        members, answer, _ = self.rejoin(device, 2, 1, live)
        self.kill_workers()
        self.same(members, answer)
        with self.server.bi("ns") as ns:
            ans = ns.ask(join_req(
                device, members["phy_payload"], "1.1", kind="RejoinReq",
                DLSettings="a4", RxDelay=5))
        self.assertEqual(ans["PHYPayload"], answer.phy_payload.hex())
        self.assertEqual(ans["SessionKeyID"], answer.session_key_id.hex())
        self.assertEqual(ans["SNwkSIntKey"]["AESKey"],
                         answer.s_nwk_s_int_key.aes_key.hex())

    def test_no_longer_repeated(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        members, _, heard = self.rejoin(device, 0, 1, live)
        later, answer, _ = self.rejoin(device, 1, 1)
        self.assert_refused("RJ_COUNT_REPLAYED", device, **members)
        self.same(later, answer)
        # The live session has moved meanwhile.
        members, answer, _ = self.rejoin(device, 2, 0, heard)
        self.same(members, answer)
        self.assertEqual(device.nonces()["join_nonce"], 4)
        # Another root key, and be it the same octets: no longer the same.
        device.register()
        self.assert_refused("RJ_COUNT_REPLAYED", device, **members)
        self.join(device, 2)

    def test_repeated_under_another_kek(self):
        """The same keys, as the peer can read them now."""
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        members, answer, _ = self.rejoin(device, 0, 1, live)
        self.server.ctl("device", "set", *device.words, "--ns-kek", "as-kek")
        again = self.call("rejoin", **members)
        self.assertEqual(again.phy_payload, answer.phy_payload)
        self.assertEqual(again.session_key_id, answer.session_key_id)
        self.assertEqual(again.s_nwk_s_int_key.kek_label, "as-kek")
        self.assertEqual(again.app_s_key, answer.app_s_key)

    def test_at_the_same_moment(self):
        """Ten times each on five connections: one session."""
        for kind in range(3):
            device = self.server.device("1.1.0")
            live = self.join(device, 1)
            members = self.members(device, device.rejoin_phy(kind, 1, live))
            clients = [self.server.tls("ns") for _ in range(5)]
            for client in clients:
                for _ in range(10):
                    client.send("rejoin", **members)
            answers = [client.receive().join.SerializeToString()
                       for client in clients for _ in range(10)]
            for client in clients:
                client.close()
            self.assertEqual(len(set(answers)), 1)
            self.assertTrue(answers[0])
            self.assertEqual(device.nonces()["join_nonce"], 2)

    def test_join_and_rejoins_at_once(self):
        """Whoever comes first: no JoinNonce twice, each answer in earnest."""
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        clients = [self.server.tls("ns") for _ in range(3)]
        for n in range(2, 30):
            clients[0].send("join", **self.members(device, device.phy(n)))
            clients[1].send("rejoin", **self.members(
                device, device.rejoin_phy(1, n)))
            clients[2].send("rejoin", **self.members(
                device, device.rejoin_phy(0, n, live)))
        given, refused = [], set()
        for client in clients:
            for _ in range(2, 30):
                response = client.receive()
                if response.WhichOneof("result") == "error":
                    refused.add(Refused(response.error).code)
                else:
                    given.append(response.join)
            client.close()
        # A join ends the session that the last ones came from.
        self.assertLessEqual(refused, {"MIC_FAILED", "RJ_COUNT_REPLAYED",
                                       "DEV_NONCE_REPLAYED"})
        self.assertEqual(len({a.session_key_id for a in given}), len(given))
        self.assertEqual(device.nonces()["join_nonce"], 1 + len(given))

    def test_zz_the_service_goes_on(self):
        self.serves()


class NoWindow(Rejoins):
    options = ("--conf", "repeat-window = 0")

    def test_repetitions_are_replays(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        members = self.members(device, device.phy(1))
        self.assert_refused("DEV_NONCE_REPLAYED", device, "join", **members)
        for kind, count in (0, 0), (1, 0), (2, 1):
            members, _, _ = self.rejoin(device, kind, count, live)
            self.assert_refused("RJ_COUNT_REPLAYED", device, **members)


class NsChecks(Rejoins):
    options = ("--conf", 'rejoin-mic = "ns"')

    def test_mic_is_the_network_servers(self):
        device = self.server.device("1.1.0")
        live = self.join(device, 1)
        for kind, count in (0, 7), (2, 7), (0, 3):
            phy = device.rejoin_phy(kind, count, live)[:-4] + bytes(4)
            members = self.members(device, phy)
            answer = self.call("rejoin", **members)
            self.judge(device, device.rejoin(kind, count), members, answer)
            self.same(members, answer)
            self.assert_refused("RJ_COUNT_REPLAYED", device,
                                **dict(members, rx_delay=1))
        # Who may ask, and type 1, is looked at as ever.
        self.assert_refused("NOT_ALLOWED", device, peer="roamer", **members)
        phy = device.rejoin_phy(1, 1)
        self.assert_refused("MIC_FAILED", device, **self.members(
            device, phy[:-4] + bytes(4)))
        members, answer, _ = self.rejoin(device, 1, 1)
        self.same(members, answer)


if __name__ == "__main__":
    scenario.main()
