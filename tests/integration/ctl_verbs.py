#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""joineryctl against a real server: every verb, for people and with --json,
its exit status, and what only joineryctl can get wrong."""
import json
import os
import subprocess

import scenario
from scenario import BIN, JOIN_EUI

EUIS = ("--join-eui", JOIN_EUI.hex(), "--dev-eui", "0004a30b001c053e")
KEY = "000102030405060708090a0b0c0d0e0f"
DONE, REFUSED, USAGE, CONNECT, NONE, LOCAL = range(6)


class Verbs(scenario.Case):
    options = ("--conf", "repeat-window = 0")

    def ctl(self, status, *words, stdin=""):
        """The object that the verb prints with --json."""
        done = self.server.try_ctl(*words, "--json", stdin=stdin)
        self.assertEqual(done.returncode, status, (words, done))
        answer = json.loads(done.stdout)
        if status != DONE:
            self.assertTrue(answer["error"]["message"])
            self.assertTrue(done.stderr)
        return answer

    def table(self, *words):
        done = self.server.try_ctl(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def test_status(self):
        self.assertEqual(len(self.ctl(DONE, "status")["workers"]), 2)
        self.assertGreater(self.ctl(DONE, "ping")["round_trip_us"], 0)
        self.assertIn("BEGIN PUBLIC KEY",
                      self.ctl(DONE, "import-key", "show")["pem"])
        self.assertIn("ready", self.table("status"))

    def test_devices(self):
        self.ctl(DONE, "device", "set", *EUIS, "--mac-version", "1.0.3",
                 "--app-key", "-", "--app", "tanks", "--name", "t 1",
                 stdin=KEY)
        self.ctl(DONE, "device", "set", *EUIS, "--net-id", "000013",
                 "--net-id", "600001", "--resets-join-nonces", "yes")
        device = self.ctl(DONE, "device", "get", *EUIS)["device"]
        settings = device["settings"]
        self.assertEqual(settings["net_ids"], ["000013", "600001"])
        self.assertEqual((settings["app"], settings["name"]), ("tanks", "t 1"))
        self.assertNotIn(KEY, json.dumps(device))
        self.assertIn("t 1", self.table("device", "get", *EUIS))
        self.assertIn("t 1", self.table("device", "list", "--app", "tanks"))
        self.ctl(DONE, "session", "list", *EUIS)
        self.ctl(DONE, "nonces", "reset", *EUIS)
        self.ctl(DONE, "device", "delete", *EUIS)
        for verb in (("device", "get"), ("device", "delete"),
                     ("session", "list"), ("nonces", "reset")):
            self.assertEqual(self.ctl(NONE, *verb, *EUIS)["error"]["code"],
                             "UNKNOWN_DEVICE")

    def test_list_pages(self):
        """More devices than a page holds, each once, in one array."""
        wanted = {"%016x" % n for n in range(1, 151)}
        with self.server.admin() as admin:
            other = self.server.device("1.0.3")
            for eui in wanted:
                self.add_device(admin, bytes.fromhex(eui))
        listed = [d["id"]["dev_eui"] for d in self.ctl(
            DONE, "device", "list", "--app", "pages")["devices"]]
        self.assertEqual(listed, sorted(wanted))
        everything = [d["id"]["dev_eui"] for d in self.ctl(
            DONE, "device", "list")["devices"]]
        self.assertEqual(len(everything), len(set(everything)))
        self.assertLessEqual(wanted | {other.dev_eui.hex()}, set(everything))
        rows = self.table("device", "list", "--app", "pages").splitlines()
        self.assertGreaterEqual(len(rows), 150)

    def add_device(self, admin, dev_eui):
        """A sealed key fits any device: one run of joineryctl is enough."""
        if not hasattr(self, "sealed"):
            self.sealed = self.seal(admin)
        admin.call("device_set", app_key=self.sealed,
                   id=scenario.pb.DeviceId(join_eui=JOIN_EUI,
                                           dev_eui=dev_eui),
                   settings=scenario.pb.DeviceSettings(
                       app="pages", mac_version=scenario.pb.MAC_1_0_3))

    def seal(self, admin):
        """PROTOCOL: a key under a transport key under the import key."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding
        answer = admin.call("import_key")
        public = serialization.load_der_public_key(answer.public_key)
        transport, key = os.urandom(32), bytes.fromhex(KEY)
        oracle = scenario.oracle
        return scenario.pb.SealedKey(
            import_key=answer.fingerprint,
            transport_key=public.encrypt(transport, padding.OAEP(
                padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)),
            wrapped_key=oracle.wrap(transport, key),
            check_value=oracle.cmac(key, bytes(16))[:4])

    def test_wrong_seals(self):
        with self.server.admin() as admin:
            good = self.seal(admin)
            for field, code in (("check_value", "KEY_CHECK_FAILED"),
                                ("wrapped_key", "TOKEN_REFUSED"),
                                ("transport_key", "TOKEN_REFUSED"),
                                ("import_key", "MALFORMED_REQUEST")):
                bad = scenario.pb.SealedKey()
                bad.CopyFrom(good)
                octets = bytearray(getattr(good, field))
                octets[-1] ^= 1
                setattr(bad, field, bytes(octets))
                self.refused(code, admin.call, "kek_import", label="bad-seal",
                             key=bad)
            admin.call("kek_import", label="good-seal", key=good)

    def test_keks(self):
        self.ctl(DONE, "kek", "import", "k1", "--key", "-", stdin=KEY * 2)
        kek = self.ctl(DONE, "kek", "generate", "k2", "--bits", "192")["kek"]
        self.assertEqual((kek["label"], kek["bits"]), ("k2", 192))
        for words, stdin in ((("import", "k1", "--key", "-"), KEY),
                             (("generate", "k2", "--bits", "128"), "")):
            error = self.ctl(REFUSED, "kek", *words, stdin=stdin)["error"]
            self.assertEqual(error["code"], "ALREADY_EXISTS")
        labels = [k["label"] for k in self.ctl(DONE, "kek", "list")["keks"]]
        self.assertLessEqual({"k1", "k2", "ns-kek"}, set(labels))
        self.assertIn("k2", self.table("kek", "list"))
        self.assertEqual(self.ctl(REFUSED, "kek", "delete", "ns-kek")["error"]
                         ["code"], "IN_USE")
        for label in "k1", "k2":
            self.ctl(DONE, "kek", "delete", label)
            self.ctl(NONE, "kek", "delete", label)

    def test_peers(self):
        self.ctl(DONE, "peer", "set", "p", "--role", "ns", "--net-id",
                 "000001", "--cert-san", "p.example.org")
        self.ctl(DONE, "peer", "set", "p", "--clear-keys", "yes")
        peer = self.ctl(DONE, "peer", "get", "p")["peer"]
        self.assertEqual((peer["role"], peer["net_ids"], peer["clear_keys"]),
                         ("ns", ["000001"], True))
        error = self.ctl(
            REFUSED, "peer", "set", "q", "--role", "as", "--as-id", "q",
            "--cert-san", "p.example.org")["error"]
        self.assertEqual(error["code"], "ALREADY_EXISTS", error)
        self.ctl(REFUSED, "peer", "set", "q", "--role", "as")
        self.ctl(REFUSED, "peer", "set", "p", "--kek", "no-such-kek")
        self.assertIn("p.example.org", self.table("peer", "get", "p"))
        self.assertIn("as.example.org", self.table("peer", "list"))
        self.ctl(DONE, "peer", "delete", "p")
        self.ctl(NONE, "peer", "get", "p")
        self.ctl(NONE, "peer", "delete", "p")

    def test_sessions_and_nonces(self):
        device = self.server.device("1.0.4")
        with self.server.tls("ns") as ns:
            first = device.join(ns, 5)
            self.refused("DEV_NONCE_REPLAYED", device.join, ns, 5)
            self.ctl(DONE, "nonces", "reset", *device.words)
            again = device.join(ns, 5)
        self.assertGreater(device.join_nonce_of(again),
                           device.join_nonce_of(first))
        listed = self.ctl(DONE, "session", "list", *device.words)["sessions"]
        self.assertEqual(
            [s["session_key_id"] for s in listed],
            [again.session_key_id.hex(), first.session_key_id.hex()])
        ident = first.session_key_id.hex()
        got = self.ctl(DONE, "session", "get", ident)["session"]
        self.assertEqual(got, listed[1])
        self.assertIn(ident, self.table("session", "get", ident))
        self.assertIn(ident, self.table("session", "list", *device.words))
        self.assertTrue(device.get()["last_join"]["accepted"])
        self.ctl(NONE, "session", "get", "00" * 16)

    def test_rejoins(self):
        """What began a session is called by its name."""
        device = self.server.device("1.1.0")
        with self.server.tls("ns") as ns:
            device.join(ns, 258)
            ns.call("rejoin", **device.members(
                0, phy_payload=device.rejoin_phy(1, 17)))
        words = ("session", "list", *device.words)
        rejoin, join = self.ctl(DONE, *words)["sessions"]
        self.assertEqual((rejoin["join_type"], rejoin["counter"]), (1, 17))
        self.assertEqual((join["join_type"], join["counter"]), (255, 258))
        head, first, second = self.table(*words).splitlines()
        at = head.index("COUNTER")
        self.assertNotIn("NONCE", head.replace("JOIN-NONCE", ""))
        self.assertEqual(first[at:].split()[0], "17")
        self.assertIn("rejoin 1", first)
        self.assertEqual(second[at:].split()[0], "258")
        self.assertEqual(device.get()["last_join"]["counter"], 17)

    def test_keys_and_files(self):
        set_key = ("device", "set", *EUIS, "--app-key")
        done = self.server.try_ctl(*set_key, KEY, "--json")
        self.assertEqual(done.returncode, USAGE, done)
        self.assertNotIn(KEY, done.stdout + done.stderr)
        for wrong in "", KEY[:-1], KEY + "00", "x" * 32, KEY + " " + KEY:
            done = self.server.try_ctl(*set_key, "-", "--json", stdin=wrong)
            self.assertEqual(done.returncode, LOCAL, (wrong, done))
            self.assertNotIn(KEY, done.stdout + done.stderr)
        self.ctl(LOCAL, *set_key, "@/nonexistent/key")
        self.ctl(LOCAL, *set_key, "-", "--import-key", self.server.dir +
                 "/ca.pem", stdin=KEY)  # a certificate is no public key
        other = self.server.dir + "/other-import.pem"
        for words in (["genrsa", "-out", other + ".key", "2048"],
                      ["rsa", "-in", other + ".key", "-pubout", "-out",
                       other]):
            subprocess.run(["openssl", *words], check=True,
                           capture_output=True)
        self.ctl(LOCAL, *set_key, "-", "--import-key", other, stdin=KEY)
        self.ctl(NONE, "device", "get", *EUIS)

    def test_exit_status(self):
        self.ctl(USAGE, "no-such-verb")
        self.assertIn("set, get, delete, list", self.ctl(
            USAGE, "app")["error"]["message"])
        self.ctl(USAGE, "device", "get")
        self.ctl(USAGE, "device", "get", "--join-eui", "1", "--dev-eui", "2")
        self.ctl(USAGE, "kek", "generate", "x", "--bits", "100")
        self.ctl(CONNECT, "status", "--socket", "/nonexistent/sock")
        self.assertEqual(self.server.try_ctl("help").returncode, DONE)
        self.assertEqual(self.server.try_ctl("--version").returncode, DONE)

    def test_tls(self):
        self.server.certificate("boss", "DNS:boss.example.org")
        self.ctl(DONE, "peer", "set", "boss", "--role", "admin",
                 "--cert-san", "boss.example.org")
        way = ("--tcp", self.server.env["JOINERY_TCP"], "--ca",
               self.server.dir + "/ca.pem", "--cert",
               self.server.dir + "/boss.pem", "--tls-key",
               self.server.dir + "/boss.key")
        self.ctl(DONE, "device", "list", *way)
        self.ctl(DONE, "kek", "import", "by-boss", "--key", "-", *way,
                 stdin=KEY)


