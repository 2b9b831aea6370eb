#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""joineryctl seal, run as a program.  What it writes is opened by
tests/vectors/keyfile.py, which shares no code with it; what it refuses has a
line and a reason, leaves no file, and never shows a key."""

import hashlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "vectors"))
sys.dont_write_bytecode = True
import keyfile  # noqa: E402

CTL = os.path.join(os.environ.get("JOINERY_BUILDDIR", "."), "joineryctl")
VECTORS = os.path.join(TOP, "tests", "vectors")
PRIVATE = keyfile.load_private(os.path.join(VECTORS, "keyfile.key.pem"))
PUBLIC = os.path.join(VECTORS, "keyfile.pub.pem")

JOIN = "70b3d57ed0000001"
DEV = "0011223344556677"
NWK = "c3a1f5e7092b4d6f8192a3b4c5d6e7f8"
APP = "5b8c0f3d2a7e4961b0c4d8e2f6172839"
ROW = f"{JOIN},{DEV},1.0.3,{APP}"
HEAD = "join_eui,dev_eui,mac_version,app_key"


def dev(n):
    return f"{0x0011223344550000 + n:016x}"


class Seal(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.folder.name, "keys")

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_ctl(self, text, *options, key=PUBLIC):
        """Seal text; the process, and the names of files left behind."""
        data = text if isinstance(text, bytes) else text.encode()
        with open(self.path("input"), "wb") as f:
            f.write(data)
        os.chmod(self.path("input"), 0o600)
        done = subprocess.run(
            [CTL, "seal", self.path("input"), "--import-key", key,
             "--out", self.out, *options],
            capture_output=True, text=True, timeout=120, check=False)
        for secret in (APP, NWK, APP.upper(), APP[:8], NWK[:8]):
            self.assertNotIn(secret, done.stdout + done.stderr)
        return done

    def sealed(self, text, *options):
        """The devices of the file that text was sealed into."""
        done = self.run_ctl(text, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder.name)),
                         ["input", "keys"])
        self.assertEqual(stat.S_IMODE(os.stat(self.out).st_mode), 0o600)
        self.stdout = done.stdout
        self.stderr = done.stderr
        with open(self.out, "rb") as f:
            return keyfile.open_file(PRIVATE, f.read())

    def refused(self, text, reason, *options, status=5):
        done = self.run_ctl(text, *options)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(reason, done.stderr)
        self.assertEqual(os.listdir(self.folder.name), ["input"])
        return done


class Csv(Seal):
    def test_every_column_in_any_order(self):
        device, = self.sealed(
            "name,app,dev_nonce,join_nonce,resets_join_nonces,v10_root,"
            "as_kek,ns_kek,as_id,net_id,app_key,nwk_key,mac_version,dev_eui,"
            "join_eui\n"
            "Zähler 1,meters,258,17,yes,app,ask,nsk,as.example.org,"
            f"000013 600001;c00002,{APP},{NWK.upper()},1.1,"
            "00-11-22-33-44-55-66-77,70:B3:D5:7E:D0:00:00:01\n")
        self.assertEqual(device, {
            "join_eui": JOIN, "dev_eui": DEV, "mac_version": "1.1.0",
            "nwk": NWK, "app": APP, "meta": [
                ["net-id", "000013"], ["net-id", "600001"],
                ["net-id", "c00002"], ["as-id", "as.example.org"],
                ["ns-kek", "nsk"], ["as-kek", "ask"],
                ["app-name", "meters"], ["device-name", "Zähler 1"],
                ["v10-root", "app"], ["resets-join-nonces", "yes"],
                ["join-nonce", "17"], ["dev-nonce", "258"]]})
        self.assertRegex(self.stdout, "format *csv")
        self.assertRegex(self.stdout, "devices *1")

    def test_headers_mapped(self):
        device, = self.sealed(
            f"AppEUI;Device EUI;Key;id;x\n{JOIN};{DEV};{APP};a;b\n",
            "--column", "join_eui=appeui", "--column", "dev_eui=Device EUI",
            "--column", "app_key=KEY", "--column", "name=id",
            "--mac-version", "1.0.4", "--app", "m")
        self.assertEqual(device["mac_version"], "1.0.4")
        self.assertEqual(device["app"], APP)
        self.assertEqual(device["meta"],
                         [["app-name", "m"], ["device-name", "a"]])
        self.assertIn("1 of 5 columns are not used", self.stderr)

    def test_defaults_give_way(self):
        first, second = self.sealed(
            f"dev_eui,app_key,net_id,as_id,mac_version,app\n"
            f"{dev(1)},{APP},,,,\n"
            f"{dev(2)},{APP},000013,own,1.0.2,two\n",
            "--join-eui", JOIN, "--net-id", "600001", "--net-id", "600002",
            "--as-id", "all", "--mac-version", "1.0.3", "--app", "one",
            "--ns-kek", "n", "--as-kek", "a", "--resets-join-nonces", "no",
            "--v10-root", "default")
        self.assertEqual(first["mac_version"], "1.0.3")
        self.assertEqual(second["mac_version"], "1.0.2")
        common = [["v10-root", "default"], ["resets-join-nonces", "no"]]
        self.assertEqual(first["meta"], [
            ["net-id", "600001"], ["net-id", "600002"], ["as-id", "all"],
            ["ns-kek", "n"], ["as-kek", "a"], ["app-name", "one"]] + common)
        self.assertEqual(second["meta"], [
            ["net-id", "000013"], ["as-id", "own"], ["ns-kek", "n"],
            ["as-kek", "a"], ["app-name", "two"]] + common)

    def test_quotes_blanks_and_empty_lines(self):
        one, two = self.sealed(
            f'\n  \n{HEAD},name\n\n "{JOIN}" , {dev(1)},"1.0.3",{APP} ,'
            f'"a, ""b"""\n   \n{JOIN},{dev(2)},-,{APP},', "--app", "m")
        self.assertEqual(one["meta"],
                         [["app-name", "m"], ["device-name", 'a, "b"']])
        self.assertEqual(two["mac_version"], "-")
        self.assertEqual(two["meta"], [["app-name", "m"]])

    def test_a_name_needs_an_application(self):
        self.refused(f"{HEAD},name,app\n{ROW},lamp,\n",
                     'line 2: the device has a name, "lamp", and no '
                     "application")

    def test_tabs(self):
        text = f"{HEAD}\n{ROW}\n".replace(",", "\t")
        self.assertEqual(self.sealed(text)[0]["app"], APP)

    def test_bom_and_crlf_are_noted(self):
        text = f"{HEAD}\r\n{ROW}\r\n".encode("utf-8-sig")
        self.assertEqual(self.sealed(text)[0]["app"], APP)
        self.assertIn("byte order mark", self.stderr)
        self.assertIn("CR LF", self.stderr)

    def test_rows_refused_with_their_lines(self):
        rows = [
            (f"{JOIN},{dev(1)},1.0.3,", "there is no key"),
            (f"{JOIN},{dev(2)},1.0.3,{APP[:-1]}", "has 31 characters"),
            (f"{JOIN},{dev(3)},1.0.3,{APP[:-1]}g", "no hexadecimal digit"),
            (f"{JOIN},{dev(4)},1.0.3,{APP}{APP[:16]}", "has 24 octets"),
            (f"{JOIN},{dev(5)},1.0.3,{APP}{APP}", "has 32 octets"),
            (f"{JOIN},{dev(6)},1.0.9,{APP}", "mac_version is none of"),
            (f"{JOIN},{dev(7)}0,1.0.3,{APP}", "dev_eui is not 16"),
            (f"{JOIN[:-1]},{dev(8)},1.0.3,{APP}", "join_eui is not 16"),
            (f",{dev(9)},1.0.3,{APP}", "there is no join_eui"),
            (f"{JOIN},,1.0.3,{APP}", "there is no dev_eui"),
            (f"{JOIN},{dev(10)},1.0.3", "3 columns where the first"),
            (f"{JOIN},{dev(11)},1.0.3,{APP},x", "5 columns where the first"),
            (f'{JOIN},{dev(12)},1.0.3,"{APP}', "quotes do not end"),
            (f'{JOIN},{dev(13)},1.0.3,"{APP}"x', "behind the quotes"),
            (f"{JOIN},{dev(14)},1.1.0,{APP}", "there is no nwk_key, and 1.1"),
            (f"{JOIN},{DEV},1.0.3,{APP}", "the same device as on line 2"),
        ]
        text = "\n".join([HEAD, ROW] + [row for row, _ in rows]) + "\n"
        done = self.refused(text, "16 devices refused; nothing was written")
        lines = done.stderr.splitlines()
        for i, (_, reason) in enumerate(rows):
            self.assertTrue(
                lines[i].startswith(f"joineryctl: line {i + 3}: "), lines[i])
            self.assertIn(reason, lines[i])

    def test_values_refused(self):
        for name, value, reason in (
                ("name", "x" * 65, "longer than 64"),
                ("as_id", "x" * 129, "longer than 128"),
                ("name", "a\x01", "control characters"),
                ("name", APP, "could be a key"),
                ("ns_kek", APP + "00", "could be a key"),
                ("net_id", "13", "net_id is not 6"),
                ("net_id", " ".join(["000013"] * 17), "more than 16"),
                ("v10_root", "both", "v10_root is none"),
                ("resets_join_nonces", "1", "neither yes nor no"),
                ("join_nonce", "16777216", "from 0 to 16777215"),
                ("join_nonce", "-1", "from 0 to 16777215"),
                ("dev_nonce", "65536", "from 0 to 65535"),
                ("dev_nonce", "99999999999", "from 0 to 65535")):
            self.refused(f"{HEAD},{name}\n{ROW},{value}\n", reason)
        self.refused(f"{HEAD},name\n{ROW},".encode() + b"\xff\n", "not UTF-8")

    def test_weak_keys(self):
        weak = ["00" * 16, "ff" * 16, bytes(range(16)).hex(),
                "2b7e151628aed2a6abf7158809cf4f3c",
                "00112233445566778899aabbccddeeff",
                "01020304050607080102030405060708"]
        for key in weak:
            text = f"{HEAD}\n{JOIN},{DEV},1.0.3,{key}\n"
            self.refused(text, "app_key is a weak key")
        device, = self.sealed(text, "--allow-weak")
        self.assertEqual(device["app"], weak[-1])

    def test_headers_refused(self):
        for head, reason in (
                (ROW, "does not name a column"),
                ("dev_eui,dev_eui,app_key", "two columns"),
                ('"dev_eui', "cannot be read"),
                (",".join(["x"] * 300), "cannot be read")):
            self.refused(f"{head}\n{ROW}\n", reason)
        self.refused(f"{HEAD}\n{ROW}\n", 'no column "key"',
                     "--column", "app_key=key")
        self.refused(f"{HEAD}\n{ROW}\n", "taken twice",
                     "--column", "nwk_key=app_key", "--column", "name=App_Key")

    def test_a_mapped_column_takes_the_name_of_another(self):
        text = f"join_eui,dev_eui,mac_version,nwk_key\n{ROW}\n"
        device, = self.sealed(text, "--column", "app_key=nwk_key")
        self.assertEqual(device["app"], APP)
        self.assertNotIn("nwk", device)
        text = json.dumps({"join_eui": JOIN, "dev_eui": DEV, "nwk_key": APP})
        device, = self.sealed(text, "--column", "app_key=nwk_key")
        self.assertEqual(device["app"], APP)
        self.assertNotIn("nwk", device)

    def test_only_a_header(self):
        self.refused(f"{HEAD}\n", "no device in")

    def test_many_refusals_are_cut(self):
        text = HEAD + "\n" + f"{JOIN},x,1.0.3,{APP}\n" * 150
        done = self.refused(text, "150 devices refused")
        self.assertIn("only the first 100", done.stderr)
        self.assertEqual(done.stderr.count(": line "), 100)


