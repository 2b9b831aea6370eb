#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Session keys by session key ID: for whom they are, how long, how many."""
import secrets

import scenario
from scenario import until


class SessionKeys(scenario.Case):
    options = ("--conf", "session-keep = 3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, *words in (
                ("ns2", "--role", "ns", "--net-id", "000014"),
                ("as2", "--role", "as", "--as-id", "as2.example.org")):
            cls.server.certificate(name, "DNS:%s.example.org" % name)
            cls.server.ctl("peer", "set", name, *words, "--cert-san",
                           name + ".example.org", "--kek",
                           "ns-kek" if name == "ns2" else "as-kek")

    def setUp(self):
        self.clients = {name: self.server.tls(name)
                        for name in ("ns", "as", "ns2", "as2")}
        self.device = self.server.device("1.1.0")
        self.answer = self.device.join(self.clients["ns"], 1)

    def tearDown(self):
        super().tearDown()
        for client in self.clients.values():
            client.close()

    def ask(self, who, call, answer=None, **changes):
        members = dict(session_key_id=(answer or self.answer).session_key_id,
                       dev_eui=self.device.dev_eui)
        members.update(changes)
        return self.clients[who].call(call, **members)

    def assert_refused(self, code, *args, **changes):
        error = self.refused(code, self.ask, *args, **changes)
        lines = self.server.lines(error.request_id)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("code=" + code, lines[0])

    def test_who(self):
        self.ask("ns", "network_keys")
        self.ask("as", "app_s_key")
        for who, call in (("ns", "app_s_key"), ("as", "network_keys"),
                          ("ns2", "network_keys"), ("as2", "app_s_key"),
                          ("ns2", "app_s_key"), ("as2", "network_keys")):
            self.assert_refused("NOT_ALLOWED", who, call)

    def test_no_more_for_a_peer_that_lost_its_net_id(self):
        self.server.ctl("peer", "set", "ns2", "--net-id", "000013")
        try:
            self.ask("ns2", "network_keys")
        finally:
            self.server.ctl("peer", "set", "ns2", "--net-id", "000014")
        self.assert_refused("NOT_ALLOWED", "ns2", "network_keys")

    def test_unknown(self):
        other = self.server.device("1.1.0")
        for who, call in ("ns", "network_keys"), ("as", "app_s_key"):
            self.assert_refused("UNKNOWN_SESSION", who, call,
                                session_key_id=secrets.token_bytes(16))
            self.assert_refused("UNKNOWN_SESSION", who, call,
                                dev_eui=other.dev_eui)

    def test_keep(self):
        answers = [self.answer] + [
            self.device.join(self.clients["ns"], n) for n in range(2, 6)]
        for who, call in ("ns", "network_keys"), ("as", "app_s_key"):
            for answer in answers[:2]:
                self.assert_refused("UNKNOWN_SESSION", who, call, answer)
            for answer in answers[2:]:
                self.ask(who, call, answer)
        listed = self.server.ctl("session", "list", *self.device.words)
        self.assertEqual(
            [s["session_key_id"] for s in listed["sessions"]],
            [a.session_key_id.hex() for a in answers[:1:-1]])

    def test_kept_when_the_root_key_changes(self):
        """A running session keeps its keys; the next one has new ones."""
        before = self.ask("ns", "network_keys")
        self.device.nwk_key = secrets.token_bytes(16)
        self.device.app_key = secrets.token_bytes(16)
        self.device.register()
        self.assertEqual(self.ask("ns", "network_keys"), before)
        self.assertEqual(self.ask("as", "app_s_key").app_s_key,
                         self.answer.app_s_key)
        members = self.device.members(2)
        answer = self.clients["ns"].call("join", **members)
        self.assertEqual(self.device.judge(2, members, answer), [])

    def test_gone_with_the_device(self):
        self.server.ctl("device", "delete", *self.device.words)
        self.assert_refused("UNKNOWN_SESSION", "ns", "network_keys")
        self.assert_refused("UNKNOWN_SESSION", "as", "app_s_key")


class SessionLifetime(scenario.Case):
    options = ("--conf", "session-lifetime = 1")

    def test_expired(self):
        device = self.server.device("1.0.3")
        with self.server.tls("ns") as ns, self.server.tls("as") as app:
            answer = device.join(ns, 1)
            which = dict(session_key_id=answer.session_key_id,
                         dev_eui=device.dev_eui)
            self.assertEqual(answer.lifetime_s, 1)
            for client, call in (ns, "network_keys"), (app, "app_s_key"):
                until(lambda: self.is_gone(client, call, which), "expiry")
        session = self.server.ctl("session", "get",
                                  answer.session_key_id.hex())["session"]
        self.assertEqual(session["expires_ms"] - session["created_ms"], 1000)

    def is_gone(self, client, call, which):
        try:
            client.call(call, **which)
        except scenario.Refused as error:
            self.assertEqual(error.code, "UNKNOWN_SESSION", error)
            self.assertIn("expired", error.message)
            return True
        return False


if __name__ == "__main__":
    scenario.main()
