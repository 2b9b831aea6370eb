#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""KEKs from their making to their end: where they come from, copies for
partners, generations that take over, proofs, and what happens when one is
lost.  Envelopes are opened by other software than ours."""
import base64
import os
import pty
import secrets
import subprocess
import textwrap
import time

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import scenario
from scenario import NET_ID, oracle, until

TEST_KEY = bytes(range(16))


def check_value(key):
    return oracle.cmac(key, bytes(16))[:4].hex()


def xor(*keys):
    total = 0
    for key in keys:
        total ^= int.from_bytes(key, "big")
    return total.to_bytes(len(keys[0]), "big")


class KekCase(scenario.Case):
    def path(self, name):
        return "%s/%s" % (self.server.dir, name)

    def key_file(self, name, key):
        with open(self.path(name), "w", opener=scenario._private) as f:
            f.write(key.hex())
        return "@" + self.path(name)

    def kek(self, label, *source, verb="import"):
        return self.server.ctl("kek", verb, label, *source)["kek"]

    def keks(self):
        return {(k["label"], k["generation"]): k
                for k in self.server.ctl("kek", "list")["keks"]}

    def fails(self, text, *words, status=None):
        """The verb fails, with that in its error; nothing was imported."""
        before = self.keks()
        done = self.server.try_ctl("kek", *words)
        self.assertNotEqual(done.returncode, 0, words)
        self.assertIn(text, done.stderr)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(self.keks(), before)
        return done.stderr

    def proof(self, label, *options, server=None):
        answer = (server or self.server).ctl("kek", "test", label, *options)
        self.assertEqual(answer["test_key"], TEST_KEY.hex())
        return bytes.fromhex(answer["wrapped_key"])

    def assert_is(self, label, key, *options):
        """The token's KEK is this one: what a partner does."""
        self.assertEqual(keywrap.aes_key_unwrap(
            key, self.proof(label, *options)), TEST_KEY)

    def peer(self, name, label):
        self.server.certificate(name, "DNS:%s.example.org" % name)
        self.server.ctl("peer", "set", name, "--role", "ns", "--net-id",
                        "000013", "--cert-san", name + ".example.org",
                        "--kek", label)

    def opened(self, device, dev_nonce, answer, key):
        """The label of NwkSKey's envelope, which has to open under key."""
        join = device.oracle(
            dev_nonce=dev_nonce.to_bytes(2, "big"),
            join_nonce=device.join_nonce_of(answer).to_bytes(3, "big"),
            net_id=NET_ID.to_bytes(3, "big"))
        self.assertEqual(
            keywrap.aes_key_unwrap(key, answer.nwk_s_key.aes_key),
            join.session_keys()["NwkSKey"])
        return answer.nwk_s_key.kek_label