class JsonLines(Seal):
    def test_members(self):
        one, two = self.sealed("\n".join(json.dumps(o) for o in (
            {"join_eui": JOIN, "dev_eui": dev(1), "mac_version": "1.1.0",
             "nwk_key": NWK, "app_key": APP, "as_id": None,
             "net_id": ["000013", "600001"], "join_nonce": 17,
             "dev_nonce": 0, "resets_join_nonces": False, "name": "{\"}",
             "app": "m"},
            {"join_eui": JOIN, "dev_eui": dev(2), "app_key": APP})))
        self.assertEqual((one["nwk"], one["app"]), (NWK, APP))
        self.assertEqual(one["meta"], [
            ["net-id", "000013"], ["net-id", "600001"],
            ["app-name", "m"], ["device-name", '{"}'], ["resets-join-nonces", "no"],
            ["join-nonce", "17"], ["dev-nonce", "0"]])
        self.assertEqual(two["meta"], [])
        self.assertRegex(self.stdout, "format *jsonl")

    def test_pretty_array(self):
        devices = [{"join_eui": JOIN, "dev_eui": dev(i), "key": APP}
                   for i in range(3)]
        got = self.sealed(json.dumps(devices, indent=4),
                          "--column", "app_key=key")
        self.assertEqual(len(got), 3)

    def test_objects_longer_than_a_read(self):
        pad = ["000013"] * 16
        got = self.sealed("\n\t".join(
            json.dumps({"join_eui": JOIN, "dev_eui": dev(i), "app_key": APP,
                        "net_id": pad}, indent=8) for i in range(400)))
        self.assertEqual([d["dev_eui"] for d in got],
                         [dev(i) for i in range(400)])

    def test_refused(self):
        good = json.dumps({"join_eui": JOIN, "dev_eui": DEV, "app_key": APP})
        for text, reason in (
                (good[:-1], "ends within the object that begins here"),
                ("[" + good, "ends within an array"),
                ("[" + good + good + "]", "no object where one"),
                ("[" + good + ",]", "no object where one"),
                ("[" + good + "] x", "no object where one"),
                (good + "," + good, "no object where one"),
                (good + APP, "no object where one"),
                ("[]", "no device in"),
                ('{"app_key" "' + APP + '"}', "line 1: not JSON"),
                ('{"app_key": "' + APP + '", "app_key": ""}', "a member tw"),
                ('{"' + APP + '": 1}', "no member is called"),
                ('{"appkey": "' + APP + '"}', 'called "appkey"'),
                ('{"app_key": ["' + APP + '"]}', "neither text nor"),
                ('{"join_nonce": 1.5}', "neither text nor"),
                ('{"app_key": "' + APP + '\\u0000"}', "not JSON"),
                ("{" + " " * 70000 + "}", "longer than 65535")):
            self.refused(text, reason)

    def test_lines_of_objects(self):
        bad = json.dumps({"dev_eui": "x"}, indent=1)
        done = self.refused(f"{bad}\n\n{bad}", "2 devices refused")
        self.assertIn("line 1: ", done.stderr)
        self.assertIn("line 5: ", done.stderr)

    def test_json_output(self):
        done = self.run_ctl(
            f"{HEAD}\r\n{ROW}\r\n{ROW}\r\n", "--json")
        self.assertEqual(done.returncode, 5)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["refused"], [
            {"line": 3, "reason": "the same device as on line 2"}])
        self.assertEqual(len(answer["notes"]), 1)
        self.assertEqual(answer["error"]["code"], "LOCAL")
        done = self.run_ctl(f"{HEAD}\n{ROW}\n", "--json")
        check_value = keyfile.cmac(bytes.fromhex(APP), bytes(16))[:4]
        self.assertEqual(json.loads(done.stdout), {
            "format": "csv", "devices": 1, "out": self.out,
            "import_key": keyfile.fingerprint(PRIVATE.public_key()),
            "check_values_sha256": hashlib.sha256(check_value).hexdigest()})


