#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sealed key files, made by tests/vectors/keyfile.py, which shares nothing
with Joinery, and imported by joineryctl: what is good arrives and joins, what
is bad is refused with its line, and what breaks off is simply repeated."""
import hashlib
import json
import os
import re
import secrets
import signal
import time

import scenario
from import_case import ImportCase, entry
from key_leaks import forms, read_mapping
from scenario import JOIN_EUI, Device

import keyfile  # of tests/vectors, which scenario has added to the path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap


class Import(ImportCase):
    # ---- what is good ----

    def test_good(self):
        made = self.devices("1.0.3", "1.0.4", "1.1.0", "1.0.0")
        values = b""
        self.file(made)
        with open(self.path) as f:
            for value in re.findall(":([0-9a-f]{8})", f.read()):
                values += bytes.fromhex(value)
        self.imports("--dry-run", created=4)
        for device in made:
            self.absent(device)
        summary = self.imports(created=4)
        self.assertEqual(summary["check_values_sha256"],
                         hashlib.sha256(values).hexdigest())
        for device in made:
            self.joins(device)
        self.imports(same=4)
        self.imports("--replace", same=4)
        for device in made:
            self.joins(device, 2)
            shown = device.get()
            for name, key in (("nwk", device.nwk_key),
                              ("app", device.app_key)):
                self.assertEqual(
                    shown.get(name + "_key_check_value"),
                    key and keyfile.cmac(key, bytes(16))[:4].hex())
        done = self.server.try_ctl("import", self.path)
        self.assertIn("same                 4", done.stdout)
        self.assertEqual(len(self.server.lines(
            "admin: done", "created=4 same=0 replaced=0 refused=0")) > 0,
            True, self.server.log())
        self.assertGreaterEqual(sum(
            c.value for w in self.server.status().workers
            for c in w.counters if c.name == "devices_imported"), 4)

    def test_audit(self):
        """The log says when it began and what came of it; the summary where
        that stands.  What changes nothing is not in it."""
        self.file(self.devices("1.0.4", "1.1.0"))
        before = self.server.audit()[-1]["seq"]
        dry = self.imports("--dry-run", created=2)
        self.assertNotIn("audit_seq", dry)
        self.assertEqual(self.server.audit("--after", str(before)), [])
        summary = self.imports(created=2)
        begin, end = self.server.audit("--after", str(before))
        self.assertEqual((begin["event"], end["event"]),
                         ("import_begin", "import_end"))
        with open(self.path, "rb") as f:
            covered = f.read()[:-33]  # all but MAC and LF
        digest = hashlib.sha256(covered).hexdigest()
        self.assertEqual(begin["text"], "digest=" + digest)
        self.assertEqual(end["text"], (
            "begin=%d digest=%s created=2 same=0 replaced=0 refused=0 "
            "check_values=%s") % (begin["seq"], digest,
                                  summary["check_values_sha256"]))
        self.assertEqual((summary["audit_seq"], summary["audit_mac"]),
                         (end["seq"], end["mac"]))
        self.assertTrue(self.server.lines("call=import_end", end["text"],
                                          "audit=%d" % end["seq"]))
        done = self.server.try_ctl("import", self.path)
        last = self.server.audit()[-1]
        self.assertIn("audit-seq            %d\naudit-mac            %s\n" % (
            last["seq"], last["mac"]), done.stdout)

    def test_many(self):
        """Batches of all sizes, on all workers."""
        made = self.devices(*["1.0.4"] * 150)
        self.file(made)
        self.imports(created=150)
        self.imports(same=150)
        for device in made[::60]:
            self.joins(device)

    def test_sealed_by_joineryctl(self):
        """What "joineryctl seal" makes is imported."""
        (device,) = self.devices("1.0.4")
        with open(self.server.dir + "/import.pem", "wb") as f:
            f.write(self.public.public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo))
        with open(self.server.dir + "/devices.csv", "w") as f:
            f.write("dev_eui,join_eui,mac_version,app_key\n%s,%s,1.0.4,%s\n" % (
                device.dev_eui.hex(), device.join_eui.hex(),
                device.app_key.hex()))
        os.chmod(self.server.dir + "/devices.csv", 0o600)
        done = self.server.try_ctl(
            "seal", self.server.dir + "/devices.csv", "--import-key",
            self.server.dir + "/import.pem", "--out", self.path, "--net-id",
            "000013", "--as-id", "as.example.org")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = self.imports(created=1)
        self.assertIn(summary["check_values_sha256"], done.stdout)
        self.joins(device)

    def test_settings_and_nonces(self):
        device, other = self.devices("1.1.0", "1.0.2")
        self.file([device, other], ["net-id", "000042"], ["ns-kek", "ns-kek"],
                  ["app-name", "Zähler 1"], ["join-nonce", "41"],
                  ["dev-nonce", "700"], ["resets-join-nonces", "no"],
                  ["v10-root", "app"])
        self.imports(created=2)
        shown = device.get()
        settings = shown["settings"]
        self.assertEqual(settings["net_ids"], ["000013", "000042"])
        self.assertEqual(settings["ns_kek"], "ns-kek")
        self.assertEqual(settings["app"], "Zähler 1")
        self.assertEqual(settings["mac_version"], "1.1.0")
        self.assertEqual(settings["v10_root"], "app")
        self.assertEqual(shown["nonces"]["join_nonce"], 41)
        self.assertEqual(shown["nonces"]["dev_nonce"], 700)
        with self.server.tls("ns") as ns:
            self.refused("DEV_NONCE_REPLAYED", device.join, ns, 700)
            self.refused("DEV_NONCE_REPLAYED", other.join, ns, 700)
            answer = device.join(ns, 701)
            self.assertEqual(device.join_nonce_of(answer), 42)
            other.join(ns, 3)
        # What has gone on since is no difference; what lies below is.
        self.imports(same=2)
        self.file([device], ["join-nonce", "900"])
        self.assertIn("line 5: ALREADY_EXISTS", self.imports_partly(refused=1))
        self.imports("--replace", replaced=1)
        self.assertEqual(device.nonces()["join_nonce"], 900)
        self.file([device], ["join-nonce", "5"])
        self.imports("--replace", same=1)
        self.assertEqual(device.nonces()["join_nonce"], 900)

    def test_replace(self):
        """Another key is refused, then replaces; old sessions live on."""
        (device,) = self.devices("1.0.3")
        self.file([device])
        self.imports(created=1)
        old = self.joins(device)
        twin = Device(self.server, "1.0.3", dev_eui=device.dev_eui)
        fresh = self.devices("1.0.3")[0]
        self.file([twin, fresh])
        stderr = self.imports_partly(created=1, refused=1)
        self.assertIn("line 5: ALREADY_EXISTS: the device has another "
                      "AppKey", stderr)
        self.assertIn(keyfile.cmac(device.app_key, bytes(16))[:4].hex(),
                      stderr)
        self.joins(device, 2)
        self.imports("--replace", "--dry-run", replaced=1, same=1)
        self.joins(device, 3)
        before = self.server.audit()
        self.imports("--replace", replaced=1, same=1)
        begin, event, end = self.server.audit()[len(before):]
        eui = device.dev_eui.hex()
        self.assertEqual((event["event"], event["text"]), (
            "root_keys_replaced", "begin=%d replaced=1 first=%s last=%s" % (
                begin["seq"], eui, eui)))
        self.assertEqual(end["event"], "import_end")
        self.imports("--replace", same=2)
        self.joins(twin, 4)
        with self.server.tls("ns") as ns:
            again = ns.call("network_keys", dev_eui=device.dev_eui,
                            session_key_id=old.session_key_id)
        self.assertEqual(again.nwk_s_key, old.nwk_s_key)

    def test_device_set_before(self):
        """A device without keys gets them; "device set" knows them, too."""
        device, odd = self.devices("1.0.4", "1.0.4")
        settings = "--mac-version", "1.0.4", "--net-id", "000013"
        self.server.ctl("device", "set", *device.words, *settings,
                        "--as-id", "as.example.org")
        self.server.ctl("device", "set", *odd.words, *settings,
                        "--as-id", "other")
        self.file([device, odd])
        stderr = self.imports_partly(created=1, refused=1)
        self.assertIn("line 6: ALREADY_EXISTS: the device is there with other "
                      "settings", stderr)
        self.assertIn("'other'", str(odd.get()))
        self.joins(device)
        self.imports("--replace", same=1, replaced=1)
        self.joins(odd)
        other = self.server.device("1.0.4")
        self.file([other])
        self.imports(same=1)

    # ---- what is bad ----

    def test_cut(self):
        made = self.devices("1.0.4", "1.0.4")
        whole = len(keyfile.make(self.public, [entry(d) for d in made]))
        for cut in range(-1, -whole, -31):
            self.file(made, edit=lambda octets, cut=cut: octets[:cut])
            line = open(self.path, "rb").read().count(b"\n") + 1
            self.fails("line %d does not end with LF" % line, "was cut")
        self.file(made, edit=lambda o: b"\n".join(o.split(b"\n")[:-2] + [b""]))
        self.fails("line 6: the file ends here, without its end line")
        self.file(made, edit=lambda o: b"")
        self.fails("the file is empty")
        self.file(made, edit=lambda o: o + b"device\n")
        self.fails("behind")
        self.file(made, edit=lambda o: b"\xef\xbb\xbf" + o)
        self.fails("line 1")
        self.file(made, edit=lambda o: o.replace(b"\n", b"\r\n"))
        self.fails("line 1: it ends with CR LF")
        self.file(made, edit=lambda o: o[:200] + b"0" * 3000 + o[200:])
        self.fails("line 4 is longer")

    def test_no_regular_file(self):
        for path, why in ((self.server.dir, "Is a directory"),
                          ("/dev/null", "not a regular file"),
                          (self.path, "No such file")):
            summary, _, status = self.run_import(path=path)
            self.assertEqual(status, 5)
            self.assertIn(why, summary["error"]["message"])

    def test_wrong_import_key(self):
        key = rsa.generate_private_key(65537, 3072).public_key()
        self.file(self.devices("1.0.4"), public=key)
        self.fails("MALFORMED_REQUEST", keyfile.fingerprint(key),
                   keyfile.fingerprint(self.public), status=1)

    def test_flipped(self):
        """One digit changed, wherever it is."""
        made = self.devices("1.0.4", "1.0.4")

        def flip(octets, at):
            digit = b"0" if octets[at:at + 1] != b"0" else b"1"
            return octets[:at] + digit + octets[at + 1:]

        def flip_bit(octets, at):
            return (octets[:at] + bytes([octets[at] ^ 0x10]) +
                    octets[at + 1:])

        for pattern, said in (
                (rb"import-key ()", "sealed for import key"),
                (rb"transport-key .{200}()", "TOKEN_REFUSED"),
                (rb"device ()", "MAC"), (rb"app=.{9}()", "MAC"),
                (rb":()[0-9a-f]{8} ", "MAC"), (rb"net-id=()", "MAC"),
                (rb"end 2 ()", "the file's MAC does not match")):
            self.file(made, edit=lambda o, p=pattern: flip(
                o, re.search(p, o).end(1)))
            self.fails(said, status=1)
        # One bit of each octet of a line, so that it is no digit at times.
        for at in range(0, 60, 7):
            self.file(made, edit=lambda o, n=at: flip_bit(
                o, o.index(b"device ") + n))
            self.fails("line 5" if at < 31 else "", status=None)
        for word, line in ("joinery", 1), ("seal", 3), ("end 2", 7):
            self.file(made, edit=lambda o, w=word: flip_bit(
                o, o.index(b"\n" + w.encode()) + 1 if w != "joinery" else 0))
            self.fails("line %d: " % line)
        self.file(made, edit=lambda o: o.replace(b"end 2", b"end 3"))
        self.fails("line 7")

    def test_swapped(self):
        """Two blobs change places: only the MAC can tell."""
        def swap(octets):
            first, second = re.findall(rb"app=\S+", octets)
            return octets.replace(first, b"#").replace(
                second, first).replace(b"#", second)

        self.file(self.devices("1.0.4", "1.0.4"), edit=swap)
        self.fails("KEY_CHECK_FAILED", "MAC", status=1)

    def test_swapped_with_right_mac(self):
        """Somebody who can make MACs changes keys, but no check values."""
        def swap(_, lines):
            first, second = (re.search("app=([0-9a-f]{48})", line)[1]
                             for line in lines[:2])
            return [lines[0].replace(first, second),
                    lines[1].replace(second, first), *lines[2:]]

        self.made = self.devices("1.0.4", "1.0.4", "1.0.4")
        self.sealed_again(swap)
        stderr = self.imports_partly(created=1, refused=2)
        for line in 5, 6:
            self.assertIn("line %d: KEY_CHECK_FAILED: key check value" % line,
                          stderr)
        self.absent(self.made[0])
        self.absent(self.made[1])
        self.joins(self.made[2])

    def test_wrong_token(self):
        """The fingerprint is this token's, the transport key another's."""
        other = rsa.generate_private_key(
            65537, self.public.key_size).public_key()
        octets = keyfile.make(other, [
            entry(d) for d in self.devices("1.0.4")])
        with open(self.path, "wb") as f:
            f.write(octets.replace(keyfile.fingerprint(other).encode(),
                                   keyfile.fingerprint(self.public).encode()))
        self.fails("TOKEN_REFUSED", "transport key", status=1)

    def test_not_hexadecimal(self):
        """A line is wrong, though the MAC is right: it alone is refused."""
        def spoil(_, lines):
            lines[0] = lines[0].replace("app=", "app=x", 1)
            lines[1] = re.sub(":[0-9a-f]{8}", ":0123456g", lines[1])
            lines[2] = re.sub("app=([0-9a-f]+)",
                              lambda m: "app=" + m[1].upper() + "A", lines[2])
            lines[3] = re.sub("device .", "device g", lines[3])
            return lines

        self.made = self.devices(*["1.0.4"] * 5)
        self.sealed_again(spoil)
        self.fails("4 lines are wrong: nothing was imported", "line 8: an EUI",
                   options=("--strict",))
        for counts in dict(created=1, refused=4), dict(same=1, refused=4):
            stderr = self.imports_partly(**counts)
            for line in 5, 6, 7:
                self.assertIn("line %d: app is not 48 lower-case" % line,
                              stderr)
            self.assertIn("line 8: an EUI is not", stderr)
        for device in self.made[:4]:
            self.absent(device)
        self.joins(self.made[4])

    def test_wrong_producer(self):
        """The MAC is right, and what it is over is not."""
        self.made = self.devices("1.0.4", "1.0.4", "1.0.4", "1.0.4")

        def spoil(transport, lines):
            wrong = aes_key_wrap(transport, bytes(range(16))).hex()
            lines[1] = re.sub("app=[0-9a-f]{48}", "app=" + wrong, lines[1])
            lines[2] = re.sub("app=[0-9a-f]{8}", "app=00000000", lines[2])
            return lines

        self.sealed_again(spoil)
        for options in ("--dry-run",), ():
            stderr = self.imports_partly(*options, created=2, refused=2)
            self.assertIn("line 6: KEY_CHECK_FAILED: key check value",
                          stderr)
            self.assertIn("line 7: TOKEN_REFUSED", stderr)
        self.joins(self.made[0])
        self.absent(self.made[1])
        self.absent(self.made[2])
        self.joins(self.made[3])
        summary, stderr, status = self.run_import("--strict")
        self.assertEqual(status, 1)
        self.assertIn("stopped", summary["error"]["message"])

    def test_wrong_lengths(self):
        """24 and 32 octets are AES keys, but no root keys."""
        for length in 24, 32:
            self.made = self.devices("1.0.4", "1.0.4")
            key = secrets.token_bytes(length)

            def lengthen(transport, lines, key=key):
                word = "app=%s:%s" % (
                    aes_key_wrap(transport, key).hex(),
                    keyfile.cmac(key, bytes(16))[:4].hex())
                lines[0] = re.sub(r"app=\S+", word, lines[0])
                return lines

            self.sealed_again(lengthen)
            self.fails("line 5", options=("--strict",))
            self.imports_partly(created=1, refused=1)
            self.absent(self.made[0])
            # A client that does not look sends it all the same.
            transport = secrets.token_bytes(32)
            with self.server.admin() as admin:
                answer = admin.call(
                    "import_batch", audit_seq=self.beginning(),
                    import_key=bytes.fromhex(
                        keyfile.fingerprint(self.public)),
                    transport_key=self.public.encrypt(
                        transport, keyfile.OAEP),
                    devices=[dict(
                        id=dict(join_eui=JOIN_EUI,
                                dev_eui=self.made[0].dev_eui),
                        app_key=dict(
                            wrapped_key=aes_key_wrap(transport, key),
                            check_value=keyfile.cmac(
                                key, bytes(16))[:4]))])
            self.assertFalse(answer.results[0].HasField("outcome"))
            self.assertIn("octets", answer.results[0].reason)
            self.absent(self.made[0])

    def test_twice_in_file(self):
        one, two = self.devices("1.0.4", "1.0.4")
        self.file([one, two, Device(self.server, "1.0.4",
                                    dev_eui=one.dev_eui)])
        self.fails("line 7", "line 5", options=("--strict",))
        stderr = self.imports_partly(created=2, refused=1)
        self.assertIn("line 7: the device is on line 5, too", stderr)
        self.joins(one)

    def test_settings_refused(self):
        made = self.devices("1.0.4", "1.0.4")
        octets = keyfile.make(self.public, [
            entry(made[0], ["ns-kek", "nobody's"]), entry(made[1])])
        with open(self.path, "wb") as f:
            f.write(octets)
        self.assertIn("line 5: KEK_MISSING",
                      self.imports_partly(created=1, refused=1))

    def test_calls(self):
        """What the calls refuse."""
        self.file(self.devices("1.0.4"))
        end = self.imports(created=1)["audit_seq"]
        key = bytes.fromhex(keyfile.fingerprint(self.public))
        sealed = self.public.encrypt(bytes(32), keyfile.OAEP)
        batch = dict(import_key=key, transport_key=sealed,
                     audit_seq=self.beginning())
        file = dict(import_key=key, transport_key=sealed)
        device = dict(id=dict(join_eui=JOIN_EUI, dev_eui=b"12345678"))
        with self.server.admin() as admin:
            self.refused("MALFORMED_REQUEST", admin.call, "import_begin",
                         **file)
            for call in "import_begin", "import_end":
                self.refused("KEY_CHECK_FAILED", admin.call, call,
                             digest=bytes(32), mac=bytes(16), **file)
            for seq in {}, dict(audit_seq=end), dict(audit_seq=end + 1):
                answer = self.refused(
                    "MALFORMED_REQUEST", admin.call, "import_batch",
                    devices=[device], **file, **seq)
                self.assertIn("audit_seq", answer.message)
            self.refused("MALFORMED_REQUEST", admin.call, "import_batch",
                         devices=[], **batch)
            self.refused("MALFORMED_REQUEST", admin.call, "import_batch",
                         devices=[device] * 257, **batch)
            self.refused("TOKEN_REFUSED", admin.call, "import_batch",
                         devices=[device], import_key=key,
                         audit_seq=batch["audit_seq"],
                         transport_key=bytes(len(sealed)))
            got = admin.call("import_batch", devices=[device, {}], **batch)
            self.assertEqual(len(got.results), 2)
            self.assertIn("without a key", got.results[0].reason)
        with self.server.tls("ns") as ns:
            self.refused("NOT_ALLOWED", ns.call, "import_batch",
                         devices=[device], **batch)

    def test_not_a_file(self):
        for path in "/nonexistent", "/tmp", "/dev/null":
            _, _, status = self.run_import(path=path)
            self.assertEqual(status, 5)

    # ---- what breaks off ----

    def broken_off(self, break_it, survives):
        """Import, break it in the middle, import again: all are there, and
        each is there once."""
        made = self.devices(*["1.0.4"] * 150)
        self.app = "app-%s" % secrets.token_hex(4)
        self.file(made, ["app-name", self.app])
        running = self.start_import()
        self.some_done(made)
        break_it(running)
        out, err = running.communicate(timeout=120)
        if survives:
            self.assertEqual(running.returncode, 0, (out, err))
            summary = json.loads(out)
            self.assertEqual(summary["created"] + summary["same"], 150)
        self.server.wait_ready()
        summary, stderr, status = self.run_import()
        self.assertEqual((status, stderr), (0, ""))
        self.assertEqual(summary["created"] + summary["same"], 150)
        self.imports(same=150)
        for device in made[::50]:
            self.joins(device)

    def test_client_killed(self):
        self.broken_off(lambda running: running.kill(), survives=False)

    def test_workers_killed(self):
        def kill(_):
            for _ in range(3):
                for worker in self.server.status().workers:
                    if worker.state == "ready":
                        os.kill(worker.pid, signal.SIGKILL)
                        break
                time.sleep(0.2)

        self.broken_off(kill, survives=True)

    def test_server_killed(self):
        def kill(_):
            self.server.kill()
            self.server.start(wait=False)

        self.broken_off(kill, survives=True)

    def test_server_gone(self):
        """The client gives up in the end, and says how it goes on."""
        def kill(running):
            self.server.kill()
            out, err = running.communicate(timeout=60)
            self.assertEqual(running.returncode, 3, (out, err))
            self.assertIn("same command", out)
            self.server.start()

        made = self.devices(*["1.0.4"] * 150)
        self.app = "app-%s" % secrets.token_hex(4)
        self.file(made, ["app-name", self.app])
        running = self.start_import("--timeout", "1000")
        self.some_done(made)
        kill(running)
        summary, stderr, status = self.run_import()
        self.assertEqual(status, 0, stderr)
        self.assertEqual(summary["created"] + summary["same"], 150)

    # ---- where keys must not be ----

    def test_no_clear_key(self):
        """Not in the memory of joineryd and of joineryctl, not in the store.
        A worker's heap is not searched: SoftHSM is a library, and its keys
        are in the same process."""
        made = self.devices(*["1.1.0"] * 250)
        self.app = "app-%s" % secrets.token_hex(4)
        transport = secrets.token_bytes(32)
        octets = keyfile.make(
            self.public, [entry(d, ["app-name", self.app]) for d in made],
            transport_key=transport)
        with open(self.path, "wb") as f:
            f.write(octets)
        planted = {transport, *(k for d in made[:40]
                                for k in (d.nwk_key, d.app_key))}
        running = self.start_import()
        self.some_done(made)
        running.send_signal(signal.SIGSTOP)  # it must not end meanwhile
        try:
            self.search(running.pid, planted, self.app.encode())
        finally:
            running.send_signal(signal.SIGCONT)
        out, err = running.communicate(timeout=120)
        self.assertEqual(running.returncode, 0, (out, err))
        self.search(self.server.pid(), planted, self.server.dir.encode())
        store = self.server.dir + "/store"
        for path in [store + "/" + name for name in os.listdir(store)] + [
                self.server.dir + "/joineryd.log"]:
            with open(path, "rb") as f:
                self.assert_absent(path, f.read(), planted)

    def search(self, pid, planted, wanted):
        if os.geteuid() != 0:
            return  # the process is not dumpable
        found = False
        with open("/proc/%d/maps" % pid) as maps, \
                open("/proc/%d/mem" % pid, "rb", 0) as memory:
            for line in maps:
                octets = read_mapping(memory, line)
                found = found or wanted in octets
                self.assert_absent(line, octets, planted)
        self.assertTrue(found, "the search finds what is there")

    def assert_absent(self, where, octets, planted):
        for key in planted:
            for form in forms(key):
                self.assertNotIn(form, octets, where)


class Wrapped(ImportCase):
    """Keys that stay outside the token."""
    options = ("--conf", 'custody = "wrapped"')
    test_good = Import.test_good
    test_replace = Import.test_replace
    broken_off = Import.broken_off
    test_workers_killed = Import.test_workers_killed

    def test_larger_than_a_frame(self):
        """As many lines as a batch may have do not fit, so fewer go."""
        made = self.devices(*["1.1.0"] * 600)
        many = [["net-id", "%06x" % i] for i in range(0x100, 0x10f)]
        octets = keyfile.make(self.public, [
            entry(d, ["app-name", "a" * 64], ["device-name", "%064d" % i],
                  *many) for i, d in enumerate(made)])
        with open(self.path, "wb") as f:
            f.write(octets)
        self.imports(created=600)
        self.joins(made[-1])

    def wrapped_keys(self):
        return self.server.ctl("status")["custody"]["wrapped_keys"]

    def test_replace_many(self):
        """Replaced keys that no session needs are gone at once."""
        before = self.wrapped_keys()
        made = self.devices(*["1.1.0"] * 80)
        self.file(made)
        self.imports(created=80)
        self.joins(made[7])
        self.assertEqual(self.wrapped_keys() - before, 160)
        twins = [Device(self.server, "1.1.0", dev_eui=d.dev_eui) for d in made]
        self.file(twins)
        self.imports("--replace", replaced=80)
        # Two serve a session.
        self.assertEqual(self.wrapped_keys() - before, 162)
        self.joins(twins[7], 2)
        self.joins(twins[8])
        store = self.server.dir + "/store/"
        for name in os.listdir(store):
            with open(store + name, "rb") as f:
                octets = f.read()
            for device in made + twins:
                self.assertNotIn(device.nwk_key, octets)
                self.assertNotIn(device.app_key, octets)


if __name__ == "__main__":
    scenario.main()