class Keks(KekCase):
    options = ("--workers", "2", "--conf", "repeat-window = 1500")

    # ---- generations ----

    def test_rotation(self):
        """Two workers change over at one time, whoever asks."""
        keys = [secrets.token_bytes(16), secrets.token_bytes(32)]
        self.kek("rot", "--key", self.key_file("rot1", keys[0]))
        self.peer("rotating", "rot")
        devices = [self.server.device("1.0.4") for _ in range(8)]
        switch = time.time() + 2
        made = self.server.ctl(
            "kek", "rotate", "rot", "--key", self.key_file("rot2", keys[1]),
            "--switch-at", "+2s")["kek"]
        self.assertEqual((made["generation"], made["wire_label"],
                          made["state"], made["bits"]),
                         (2, "rot-2", "planned", 256))
        self.assertAlmostEqual(made["active_ms"] / 1000, switch, delta=1)
        switch = made["active_ms"] / 1000
        self.fails("is in use", "retire", "rot", "--generation", "1")
        self.fails("yet to take over", "rotate", "rot", "--bits", "128")
        seen, n = set(), 0
        with self.server.tls("rotating") as ns:
            while time.time() < switch + 0.5:
                n += 1
                device = devices[n % len(devices)]
                before = time.time()
                answer = device.join(ns, n)
                after = time.time()
                label = answer.nwk_s_key.kek_label
                if after < switch:
                    self.assertEqual(label, "rot")
                if before >= switch:
                    self.assertEqual(label, "rot-2")
                self.assertEqual(self.opened(
                    device, n, answer, keys[label == "rot-2"]), label)
                seen.add(label)
            self.assertEqual(seen, {"rot", "rot-2"})
            # A session from before: its keys come under what is in use.
            again = ns.call("network_keys", dev_eui=device.dev_eui,
                            session_key_id=answer.session_key_id)
            self.assertEqual(again.nwk_s_key.kek_label, "rot-2")
        self.assert_is("rot", keys[1])
        self.assert_is("rot", keys[0], "--generation", "1")
        self.assertEqual(self.keks()["rot", 1]["state"], "retiring")
        self.fails("may be under way", "retire", "rot")
        time.sleep(max(0, switch + 1.6 - time.time()))
        self.server.ctl("kek", "retire", "rot")
        self.fails("has no generation 1", "test", "rot", "--generation", "1",
                   status=4)
        self.fails("is in use", "retire", "rot", "--generation", "2",
                   "--at-once")
        self.fails("no generation of the KEK rot is retiring", "retire",
                   "rot", status=4)
        self.fails('peer "rotating" uses', "delete", "rot")
        with self.server.tls("rotating") as ns:
            self.assertEqual(self.opened(devices[0], n + 1, devices[0].join(
                ns, n + 1), keys[1]), "rot-2")
        # Once more, at once, under a name of its own.
        made = self.kek("rot", "--bits", "192", "--wire-label", "other",
                        verb="rotate")
        self.assertEqual((made["generation"], made["state"]), (3, "active"))
        with self.server.tls("rotating") as ns:
            answer = devices[0].join(ns, n + 2)
            self.assertEqual(answer.nwk_s_key.kek_label, "other")
        self.server.ctl("kek", "retire", "rot", "--generation", "2",
                        "--at-once")
        self.server.ctl("peer", "delete", "rotating")
        self.server.ctl("kek", "delete", "rot")
        self.assertNotIn("rot", {label for label, _ in self.keks()})

    def test_number_is_used_up(self):
        """A generation that was taken back is followed by the next number."""
        self.kek("num", "--bits", "128", verb="generate")
        for n in 2, 3:
            made = self.kek("num", "--bits", "128", "--switch-at", "+2h",
                            verb="rotate")
            self.assertEqual((made["generation"], made["wire_label"],
                              made["state"]), (n, "num-%d" % n, "planned"))
            self.server.ctl("kek", "retire", "num", "--generation", str(n))
            self.assertEqual([k for k in self.keks() if k[0] == "num"],
                             [("num", 1)])
            self.server.stop()
            self.server.start()
        made = self.kek("num", "--bits", "128", verb="rotate")
        self.assertEqual((made["generation"], made["wire_label"]),
                         (4, "num-4"))
        self.server.ctl("kek", "delete", "num")
        self.kek("num", "--bits", "128", verb="generate")
        made = self.kek("num", "--bits", "128", verb="rotate")
        self.assertEqual(made["generation"], 2)
        self.server.ctl("kek", "delete", "num")

    def test_two_workers_rotate_at_once(self):
        """The same rotation over many connections: generations stay in order,
        and each object of the token has its row."""
        self.kek("race", "--bits", "128", verb="generate")
        running = [subprocess.Popen(
            [scenario.BIN + "/joineryctl", "kek", "rotate", "race", "--bits",
             "128"], env=self.server.env, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL) for _ in range(6)]
        done = sum(p.wait() == 0 for p in running)
        got = sorted(n for label, n in self.keks() if label == "race")
        self.assertEqual(got, list(range(1, done + 2)))
        for n in got:
            self.proof("race", "--generation", str(n))
        self.server.ctl("kek", "delete", "race")

    def test_labels(self):
        self.kek("la", "--bits", "128", verb="generate")
        self.fails("ALREADY_EXISTS", "generate", "la", "--bits", "128")
        self.fails('carry the label "la"', "generate", "lb", "--bits", "128",
                   "--wire-label", "la")
        self.fails("no KEK is called", "rotate", "none", "--bits", "128",
                   status=4)
        self.fails("is over", "rotate", "la", "--bits", "128", "--switch-at",
                   "2020-01-01T00:00:00Z")
        self.fails("10 years", "rotate", "la", "--bits", "128", "--switch-at",
                   "2100-01-01T00:00:00Z")
        self.server.ctl("kek", "delete", "la")

    # ---- copies for partners ----

    def partner(self, name, bits=2048):
        """A key pair in NAME.key and NAME.pem; the private half."""
        key = rsa.generate_private_key(65537, bits)
        with open(self.path(name + ".key"), "wb") as f:
            f.write(key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()))
        with open(self.path(name + ".pem"), "wb") as f:
            f.write(key.public_key().public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo))
        return key

    def test_copy_opened_by_openssl(self):
        """As the manual says."""
        self.partner("bob", 3072)
        for bits in 128, 192, 256:
            label = "for bob %d" % bits
            out = self.path("copy.kek")
            made = self.kek(label, "--bits", str(bits), "--for-peer",
                            self.path("bob.pem"), "--out", out,
                            verb="generate")
            self.assertEqual(os.stat(out).st_mode & 0o777, 0o600)
            done = subprocess.run(
                "sed '1,/^$/d; /^-/d' copy.kek | openssl base64 -d |"
                " openssl pkeyutl -decrypt -inkey bob.key"
                " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1",
                shell=True, cwd=self.server.dir, capture_output=True,
                check=True)
            kek = done.stdout
            self.assertEqual(len(kek) * 8, bits, done.stderr)
            self.assertEqual(check_value(kek), made["check_value"])
            self.assert_is(label, kek)
            with open(out) as f:
                head = f.read().split("\n\n")[0]
            self.assertIn("Label: for%%20bob%%20%d\n" % bits, head)
            self.assertIn("Check-Value: " + check_value(kek), head)
            self.assertIn("OAEP-Hash: SHA-1", head)
            # What openssl enc makes of the test key, as the manual says.
            done = subprocess.run(
                ["openssl", "enc", "-id-aes%d-wrap" % bits, "-K", kek.hex(),
                 "-iv", "A6A6A6A6A6A6A6A6"], input=TEST_KEY,
                capture_output=True, check=True)
            self.assertEqual(done.stdout, self.proof(label))
            self.server.ctl("kek", "delete", label)

    def test_copies_refused(self):
        self.partner("short", 1024)
        self.partner("long", 4096)
        self.fails("not RSA of 2048 to 4096 bits", "generate", "x", "--bits",
                   "128", "--for-peer", self.path("short.pem"))
        self.fails("public key in PEM", "generate", "x", "--bits", "128",
                   "--for-peer", self.path("long.key"))
        self.fails("--out goes with --for-peer", "generate", "x", "--bits",
                   "128", "--out", self.path("nothing"), status=2)
        self.fails("nowhere", "generate", "x", "--bits", "128", "--for-peer",
                   self.path("long.pem"), "--out", "/nowhere/at/all",
                   status=5)
        answer = self.server.ctl("kek", "generate", "x", "--bits", "128",
                                 "--for-peer", self.path("long.pem"))
        self.assertEqual(len(answer["copy"]["wrapped_key"]), 1024)
        self.server.ctl("kek", "delete", "x")

    def write_copy(self, name, key, public, bits=None, **changes):
        """A copy as another program would make it."""
        der = public.public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        head = {"Label": "l", "Bits": str(bits or len(key) * 8),
                "Check-Value": check_value(key), "OAEP-Hash": "SHA-1",
                "Public-Key": digest.finalize().hex()}
        head.update({k.replace("_", "-"): v for k, v in changes.items()})
        wrapped = public.encrypt(key, padding.OAEP(
            padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
        with open(self.path(name), "w") as f:
            f.write("-----BEGIN JOINERY KEK COPY-----\n%s\n%s"
                    "-----END JOINERY KEK COPY-----\n" % (
                        "".join("%s: %s\n" % i for i in head.items() if i[1]),
                        "".join(line + "\n" for line in textwrap.wrap(
                            base64.b64encode(wrapped).decode(), 64))))
        return self.path(name)

    def import_key(self, server=None):
        shown = (server or self.server).ctl("import-key", "show")
        with open(self.path("import.pem"), "w") as f:
            f.write(shown["pem"])
        return serialization.load_pem_public_key(shown["pem"].encode())

    def test_copy_comes_in(self):
        key = secrets.token_bytes(24)
        ours = self.import_key()
        copy = self.write_copy("in.kek", key, ours)
        self.fails("not 00000000", "import", "in", "--sealed", copy,
                   "--expect-check-value", "00000000", status=5)
        self.kek("in", "--sealed", copy, "--expect-check-value",
                 check_value(key))
        self.assert_is("in", key)
        self.peer("copied", "in")
        device = self.server.device("1.0.4")
        with self.server.tls("copied") as ns:
            self.assertEqual(
                self.opened(device, 1, device.join(ns, 1), key), "in")
        theirs = rsa.generate_private_key(65537, 3072).public_key()
        for text, path in (
                ("has not 128 bits",
                 self.write_copy("a", key, ours, bits=128)),
                ("KEY_CHECK_FAILED",
                 self.write_copy("b", key, ours, Check_Value="00000000")),
                ("sealed for import key", self.write_copy("c", key, theirs)),
                ("oaep_hash is not SHA-1",
                 self.write_copy("d", key, ours, OAEP_Hash="SHA-256")),
                ("Bits is missing",
                 self.write_copy("e", key, ours, bits=100)),
                ("Public-Key is missing",
                 self.write_copy("f", key, ours, Public_Key=None)),
                ("Check-Value is missing",
                 self.write_copy("g", key, ours, Check_Value="12")),
                ("does not start with a copy", self.path("import.pem")),
                ("No such file", self.path("none"))):
            with self.subTest(text):
                self.fails(text, "import", "bad", "--sealed", path)
        self.server.ctl("peer", "delete", "copied")
        self.server.ctl("kek", "delete", "in")

    def test_from_server_to_server(self):
        """A KEK that only two tokens have ever had."""
        other = scenario.Server()
        try:
            self.import_key(other)
            self.kek("between", "--bits", "256", "--for-peer",
                     self.path("import.pem"), "--out", self.path("between"),
                     verb="generate")
            other.ctl("kek", "import", "mirror", "--sealed",
                      self.path("between"))
            self.assertEqual(self.proof("between"),
                             self.proof("mirror", server=other))
            self.fails("sealed for import key", "import", "back", "--sealed",
                       self.path("between"))
            other.ctl("peer", "set", "ns", "--kek", "mirror")
            device = other.device("1.0.4")
            with other.tls("ns") as ns:
                answer = device.join(ns, 1)
            self.assertEqual(answer.nwk_s_key.kek_label, "mirror")
            # And the next generation, the same way.
            self.kek("between", "--bits", "192", "--for-peer",
                     self.path("import.pem"), "--out", self.path("between"),
                     verb="rotate")
            other.ctl("kek", "rotate", "mirror", "--sealed",
                      self.path("between"))
            self.assertEqual(self.proof("between"),
                             self.proof("mirror", server=other))
            with other.tls("ns") as ns:
                answer = device.join(ns, 2)
            self.assertEqual(answer.nwk_s_key.kek_label, "mirror-2")
        finally:
            other.clean_up()
        self.server.ctl("kek", "delete", "between")

    # ---- components ----

    def test_components_from_files(self):
        for bits in 128, 192, 256:
            for n in 2, 3:
                parts = [secrets.token_bytes(bits // 8) for _ in range(n)]
                files = []
                for i, part in enumerate(parts):
                    files += ["--component",
                              self.key_file("part%d" % i, part)]
                done = self.server.try_ctl(
                    "kek", "import", "parts", *files,
                    "--expect-check-value", check_value(xor(*parts)))
                self.assertEqual(done.returncode, 0, done.stderr)
                for i, part in enumerate(parts):
                    self.assertIn("component %d of %d: check value %s\n" % (
                        i + 1, n, check_value(part)), done.stderr)
                    self.assertNotIn(part.hex(), done.stdout + done.stderr)
                self.assert_is("parts", xor(*parts))
                self.server.ctl("kek", "delete", "parts")

    def test_components_refused(self):
        a, b, zero = (self.key_file("a", secrets.token_bytes(16)),
                      self.key_file("b", secrets.token_bytes(16)),
                      self.key_file("zero", bytes(16)))
        long = self.key_file("long", secrets.token_bytes(32))
        same = self.key_file("same", bytes.fromhex(open(a[1:]).read()))
        c = self.key_file("c", xor(bytes.fromhex(open(a[1:]).read()),
                                   bytes.fromhex(open(b[1:]).read())))
        for text, files in (
                ("2 or 3 times", [a]),
                ("more than 3", [a, b, c, long]),
                ("has 256 bits, component 1 has 128", [a, long]),
                ("components 1 and 2 are the same", [a, a]),
                ("components 1 and 3 are the same", [a, b, same]),
                ("component 2 is zero", [a, zero]),
                ("cancel each other out", [a, b, c]),
                ("only one component can come", ["-", "-"]),
                ("takes no secret itself", ["00" * 16, b])):
            with self.subTest(text):
                words = [w for f in files for w in ("--component", f)]
                said = self.fails(text, "import", "x", *words)
                self.assertNotIn("00" * 16, said)
        self.fails("has the check value", "import", "x", "--component", a,
                   "--component", b, "--expect-check-value", "12345678",
                   status=5)
        self.fails("8 hexadecimal digits", "import", "x", "--key", a,
                   "--expect-check-value", "1234", status=2)
        self.fails("needs one of --key", "import", "x", "--key", a,
                   "--component", b, status=2)
        self.fails("needs one of --key", "import", "x", status=2)
        self.fails("needs one of --key", "rotate", "x", status=2)

    def at_terminal(self, *words, typed):
        """Run at a terminal of its own; exit status and what it showed."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(scenario.BIN + "/joineryctl",
                      ["joineryctl", *words], self.server.env)
        shown = b""
        for prompt, text in typed:
            shown += self.read_until(fd, prompt)
            os.write(fd, text)
        shown += self.read_until(fd, None)
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def read_until(self, fd, text):
        got = b""
        while text is None or text not in got:
            try:
                octets = os.read(fd, 4096)
            except OSError:
                octets = b""
            if not octets:
                self.assertIsNone(text, got)
                return got
            got += octets
        return got

    def test_components_at_the_terminal(self):
        parts = [secrets.token_bytes(32) for _ in range(3)]
        typed = []
        for i, part in enumerate(parts):
            turn = b"Component %d of 3: its holder types it now" % (i + 1)
            if i == 1:  # mistyped at first, and corrected
                typed += [(turn, b"12\x7f\x7fzz\n"),
                          (b"once more", part.hex().encode() + b"0\x7f\r")]
            else:
                typed.append((turn, part.hex().encode() + b"\n"))
            if i < 2:
                typed.append((b"The holder of component %d comes next" % (
                    i + 2), b"\n"))
        status, shown = self.at_terminal(
            "kek", "import", "typed", "--components", "3", typed=typed)
        self.assertEqual(status, 0, shown)
        for i, part in enumerate(parts):
            self.assertIn(b"Component %d of 3: check value %s" % (
                i + 1, check_value(part).encode()), shown)
            for form in part.hex()[:16], part.hex()[-16:]:
                self.assertNotIn(form.encode(), shown)
        self.assert_is("typed", xor(*parts))
        self.server.ctl("kek", "delete", "typed")

    def test_given_up_at_the_terminal(self):
        before = self.keks()
        turn = b"Component 1 of 2: its holder types it now"
        for typed in ([(turn, b"\x03")],
                      [(turn, b"00" * 16 + b"\n" b"\x03")],
                      [(turn, b"1\n"), (b"once more", b"2\n"),
                       (b"once more", b"3\n")]):
            status, shown = self.at_terminal(
                "kek", "import", "typed", "--components", "2", typed=typed)
            self.assertEqual(status, 5, shown)
        self.assertEqual(self.keks(), before)
        done = subprocess.run(
            [scenario.BIN + "/joineryctl", "kek", "import", "typed",
             "--components", "2"], env=self.server.env, text=True,
            start_new_session=True, stdin=subprocess.DEVNULL,
            capture_output=True)
        self.assertEqual(done.returncode, 5)
        self.assertIn("needs a terminal", done.stderr)

    # ---- one that is lost ----

    def token_files(self):
        return {os.path.join(top, name)
                for top, _, names in os.walk(self.path("tokens"))
                for name in names if name.endswith(".object")}

    def counter(self, name):
        return sum(c.value for w in self.server.status().workers
                   for c in w.counters if c.name == name)

    def test_lost_behind_our_back(self):
        before = self.token_files()
        self.kek("lost", "--bits", "128", verb="generate")
        [gone] = self.token_files() - before
        self.peer("losing", "lost")
        device = self.server.device("1.0.4")
        with self.server.tls("losing") as ns:
            device.join(ns, 1)
        os.remove(gone)
        # Each worker looks for itself.
        until(lambda: self.counter("keks_unfit") == 2, "both have seen it")
        self.assertIn("KEK", self.server.status().trouble)
        refused = self.counter("kek_missing")

        def refuse(dev_nonce):
            with self.server.tls("losing") as ns:
                error = self.refused("KEK_MISSING", device.join, ns,
                                     dev_nonce)
            self.assertIn("generation 1 of the KEK lost", error.message)
            nonces = device.nonces()
            self.assertEqual((nonces["join_nonce"], nonces["dev_nonce"]),
                             (1, 1))

        refuse(2)
        self.assertEqual(self.counter("kek_missing"), refused + 1)
        self.assertTrue(self.server.lines(
            "error kek", "no object of generation 1 of the KEK lost"))
        self.fails("no object of generation 1", "test", "lost")
        self.server.stop()
        self.server.start()  # at start it is seen too, and others serve
        until(lambda: self.counter("keks_unfit") == 2, "both have seen it")
        self.assertIn("KEK", self.server.status().trouble)
        refuse(2)
        self.serves()
        # The way out: a next generation, and the lost one goes.
        self.kek("lost", "--bits", "256", verb="rotate")
        with self.server.tls("losing") as ns:
            answer = device.join(ns, 2)
        self.assertEqual(answer.nwk_s_key.kek_label, "lost-2")
        self.assertEqual(device.join_nonce_of(answer), 2)
        self.server.ctl("kek", "retire", "lost", "--at-once")
        until(lambda: not self.server.status().trouble, "no trouble")
        self.server.ctl("peer", "delete", "losing")
        self.server.ctl("kek", "delete", "lost")


class KekFaults(KekCase):
    options = ("--workers", "1")
    mock = True

    def test_generate_halfway(self):
        """Wherever the token fails: no row, no file, and the next one works."""
        key = rsa.generate_private_key(65537, 2048).public_key()
        with open(self.path("eve.pem"), "wb") as f:
            f.write(key.public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo))
        words = ("--bits", "128", "--for-peer", self.path("eve.pem"), "--out",
                 self.path("eve.kek"))
        for i, fault in enumerate((
                "C_CreateObject#1=CKR_TEMPLATE_INCONSISTENT",
                "C_WrapKey#1=CKR_KEY_UNEXTRACTABLE",
                "C_WrapKey#2=CKR_KEY_SIZE_RANGE",
                "C_UnwrapKey#1=CKR_KEY_SIZE_RANGE",
                "C_UnwrapKey#2=CKR_KEY_SIZE_RANGE",
                "C_WrapKey#3=CKR_KEY_SIZE_RANGE")):
            before = self.keks()
            self.server.mock("%s; try-%d" % (fault, i))
            done = self.server.try_ctl("kek", "generate", "eve", *words)
            self.server.mock("")
            if done.returncode == 0:
                # A look after KEKs had the fault instead.
                self.server.ctl("kek", "delete", "eve")
                os.remove(self.path("eve.kek"))
                continue
            self.assertIn("TOKEN_REFUSED", done.stderr, fault)
            self.assertEqual(self.keks(), before)
            self.assertFalse(os.path.exists(self.path("eve.kek")), fault)
        self.server.ctl("kek", "generate", "eve", *words)
        self.proof("eve")


if __name__ == "__main__":
    scenario.main()