def tts(**more):
    device = {
        "ids": {"device_id": "my-device", "dev_eui": DEV.upper(),
                "join_eui": JOIN.upper(),
                "application_ids": {"application_id": "my-app"}},
        "created_at": "2021-01-01T00:00:00Z",
        "name": "My Device",
        "lorawan_version": "MAC_V1_0_3",
        "lorawan_phy_version": "PHY_V1_0_3_REV_A",
        "frequency_plan_id": "EU_863_870",
        "supports_join": True,
        "root_keys": {"root_key_id": "x", "app_key": {"key": APP.upper()}},
    }
    device.update(more)
    return device


class TheThingsStack(Seal):
    def test_device(self):
        device, = self.sealed(json.dumps(tts(
            net_id="000013", resets_join_nonces=True,
            network_server_kek_label="ns", application_server_kek_label="as",
            application_server_id="as.example.org",
            used_dev_nonces=[3, 65535, 17], last_join_nonce=42), indent=2))
        self.assertEqual(device, {
            "join_eui": JOIN, "dev_eui": DEV, "mac_version": "1.0.3",
            "app": APP, "meta": [
                ["net-id", "000013"], ["as-id", "as.example.org"],
                ["ns-kek", "ns"], ["as-kek", "as"], ["app-name", "my-app"],
                ["device-name", "my-device"], ["resets-join-nonces", "yes"],
                ["join-nonce", "42"], ["dev-nonce", "65535"]]})
        self.assertRegex(self.stdout, "format *tts")

    def test_1_1_and_counters(self):
        device, = self.sealed(json.dumps([tts(
            lorawan_version="MAC_V1_1", last_dev_nonce=7, last_join_nonce=0,
            root_keys={"app_key": {"key": APP}, "nwk_key": {"key": NWK}})]))
        self.assertEqual(device["mac_version"], "1.1.0")
        self.assertEqual((device["nwk"], device["app"]), (NWK, APP))
        self.assertEqual(device["meta"], [
            ["app-name", "my-app"], ["device-name", "my-device"],
            ["dev-nonce", "7"]])

    def test_1_0_with_both_keys_keeps_its_root(self):
        device, = self.sealed(json.dumps(tts(
            last_dev_nonce=0, last_join_nonce=0,
            root_keys={"app_key": {"key": APP}, "nwk_key": {"key": NWK}})))
        self.assertEqual((device["nwk"], device["app"]), (NWK, APP))
        self.assertIn(["v10-root", "app"], device["meta"])
        self.assertEqual(len(device["meta"]), 3)

    def test_stream_with_abp(self):
        abp = tts(supports_join=False)
        del abp["root_keys"]
        one, = self.sealed(json.dumps(abp) + json.dumps(tts()))
        self.assertEqual(one["dev_eui"], DEV)
        self.assertIn("1 devices do not join", self.stderr)

    def test_refused(self):
        no_ids = tts(ids={"device_id": "x"})
        for device, reason in (
                (tts(root_keys={}), "there is no key"),
                (tts(root_keys={"app_key": {"encrypted_key": "AAAA",
                                            "kek_label": "k"}}), "wrapped"),
                (tts(lorawan_version="MAC_UNKNOWN"), "mac_version is none"),
                (tts(lorawan_version="MAC_V1_1"), "there is no nwk_key"),
                (tts(net_id={}), "neither text"),
                (tts(last_join_nonce=1 << 24), "join_nonce is no number"),
                (tts(last_dev_nonce="17"), "DevNonce that was used is no"),
                (tts(used_dev_nonces=[1, "2"]), "DevNonce that was used is"),
                (tts(used_dev_nonces=[1, 65536]), "dev_nonce is no number"),
                (no_ids, "there is no dev_eui")):
            self.refused(json.dumps(device), reason)