class Token(scenario.Case):
    """doctor and token init, which ask no server."""
    token = "softhsm"

    @classmethod
    def setUpClass(cls):
        cls.options = ("--token", cls.token)
        super().setUpClass()

    def local(self, *words):
        return self.server.try_ctl(
            *words, "--config", self.server.conf, "--worker",
            BIN + "/joinery-worker")

    def test_doctor(self):
        done = self.local("doctor", "--json")
        self.assertEqual(done.returncode, 0, done)
        json.loads(done.stdout)
        done = self.local("doctor")
        self.assertEqual(done.returncode, 0, done)
        self.assertGreater(len(done.stdout.splitlines()), 10)

    def test_init_again(self):
        """It changes nothing when everything is there."""
        before = self.server.ctl("import-key", "show")
        done = self.local("token", "init", "--json")
        self.assertEqual(done.returncode, 0, done)
        json.loads(done.stdout)
        self.assertEqual(self.server.ctl("import-key", "show"), before)
        self.serves()

    def test_wrong_pin(self):
        path = self.server.dir + "/pin"
        with open(path) as f:
            right = f.read()
        try:
            with open(path, "w") as f:
                f.write("0000-wrong")
            self.assertEqual(self.local("doctor").returncode, 77)
        finally:
            with open(path, "w") as f:
                f.write(right)


class TokenSoftokn(Token):
    token = "softokn"


if __name__ == "__main__":
    scenario.main()
