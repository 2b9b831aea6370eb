#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices that move to another Join Server: released by one server, imported
by another with another kind of token, where they go on joining; and the key
file opened by tests/vectors/keyfile.py with a receiver's private key."""
import hashlib
import json
import os
import secrets
import signal
import stat
import subprocess
import time

import scenario
from scenario import BIN, Device

import keyfile  # of tests/vectors, which scenario has added to the path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

WRAPPED = ("--conf", 'custody = "wrapped"')


def pem(public_key):
    return public_key.public_bytes(
        serialization.Encoding.PEM,
        serialization.PublicFormat.SubjectPublicKeyInfo)


class Release(scenario.Case):
    options = WRAPPED
    receiver_options = ("--token", "softokn") + WRAPPED

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.receiver = scenario.Server(*cls.receiver_options)
        with cls.receiver.admin() as admin:
            shown = admin.call("import_key")
        cls.receiver_key = serialization.load_der_public_key(shown.public_key)
        cls.private_key = rsa.generate_private_key(65537, 2048)
        cls.allow(cls.receiver_key, cls.private_key.public_key())

    @classmethod
    def tearDownClass(cls):
        cls.receiver.clean_up()
        super().tearDownClass()

    @classmethod
    def allow(cls, *public_keys):
        """Name exactly these in release-to, and start anew."""
        line = "release-to = {%s}\n" % ", ".join(
            '"%s"' % keyfile.fingerprint(key) for key in public_keys)
        with open(cls.server.conf) as f:
            lines = [x for x in f if not x.startswith("release-to")]
        with open(cls.server.conf, "w") as f:
            f.writelines(lines + [line])
        cls.server.stop()
        cls.server.start()

    def setUp(self):
        self.path = "%s/%s.keys" % (self.server.dir, secrets.token_hex(4))
        self.pem = self.write("receiver.pem", pem(self.receiver_key))
        self.own_pem = self.write("own.pem", pem(self.private_key.public_key()))

    def write(self, name, octets):
        path = "%s/%s" % (self.server.dir, name)
        with open(path, "wb") as f:
            f.write(octets)
        return path

    def list_of(self, devices):
        return self.write("devices", b"".join(
            b"%s %s\n" % (d.join_eui.hex().encode(), d.dev_eui.hex().encode())
            for d in devices))

    def resident(self, version):
        """A device whose keys are in the token."""
        self.custody("resident")
        try:
            return self.server.device(version)
        finally:
            self.custody("wrapped")

    def custody(self, custody):
        self.server.change_conf(
            '(?m)^custody = .*$', 'custody = "%s"' % custody)
        self.server.stop()
        self.server.start()

    def release(self, *words, key=None, server=None):
        return (server or self.server).try_ctl(
            "release", "--import-key", key or self.pem, "--out", self.path,
            *words)

    def releases(self, *words, **more):
        done = self.release(*words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def nothing_there(self):
        """Neither the file nor a part of it."""
        self.assertEqual(
            [name for name in os.listdir(os.path.dirname(self.path))
             if name.startswith(os.path.basename(self.path))], [])

    def fails(self, *words, status, texts, **more):
        done = self.release(*words, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)
        self.nothing_there()

    def join(self, device, dev_nonce, server=None):
        """The JoinNonce of a join that is right in all."""
        device.server = server or self.server
        with device.server.tls("ns") as ns:
            members = device.members(dev_nonce)
            answer = ns.call("join", **members)
        self.assertEqual(device.judge(dev_nonce, members, answer), [])
        return device.join_nonce_of(answer)

    def refused_here(self, device, dev_nonce):
        with self.server.tls("ns") as ns:
            refused = self.refused("DEVICE_RELEASED", device.join, ns,
                                   dev_nonce)
        self.assertIn("another Join Server", refused.message)

    def gone(self, device):
        done = self.server.try_ctl("device", "get", *device.words)
        self.assertEqual(done.returncode, 4, done.stderr)

    # ---- the move ----

    def test_move(self):
        made = [self.server.device(v) for v in (
            "1.0.3", "1.0.4", "1.1.0")]
        for device in made:
            for dev_nonce in (3, 4):
                last = self.join(device, dev_nonce)
            self.assertEqual(last, 2)
        session = made[0].get()["sessions"][0]["session_key_id"]
        done = self.releases("--file", self.list_of(made))
        self.assertIn("released             3\n", done.stdout)
        self.assertIn("device delete --file " + self.path, done.stdout)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        for device in made:
            self.refused_here(device, 5)
            self.assertIs(device.get()["settings"]["released"], True)
        # What they have they keep.
        self.server.ctl("session", "get", session)
        said = self.receiver.ctl("import", self.path)
        self.assertEqual(said["created"], 3)
        self.assertIn(said["check_values_sha256"], done.stdout)
        for device in made:
            with self.receiver.tls("ns") as ns:
                self.refused("DEV_NONCE_REPLAYED", device.join, ns, 4)
            self.assertEqual(self.join(device, 5, self.receiver), 3)
            device.server = self.server
            self.refused_here(device, 6)
        deleted = self.server.ctl(
            "device", "delete", "--file", self.path, "--yes")
        self.assertEqual(deleted["deleted"], 3)
        for device in made:
            self.gone(device)
            self.assertEqual(self.join(device, 7, self.receiver), 4)
        self.assertTrue(self.server.lines(
            "admin: done", "call=release_batch",
            "receiver=" + keyfile.fingerprint(self.receiver_key),
            "released=3 refused=0"), self.server.log())
        self.assertGreaterEqual(sum(
            c.value for w in self.server.status().workers
            for c in w.counters if c.name == "devices_released"), 3)

    def events(self):
        done = self.server.try_ctl("audit", "list", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [e for e in map(json.loads, done.stdout.splitlines())
                if e.get("event") == "root_keys_released"]

    def test_audit(self):
        device, other = [self.server.device("1.0.4") for _ in range(2)]
        self.releases("--file", self.list_of([device, other]))
        receiver = "receiver=" + keyfile.fingerprint(self.receiver_key)
        events = self.events()
        self.assertEqual(
            events[-1]["text"], "%s released=2 refused=0 first=%s last=%s" % (
                receiver, device.dev_eui.hex(), other.dev_eui.hex()))
        self.server.ctl("audit", "verify")
        # What did not leave is no event.
        done = self.release(*Device(self.server, "1.0.4").words)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.events(), events)
        with open(self.path, "rb") as f:
            digest = hashlib.sha256(f.read()[:-33]).hexdigest()
        self.assertTrue(self.server.lines(
            "call=release_end", receiver, "digest=" + digest))

    def test_storage_key_replaced(self):
        """Tickets end with it; what it wrapped goes on."""
        device = self.server.device("1.0.4")
        der = self.private_key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        with self.server.admin() as admin:
            ticket = admin.call("release_begin", public_key=der).ticket
            admin.call("release_batch", ticket=ticket, devices=[device.id],
                       keep_serving=True)
            self.server.ctl("storage-key", "rotate")
            for _ in range(4):  # whichever worker it is
                refused = self.refused(
                    "MALFORMED_REQUEST", admin.call, "release_end",
                    ticket=ticket, digest=secrets.token_bytes(32))
                self.assertIn("begin the release anew", refused.message)
        self.releases(*device.words, key=self.own_pem)
        with open(self.path, "rb") as f:
            (opened,) = keyfile.open_file(self.private_key, f.read())
        self.assertEqual(opened["app"], device.app_key.hex())

    def test_opened(self):
        """In the file is what was planted, and nobody else opens it."""
        made = {}
        for version in "1.0.2", "1.1.0":
            device = self.server.device(
                version, "--app", "Zähler 1", "--name", version,
                "--ns-kek", "ns-kek")
            made[device.dev_eui.hex()] = device
        self.join(made[min(made)], 9)
        self.releases("--app", "Zähler 1", key=self.own_pem)
        with open(self.path, "rb") as f:
            octets = f.read()
        opened = keyfile.open_file(self.private_key, octets)
        self.assertEqual({d["dev_eui"] for d in opened}, set(made))
        for entry in opened:
            device = made[entry["dev_eui"]]
            for name, key in ("nwk", device.nwk_key), ("app", device.app_key):
                self.assertEqual(entry.get(name), key and key.hex())
            self.assertEqual(entry["mac_version"], device.version)
            meta = [tuple(x) for x in entry["meta"]]
            for word in (("net-id", "000013"), ("as-id", "as.example.org"),
                         ("ns-kek", "ns-kek"), ("app-name", "Zähler 1"),
                         ("device-name", device.version)):
                self.assertIn(word, meta)
            joined = entry["dev_eui"] == min(made)
            self.assertEqual(("join-nonce", "1") in meta, joined)
            self.assertEqual(("dev-nonce", "9") in meta, joined)
        with self.assertRaises((ValueError, AssertionError)):
            keyfile.open_file(rsa.generate_private_key(65537, 2048), octets)

    def test_many(self):
        """Batches of all sizes, on all workers; each device once."""
        made = [Device(self.server, "1.0.4") for _ in range(150)]
        source = "%s/%s.in" % (self.server.dir, secrets.token_hex(4))
        with self.server.admin() as admin:
            own = serialization.load_der_public_key(
                admin.call("import_key").public_key)
        with open(source, "wb") as f:
            f.write(keyfile.make(own, [dict(
                join_eui=d.join_eui.hex(), dev_eui=d.dev_eui.hex(),
                mac_version="1.0.4", app=d.app_key.hex()) for d in made]))
        self.server.ctl("import", source)
        # A key file names devices, too.
        self.releases("--file", source, key=self.own_pem)
        with open(self.path, "rb") as f:
            opened = keyfile.open_file(self.private_key, f.read())
        self.assertEqual({d["dev_eui"]: d["app"] for d in opened},
                         {d.dev_eui.hex(): d.app_key.hex() for d in made})
        self.assertEqual(len(opened), 150)

    def test_keep_serving(self):
        device = self.server.device("1.0.4")
        self.releases(*device.words, "--keep-serving")
        self.assertNotIn("released", device.get()["settings"])
        self.assertEqual(self.join(device, 1), 1)

    def test_back_again(self):
        """Taken back by hand; and brought back by a file."""
        device = self.server.device("1.0.4")
        self.releases(*device.words)
        self.refused_here(device, 1)
        self.server.ctl("device", "set", *device.words, "--released", "no")
        self.assertEqual(self.join(device, 1), 1)
        self.releases(*device.words)
        self.refused_here(device, 2)
        with self.server.admin() as admin:
            own = serialization.load_der_public_key(
                admin.call("import_key").public_key)
        home = self.write("home.keys", keyfile.make(own, [dict(
            join_eui=device.join_eui.hex(), dev_eui=device.dev_eui.hex(),
            mac_version="1.0.4", app=device.app_key.hex(),
            meta=[["join-nonce", "40"], ["dev-nonce", "50"]])]))
        done = self.server.try_ctl("import", home)
        self.assertEqual(done.returncode, 1)
        self.assertIn("released to another Join Server", done.stderr)
        said = self.server.ctl("import", home, "--replace")
        self.assertEqual(said["replaced"], 1)
        self.assertEqual(self.join(device, 51), 41)

    # ---- who may not have them ----

    def test_not_in_release_to(self):
        device = self.server.device("1.0.4")
        other = rsa.generate_private_key(65537, 3072).public_key()
        path = self.write("other.pem", pem(other))
        self.fails(*device.words, key=path, status=1, texts=(
            "NOT_ALLOWED", "release-to", keyfile.fingerprint(other)))
        self.assertEqual(self.join(device, 1), 1)
        small = self.write("small.pem", pem(
            rsa.generate_private_key(65537, 1024).public_key()))
        self.fails(*device.words, key=small, status=1,
                   texts=("MALFORMED_REQUEST", "2048 to 4096"))
        self.fails(*device.words, key=self.server.conf, status=5,
                   texts=("public key",))
        # By default nobody is in it.
        self.fails(*device.words, server=self.receiver, status=1,
                   texts=("NOT_ALLOWED", "release-to"))

    def test_conf(self):
        with open(self.server.conf) as f:
            text = f.read()
        path = self.write("bad.conf", (text + 'release-to = {"12"}\n').encode())
        done = subprocess.run([BIN + "/joineryd", "-t", "-c", path],
                              capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("release-to: '12' is no fingerprint", done.stderr)

    def test_tickets(self):
        device = self.server.device("1.0.4")
        der = self.private_key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        with self.server.admin() as admin:
            ticket = admin.call("release_begin", public_key=der).ticket
            foreign = bytearray(ticket)
            foreign[4] ^= 1  # another storage key
            edited = [bytes(foreign), b"", ticket[:-1], ticket + b"\0",
                      b"\2" + ticket[1:]]
            for at in range(5, len(ticket), 7):
                one = bytearray(ticket)
                one[at] ^= 0x20
                edited.append(bytes(one))
            for wrong in edited:
                self.refused("MALFORMED_REQUEST", admin.call, "release_batch",
                             ticket=wrong, devices=[device.id])
                self.refused("MALFORMED_REQUEST", admin.call, "release_end",
                             ticket=wrong, digest=bytes(32))
            self.refused("MALFORMED_REQUEST", admin.call, "release_batch",
                         ticket=ticket, devices=[])
            self.refused("MALFORMED_REQUEST", admin.call, "release_batch",
                         ticket=ticket, devices=[device.id] * 65)
            self.refused("MALFORMED_REQUEST", admin.call, "release_end",
                         ticket=ticket, digest=bytes(31))
            twice = admin.call("release_batch", ticket=ticket,
                               devices=[device.id] * 2, keep_serving=True)
            self.assertTrue(twice.results[0].HasField("device"))
            self.assertIn("twice", twice.results[1].reason)
        self.assertEqual(self.join(device, 1), 1)
        # The ticket is good until its receiver is taken off the list.
        self.allow(self.receiver_key)
        try:
            with self.server.admin() as admin:
                self.refused("NOT_ALLOWED", admin.call, "release_batch",
                             ticket=ticket, devices=[device.id])
                self.refused("NOT_ALLOWED", admin.call, "release_end",
                             ticket=ticket, digest=bytes(32))
        finally:
            self.allow(self.receiver_key, self.private_key.public_key())
        with self.server.admin() as admin:
            self.assertEqual(len(admin.call(
                "release_end", ticket=ticket, digest=bytes(32)).mac), 16)
        # Nobody else may ask.
        with self.server.tls("ns") as ns:
            self.refused("NOT_ALLOWED", ns.call, "release_begin",
                         public_key=der)
            self.refused("NOT_ALLOWED", ns.call, "release_batch",
                         ticket=ticket, devices=[device.id])

    # ---- which stay ----

    def test_refused_lines(self):
        stays = self.resident("1.0.4")
        goes = self.server.device("1.0.4")
        missing = Device(self.server, "1.0.4")
        listed = self.list_of([stays, missing, goes, goes])
        with open(listed, "a") as f:
            f.write("nonsense\n")
        done = self.release("--file", listed, key=self.own_pem)
        self.assertEqual(done.returncode, 1)
        for text in ("line 1: %s %s: NOT_ALLOWED: the AppKey is in the token"
                     % (stays.join_eui.hex(), stays.dev_eui.hex()),
                     "line 2: %s %s: UNKNOWN_DEVICE: no such device"
                     % (missing.join_eui.hex(), missing.dev_eui.hex()),
                     "line 4: ", "is on line 3, too", "line 5: LOCAL"):
            self.assertIn(text, done.stderr)
        with open(self.path, "rb") as f:
            opened = keyfile.open_file(self.private_key, f.read())
        self.assertEqual([d["dev_eui"] for d in opened], [goes.dev_eui.hex()])
        self.refused_here(goes, 1)
        self.assertEqual(self.join(stays, 1), 1)
        os.unlink(self.path)
        # Strictly: nothing at all, or no file.
        self.fails("--file", listed, "--strict", status=5,
                   texts=("nothing was released",))
        self.fails("--file", self.list_of([stays, goes]), "--strict",
                   status=1, texts=("stopped", "--released no"),
                   key=self.own_pem)
        # To another receiver, after it has gone to one.
        self.fails(*goes.words, status=1, texts=(
            "DEVICE_RELEASED: released already, to the import key that",))
        self.fails(*stays.words, status=1, texts=("none of the devices",))
        self.assertEqual(self.join(stays, 2), 2)

    def test_interrupted(self):
        """Killed on the way: no file, and the same again goes through."""
        made = [self.server.device("1.0.4") for _ in range(3)]
        listed = self.list_of(made)
        os.kill(self.server.pid(), signal.SIGSTOP)
        try:
            run = subprocess.Popen(
                [BIN + "/joineryctl", "release", "--file", listed,
                 "--import-key", self.pem, "--out", self.path],
                env=self.server.env, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
            name = os.path.basename(self.path)
            scenario.until(lambda: any(
                x.startswith(name) for x in os.listdir(self.server.dir)),
                "the file is being written")
            time.sleep(0.1)
            run.terminate()
            run.communicate()
        finally:
            os.kill(self.server.pid(), signal.SIGCONT)
        self.assertEqual(run.returncode, -signal.SIGTERM)
        self.nothing_there()
        self.releases("--file", listed)
        self.assertEqual(self.receiver.ctl("import", self.path)["created"], 3)

    def test_usage(self):
        device = self.server.device("1.0.4")
        for words, text in (
                ((), "one of --dev-eui"),
                ((*device.words, "--app", "x"), "one of --dev-eui"),
                (("--app", "x", "--join-eui", device.join_eui.hex()),
                 "goes with --dev-eui")):
            self.fails(*words, status=2, texts=(text,))
        self.fails("--app", "nobody's", status=5, texts=("no device",))
        self.fails("--file", self.path + ".none", status=5, texts=("No such",))
        done = self.server.try_ctl("release", "--import-key", self.pem,
                                   "--out", "/nowhere/x", *device.words)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(self.join(device, 1), 1)


class OtherWay(Release):
    """From NSS softokn to SoftHSM."""
    options = ("--token", "softokn") + WRAPPED
    receiver_options = WRAPPED


if __name__ == "__main__":
    scenario.main()