class ChirpStack(Seal):
    def test_nwk_key_is_app_key_of_1_0(self):
        device, = self.sealed(json.dumps({
            "device": {"devEui": DEV, "joinEui": JOIN, "name": "my",
                       "applicationId": "c0ffee"},
            "deviceKeys": {"devEui": DEV, "nwkKey": APP, "appKey": "0" * 32},
            "deviceProfile": {"name": "profile",
                              "macVersion": "LORAWAN_1_0_3",
                              "supportsOtaa": True}}), "--app", "m")
        self.assertEqual(device, {
            "join_eui": JOIN, "dev_eui": DEV, "mac_version": "1.0.3",
            "app": APP, "meta": [["app-name", "m"], ["device-name", "my"]]})
        self.assertRegex(self.stdout, "format *chirpstack")

    def test_flat_with_version_from_outside(self):
        device, = self.sealed(
            json.dumps({"dev_eui": DEV, "join_eui": JOIN, "nwk_key": APP,
                        "join_nonce": 5, "description": "x"}),
            "--format", "chirpstack", "--mac-version", "1.0.2")
        self.assertEqual(device["app"], APP)
        self.assertNotIn("nwk", device)
        self.assertEqual(device["meta"], [["join-nonce", "5"]])

    def test_1_1(self):
        device, = self.sealed(json.dumps({
            "device": {"dev_eui": DEV, "join_eui": JOIN},
            "device_keys": {"nwk_key": NWK, "app_key": APP},
            "device_profile": {"mac_version": "LORAWAN_1_1_0"}}))
        self.assertEqual((device["nwk"], device["app"]), (NWK, APP))

    def test_refused(self):
        flat = {"devEui": DEV, "joinEui": JOIN, "nwkKey": APP}
        self.refused(json.dumps(flat), "--mac-version gives it")
        self.refused(json.dumps(dict(flat, nwkKey="0" * 32)), "is all zero",
                     "--mac-version", "1.0.3")
        self.refused(json.dumps(dict(flat, appKey="0" * 32)),
                     "there is no app_key", "--mac-version", "1.1.0")
        del flat["joinEui"]
        self.refused(json.dumps(flat), "there is no join_eui",
                     "--mac-version", "1.0.3")

    def test_dev_nonces(self):
        """A list, or one for each JoinEUI: none of them may come again."""
        flat = {"devEui": DEV, "joinEui": JOIN, "nwkKey": APP}
        for nonces in "3", [3, "5"], {JOIN: [True]}:
            self.refused(json.dumps(dict(flat, devNonces=nonces)),
                         "a DevNonce that was used is no number",
                         "--mac-version", "1.0.3")
        for nonces in [3, 700, 5], {JOIN: [3, 5], "0" * 16: [700, 1]}:
            device, = self.sealed(json.dumps(dict(flat, devNonces=nonces)),
                                  "--mac-version", "1.0.3")
            self.assertEqual(device["meta"], [["dev-nonce", "700"]])
        for nonces in [], {}, None:
            device, = self.sealed(json.dumps(dict(flat, devNonces=nonces)),
                                  "--mac-version", "1.0.3")
            self.assertEqual(device["meta"], [])

    def test_abp_is_passed_over(self):
        self.refused(json.dumps({"device": {"devEui": DEV}, "device_profile":
                                 {"supportsOtaa": False}}), "no device in")


def read_memory(pid):
    """All that a process can write to; root only, it is not dumpable."""
    octets = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area, mode = line.split()[:2]
            start, end = (int(x, 16) for x in area.split("-"))
            if not mode.startswith("rw") or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                octets.append(memory.read(end - start))
            except OSError:
                pass
    return b"\0".join(octets)


@unittest.skipUnless(os.geteuid() == 0, "reads another process's memory")
@unittest.skipIf("asan" in CTL or "tsan" in CTL, "keeps what was freed")
class Memory(Seal):
    def seal_and_look(self, rows, planted):
        """While more input is awaited, nothing is left of what was read."""
        with subprocess.Popen(
                [CTL, "seal", "-", "--import-key", PUBLIC, "--out", self.out],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
            child.stdin.write(rows)
            child.stdin.flush()
            self.wait_for_output(child.pid)
            octets = read_memory(child.pid)
            child.stdin.close()
            self.assertEqual(child.wait(), 0)
        # The search finds what is there: an option that was given.
        self.assertTrue(PUBLIC.encode() in octets)
        for form in (planted.encode(), planted.upper().encode(),
                     bytes.fromhex(planted)):
            self.assertFalse(form in octets, "a key was left in memory")

    def wait_for_output(self, pid):
        """Until it sleeps in read(2), having written some of the devices."""
        quiet = 0
        deadline = time.time() + 60
        while quiet < 5:
            self.assertLess(time.time(), deadline)
            time.sleep(0.1)
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                sleeps = f.read().rsplit(")", 1)[1].split()[0] == "S"
            sizes = [os.path.getsize(self.path(name))
                     for name in os.listdir(self.folder.name)]
            quiet = quiet + 1 if sleeps and max(sizes, default=0) > 0 else 0

    def test_csv(self):
        other = f"{JOIN},%016x,1.0.3,{NWK}\n"
        rows = HEAD + "\n" + ROW + "\n" + "".join(
            other % i for i in range(4000))
        self.seal_and_look(rows.encode(), APP)

    def test_json(self):
        rows = json.dumps(tts()) + "".join(json.dumps(tts(
            ids={"dev_eui": dev(i + 1), "join_eui": JOIN},
            root_keys={"app_key": {"key": NWK}})) for i in range(2000)
            if dev(i + 1) != DEV)
        self.seal_and_look(rows.encode(), APP)


class Files(Seal):
    def test_input_that_is_none(self):
        self.refused("", "empty")
        self.refused("\n \n", "empty")
        self.refused(f"{HEAD}\n".encode("utf-16"), "UTF-16")
        self.refused(f"{HEAD}\n".encode("utf-16-be"), "an octet 0")
        self.refused("x" * 70000, "longer than 65535")

    def test_unreadable(self):
        for path, reason in ((self.path("none"), "No such file"),
                             (self.folder.name, "Is a directory")):
            done = subprocess.run(
                [CTL, "seal", path, "--import-key", PUBLIC, "--out",
                 self.out], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 5)
            self.assertIn(reason, done.stderr)
            self.assertEqual(os.listdir(self.folder.name), [])

    def test_import_keys_refused(self):
        text = f"{HEAD}\n{ROW}\n"
        with open(self.path("pem"), "w", encoding="ascii") as f:
            f.write("-----BEGIN PUBLIC KEY-----\nMAA=\n"
                    "-----END PUBLIC KEY-----\n")
        for key, reason in ((self.path("none"), "No such file"),
                            (self.path("pem"), "malformed"),
                            (os.path.join(VECTORS, "keyfile.key.pem"),
                             "public key")):
            done = self.run_ctl(text, key=key)
            self.assertEqual(done.returncode, 5)
            self.assertIn(reason, done.stderr)
            self.assertFalse(os.path.exists(self.out))

    def test_out_stays_until_it_is_replaced(self):
        with open(self.out, "w", encoding="ascii") as f:
            f.write("before")
        self.assertEqual(self.run_ctl(f"{HEAD}\n{ROW}\n{ROW}\n").returncode, 5)
        with open(self.out, encoding="ascii") as f:
            self.assertEqual(f.read(), "before")
        self.assertEqual(len(self.sealed(f"{HEAD}\n{ROW}\n")), 1)

    def test_out_refused(self):
        self.out = self.path("input")
        done = self.run_ctl(f"{HEAD}\n{ROW}\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("is the input itself", done.stderr)
        self.out = self.path("none/keys")
        done = self.run_ctl(f"{HEAD}\n{ROW}\n")
        self.assertEqual(done.returncode, 5)
        self.assertIn("No such file", done.stderr)

    def test_disk_full(self):
        limit = 16384

        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        with open(self.path("input"), "w", encoding="ascii") as f:
            f.write(HEAD + "\n")
            for i in range(1000):
                f.write(f"{JOIN},{dev(i)},1.0.3,{APP}\n")
        done = subprocess.run(
            [CTL, "seal", self.path("input"), "--import-key", PUBLIC,
             "--out", self.out], capture_output=True, text=True, check=False,
            preexec_fn=small)
        self.assertEqual(done.returncode, 5)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(os.listdir(self.folder.name), ["input"])

    def test_standard_input_and_interruption(self):
        args = [CTL, "seal", "-", "--import-key", PUBLIC, "--out", self.out]
        done = subprocess.run(args, input=f"{HEAD}\n{ROW}\n", text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        os.unlink(self.out)
        with subprocess.Popen(args, stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as child:
            deadline = time.time() + 20
            while not os.listdir(self.folder.name):
                self.assertLess(time.time(), deadline)
                time.sleep(0.01)
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            self.assertIn("interrupted", child.stderr.read())
            self.assertEqual(child.wait(), 5)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_options_refused(self):
        text = f"{HEAD}\n{ROW}\n"
        self.refused(text, "--format is csv", "--format", "xlsx", status=2)
        self.refused(text, "--column is NAME=HEADER", "--column", "dev_eui",
                     status=2)
        self.refused(text, "--column is NAME=HEADER", "--column", "a=b",
                     status=2)
        self.refused(text, "each NAME once", "--column", "name=a",
                     "--column", "name=b", status=2)
        self.refused(text, "mac_version is none", "--mac-version", "2",
                     status=2)
        self.refused(text, "net_id is not", "--net-id", "13", status=2)

    def test_many_devices_in_little_memory(self):
        count = 200000
        with open(self.path("input"), "w", encoding="ascii") as f:
            f.write(HEAD + ",as_id\n")
            for i in range(count):
                key = f"{i * 2654435761 + 12345:032x}"
                f.write(f"{JOIN},{i:016x},1.0.3,{key},{'x' * 128}\n")
        size = os.path.getsize(self.path("input"))
        child = subprocess.Popen(
            [CTL, "seal", self.path("input"), "--import-key", PUBLIC,
             "--out", self.out], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 0)
        if "asan" not in CTL and "tsan" not in CTL:
            self.assertLess(usage.ru_maxrss * 1024, size)
        with open(self.out, "rb") as f:
            last = f.read()[-60:].decode().splitlines()[-1]
        self.assertTrue(last.startswith(f"end {count} "))


class Reference(unittest.TestCase):
    """keyfile.py against itself: it must see what is wrong."""

    def test_vector(self):
        with open(os.path.join(VECTORS, "keyfile.txt"), "rb") as f:
            data = f.read()
        devices = keyfile.open_file(PRIVATE, data)
        self.assertEqual(len(devices), len(keyfile.VECTOR_DEVICES))
        for got, want in zip(devices, keyfile.VECTOR_DEVICES):
            self.assertEqual(got, want)
        for at in (100, 700, 900, len(data) - 5):
            bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
            with self.assertRaises((AssertionError, ValueError, KeyError)):
                keyfile.open_file(PRIVATE, bad)

    def test_man_page_has_the_vector(self):
        with open(os.path.join(VECTORS, "keyfile.txt"),
                  encoding="ascii") as f:
            words = f.read().split()
        path = os.path.join(TOP, "man", "joinery-keyfile.5")
        with open(path, encoding="utf-8") as f:
            page = f.read().replace("\\e\n", "").replace("\n", "")
        for word in words:
            self.assertIn(word.replace("-", ""), page.replace("\\-", "")
                          .replace("-", ""))
        self.assertIn(keyfile.VECTOR_TRANSPORT_KEY.hex(), page)


if __name__ == "__main__":
    unittest.main()
