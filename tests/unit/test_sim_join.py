#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""joinery-sim against a Join Server that answers rightly, then wrongly.

Every wrong answer must be caught by the check that is there for it.  Wants
the program's path in JOINERY_SIM.
"""
import datetime
import ipaddress
import json
import os
import subprocess
import sys
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from test_sim_server import Device, Server

SIM = os.environ["JOINERY_SIM"]
JOIN_EUI, DEV_EUI = "70b3d57ed001a24c", "0004a30b001c053e"
NWK_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
APP_KEY = "603deb1015ca71be2b73aef0857d7781"
NS_KEK = bytes(range(0x10, 0x20))
AS_KEK = bytes(range(0xA0, 0xC0))
CF_LIST = "184f84e85684000000886684586e8405"
OK, FAILED, USAGE, REFUSED, CONNECTION = range(5)
VERSIONS = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1"]

# What is wrong, and the check that must say so.
FAULTS = {
    "bad_mic": "MIC",
    "mic_of_other_version": "MIC",
    "encrypted_with_encrypt": "MIC",
    "wrong_mhdr": "MHDR",
    "short_accept": "length",
    "zero_join_nonce": "JoinNonce",
    "wrong_field_net_id": "NetID",
    "wrong_field_dev_addr": "DevAddr",
    "wrong_field_dl_settings": "DLSettings",
    "wrong_field_rx_delay": "RxDelay",
    "wrong_field_cf_list": "CFList",
    "no_cf_list": "length",
    "short_session_id": "SessionKeyID",
    "clear_key": "NwkS",
    "wrong_label": "NwkS",
    "unknown_label": "NwkS",
    "wrong_kek": "NwkS",
    "short_wrap": "NwkS",
    "wrong_app_s_kek": "AppSKey",
    "wrong_app_s_key": "AppSKey",
    "swapped_keys": "NwkS",
    "missing_key": "NwkS",
    "extra_key": "NwkS",
    "missing_app_s_key": "AppSKey",
    "fetch_wrong_id": "SessionKeyID",
    "fetch_wrong_key": "NwkS",
    "fetch_missing_key": "NwkS",
    "other_answer": "answer",
}


class Files:
    """Keys, certificates and other files of the tests."""

    def __init__(self, folder):
        self.folder = folder
        self.write("nwk.key", NWK_KEY)
        self.write("app.key", APP_KEY)
        self.write("ns.kek", NS_KEK.hex())
        self.write("as.kek", AS_KEK.hex())
        self.ca_key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self.certificate("ca", self.ca_key, True)
        for name in ("server", "ns", "as"):
            self.certificate(name, ec.generate_private_key(ec.SECP256R1()))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    def certificate(self, name, key, is_ca=False):
        def named(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        now = datetime.datetime.now(datetime.timezone.utc)
        alt = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
               x509.DNSName("localhost")]
        cert = (x509.CertificateBuilder()
                .subject_name(named(name)).issuer_name(named("ca"))
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1))
                .add_extension(x509.BasicConstraints(is_ca, None), True)
                .add_extension(x509.SubjectAlternativeName(alt), False)
                .sign(self.ca_key, hashes.SHA256()))
        self.write(name + ".pem",
                   cert.public_bytes(serialization.Encoding.PEM))
        self.write(name + ".key.pem", key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return cert


class SimTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.files = Files(self.dir.name)
        self.server = Server(NS_KEK, AS_KEK)
        self.server.listen_unix(self.files.path("socket"))
        self.port = self.server.listen_tls(
            self.files.path("server.pem"), self.files.path("server.key.pem"),
            self.files.path("ca.pem"))
        self.version("1.0.3")

    def version(self, version):
        """A fresh device of that version, known to the server."""
        self.mac_version = version
        device = Device(app_key=bytes.fromhex(APP_KEY))
        if version == "1.1":
            device.nwk_key = bytes.fromhex(NWK_KEY)
        self.server.devices = {
            (bytes.fromhex(JOIN_EUI), bytes.fromhex(DEV_EUI)): device}

    def tls(self):
        p = self.files.path
        return ["--tcp", f"127.0.0.1:{self.port}", "--ca", p("ca.pem"),
                "--cert", p("ns.pem"), "--key", p("ns.key.pem"),
                "--as-cert", p("as.pem"), "--as-key", p("as.key.pem")]

    def unix(self):
        return ["--socket", self.files.path("socket")]

    def device(self):
        keys = ["--app-key", "@" + self.files.path("app.key")]
        if self.mac_version == "1.1":
            keys += ["--nwk-key", "@" + self.files.path("nwk.key")]
        return ["--join-eui", JOIN_EUI, "--dev-eui", DEV_EUI,
                "--mac-version", self.mac_version, "--net-id", "00013f"] + keys

    def keks(self):
        return ["--ns-kek", "ns1=@" + self.files.path("ns.kek"),
                "--as-kek", "as1=@" + self.files.path("as.kek")]

    def run_sim(self, status, *args, stdin=""):
        done = subprocess.run([SIM, *args], input=stdin, text=True,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status,
                         f"{args}\n{done.stdout}{done.stderr}")
        return done.stdout if status not in (USAGE, CONNECTION) \
            else done.stderr

    def join(self, status, *args, conn=None):
        return self.run_sim(status, "join", *(conn or self.unix()),
                            *self.device(), *self.keks(), *args)


class RightAnswers(SimTest):
    def test_versions(self):
        for version in VERSIONS:
            for cf_list in ([], ["--cf-list", CF_LIST]):
                with self.subTest(version=version, cf_list=cf_list):
                    self.version(version)
                    out = self.join(OK, *cf_list, conn=self.tls())
                    self.assertEqual(out.splitlines()[-1], "joined")
                    self.assertNotIn("FAILED", out)
        self.assertEqual(set(self.server.peers), {"ns", "as"})

    def test_nwk_key_under_opt_neg_0(self):
        device = next(iter(self.server.devices.values()))
        device.nwk_key = bytes.fromhex(NWK_KEY)
        self.join(OK, "--nwk-key", "@" + self.files.path("nwk.key"))
        # One that means AppKey sends a MIC that this server does not expect.
        self.join(OK, "--nwk-key", "@" + self.files.path("nwk.key"),
                  "--v10-root", "app", "--expect", "MIC_FAILED")

    def test_opt_neg_against_the_version(self):
        """Who asks for it gets it; a real server refuses the mismatch."""
        self.version("1.1")
        out = self.join(OK, "--opt-neg", "no")
        self.assertRegex(out, "ok +NwkSKey")
        self.version("1.0.4")
        device = next(iter(self.server.devices.values()))
        device.nwk_key = bytes.fromhex(NWK_KEY)
        out = self.join(OK, "--opt-neg", "yes", "--nwk-key",
                        "@" + self.files.path("nwk.key"))
        self.assertRegex(out, "ok +FNwkSIntKey")

    def test_keys_from_standard_input(self):
        self.run_sim(OK, "join", *self.unix(), "--join-eui", JOIN_EUI,
                     "--dev-eui", DEV_EUI, "--mac-version", "1.0.4",
                     "--net-id", "000013", "--app-key", "-", *self.keks(),
                     stdin=APP_KEY + "\n")

    def test_keys_are_not_shown_unless_asked(self):
        self.version("1.1")
        out = self.join(OK)
        join = next(iter(self.server.sessions.values()))
        for key in join.session_keys().values():
            self.assertNotIn(key.hex(), out)
        self.server.sessions.clear()
        out = self.join(OK, "--dev-nonce", "9", "--show-keys")
        join = next(iter(self.server.sessions.values()))
        for key in join.session_keys().values():
            self.assertIn(key.hex(), out)

    def test_json(self):
        line = json.loads(self.join(OK, "--json"))
        self.assertTrue(line["ok"])
        self.assertEqual(line["result"], "joined")
        self.assertEqual(line["dev_eui"], DEV_EUI)
        self.assertIn("MIC", [c["check"] for c in line["checks"]])

    def test_quiet(self):
        self.assertEqual(self.join(OK, "--quiet"), "")

    def test_state(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                self.version(version)
                state = ["--state", self.files.path("state" + version)]
                for _ in range(3):
                    self.join(OK, *state)
                self.join(OK, *state, "--repeat-last", "--expect",
                          "DEV_NONCE_REPLAYED")
                self.server.fault = "repeat_ok"
                self.join(OK, *state, "--repeat-last")
                self.server.fault = ""
                self.join(OK, *state)

    def test_state_that_cannot_be_written(self):
        err = self.run_sim(5, "join", *self.unix(), *self.device(),
                           *self.keks(), "--state", "/nonexistent/state")
        self.assertIn("joined", err)

    def test_state_after_a_broken_connection(self):
        self.version("1.0.4")
        state = ["--state", self.files.path("state")]
        self.server.fault = "hang_up"
        self.join(CONNECTION, *state)
        self.server.fault = ""
        self.join(OK, *state)
        device = next(iter(self.server.devices.values()))
        self.assertEqual(device.dev_nonces, {b"\0\1"})

    def test_state_remembers_join_nonce(self):
        state = ["--state", self.files.path("state")]
        self.join(OK, *state)
        next(iter(self.server.devices.values())).join_nonce = 0
        self.assertIn("JoinNonce: 1 is not above 1",
                      self.join(FAILED, *state))

    def test_many_joins(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                self.version(version)
                out = self.join(OK, "--count", "300", "--in-flight", "8")
                self.assertIn("300 answers", out)
                device = next(iter(self.server.devices.values()))
                self.assertEqual(len(device.dev_nonces), 300)

    def test_overtaking(self):
        self.server.fault = "reorder"
        self.join(OK, "--count", "20", "--in-flight", "8", "--no-fetch")

    def test_rate(self):
        out = self.join(OK, "--count", "20", "--rate", "100", "--json")
        summary = json.loads(out.splitlines()[-1])
        self.assertGreater(summary["seconds"], 0.18)

    def test_devices(self):
        lines = "join_eui,dev_eui,mac_version,nwk_key,app_key\n# test\n\n"
        self.server.devices = {}
        for i in range(12):
            version = VERSIONS[i % 6]
            eui = f"0004a30b001c05{i:02x}"
            nwk = NWK_KEY if version == "1.1" else ""
            lines += f"{JOIN_EUI},{eui},{version},{nwk},{APP_KEY}\n"
            self.server.devices[
                (bytes.fromhex(JOIN_EUI), bytes.fromhex(eui))] = Device(
                    bytes.fromhex(nwk) or None, bytes.fromhex(APP_KEY))
        self.files.write("devices", lines)
        self.run_sim(OK, "join", *self.tls(), "--devices",
                     self.files.path("devices"), "--net-id", "000013",
                     "--count", "60", "--in-flight", "16", *self.keks(),
                     "--state", self.files.path("state"))
        for device in self.server.devices.values():
            self.assertEqual(len(device.dev_nonces), 5)
        with open(self.files.path("state"), encoding="ascii") as file:
            self.assertEqual(len(file.readlines()), 12)

    def test_keys_command(self):
        self.version("1.1")
        self.join(OK)
        session = next(iter(self.server.sessions)).hex()
        out = self.run_sim(OK, "keys", *self.tls(), "--session", session,
                           "--dev-eui", DEV_EUI, *self.keks())
        for name in ("FNwkSIntKey", "SNwkSIntKey", "NwkSEncKey", "AppSKey"):
            self.assertIn(name, out)
        self.assertIn("under ns1", out)
        self.assertIn("under as1", out)
        out = self.run_sim(OK, "keys", *self.tls(), "--session", session,
                           "--dev-eui", DEV_EUI)
        self.assertIn("not opened", out)
        self.run_sim(REFUSED, "keys", *self.tls(), "--session", "00" * 16,
                     "--dev-eui", DEV_EUI)
        self.run_sim(FAILED, "keys", *self.unix(), "--session", session,
                     "--dev-eui", DEV_EUI, "--ns-kek",
                     "other=@" + self.files.path("ns.kek"))


class Rejoins(SimTest):
    def setUp(self):
        super().setUp()
        self.version("1.1")
        self.state = ["--state", self.files.path("state")]

    def rejoin(self, status, *args, conn=None):
        return self.run_sim(status, "rejoin", *(conn or self.unix()),
                            *self.device(), *self.keks(), *self.state, *args)

    def device_of_server(self):
        return next(iter(self.server.devices.values()))

    def test_after_a_join(self):
        for cf_list in ([], ["--cf-list", CF_LIST]):
            with self.subTest(cf_list=cf_list):
                self.version("1.1")
                out = self.join(OK, "--then-rejoin", "0,1,2,0,1,2", *cf_list,
                                conn=self.tls())
                self.assertEqual(out.splitlines().count("joined"), 1)
                self.assertEqual(out.splitlines().count("rejoined"), 6)
                self.assertNotIn("FAILED", out)
                self.assertEqual(self.device_of_server().join_nonce, 7)

    def test_runs_of_their_own(self):
        self.join(OK, *self.state)
        for round_ in range(3):
            for kind in "012":
                self.rejoin(OK, "--type", kind)
        self.assertEqual(self.device_of_server().rj_count1, 2)
        self.assertEqual(self.device_of_server().rj_count0, 0)
        out = self.rejoin(OK, "--type", "0,1,2", "--json")
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([line["result"] for line in lines], ["rejoined"] * 3)
        self.assertEqual(lines[0]["rj_count0"], "0")
        self.assertEqual(lines[1]["rj_count1"], "3")

    def test_type_1_needs_no_session(self):
        self.rejoin(OK, "--type", "1", "--rj-count", "255")
        self.rejoin(OK, "--type", "1")
        self.assertEqual(self.device_of_server().rj_count1, 256)
        self.rejoin(OK, "--type", "0")
        self.rejoin(OK, "--type", "1", "--rj-count", "256", "--expect",
                    "RJ_COUNT_REPLAYED")

    def test_no_switch(self):
        self.join(OK, *self.state)
        for _ in range(3):
            self.rejoin(OK, "--type", "0", "--no-switch")
        self.assertEqual(self.device_of_server().rj_count0, 2)
        self.assertEqual(len(self.device_of_server().live), 4)
        self.rejoin(OK, "--type", "2")
        self.rejoin(OK, "--type", "2")
        self.assertEqual(self.device_of_server().rj_count0, 0)
        self.assertEqual(len(self.device_of_server().live), 2)

    def test_repeat_last(self):
        self.rejoin(USAGE, "--repeat-last")
        self.join(OK, *self.state)
        for kind in "012":
            with self.subTest(kind=kind):
                self.rejoin(OK, "--type", kind)
                self.server.fault = "repeat_ok"
                self.rejoin(OK, "--repeat-last")
                self.server.fault = ""
                self.rejoin(OK, "--repeat-last", "--expect",
                            "RJ_COUNT_REPLAYED")
        # The device hears the answer only when it comes again.
        self.rejoin(OK, "--type", "0", "--no-switch")
        self.server.fault = "repeat_ok"
        self.rejoin(OK, "--repeat-last")
        self.server.fault = ""
        self.rejoin(OK, "--type", "0")
        self.assertEqual(self.device_of_server().rj_count0, 0)

    def test_repeated_answer_keeps_its_session_key_id(self):
        self.join(OK, *self.state)
        self.rejoin(OK, "--type", "0")
        answer = self.device_of_server().last[0][1]
        answer[1] = (2, bytes(16))
        self.server.fault = "repeat_ok"
        self.assertRegex(self.rejoin(FAILED, "--repeat-last"),
                         "FAILED +SessionKeyID")

    def test_misdeeds_are_of_the_last_request(self):
        out = self.join(OK, "--then-rejoin", "0,1", "--flip-mic", "--expect",
                        "MIC_FAILED")
        self.assertEqual(out.splitlines()[-1], "refused as expected")
        self.assertIn("joined", out.splitlines())
        self.assertIn("rejoined", out.splitlines())
        raw = "c000" + "00" * 17
        self.join(OK, "--then-rejoin", "0", "--raw-phy", raw, "--expect",
                  "UNKNOWN_DEVICE", "--dev-nonce", "1")
        self.join(OK, "--then-rejoin", "0", "--raw-phy", raw + "00",
                  "--expect", "FRAME_SIZE", "--dev-nonce", "2")

    def test_raw_rejoin_of_any_device(self):
        self.version("1.0.4")
        self.rejoin(OK, "--type", "1", "--raw-phy", "c001" + "00" * 22,
                    "--expect", "UNKNOWN_DEVICE")

    def test_a_refused_step_ends_the_turn(self):
        self.server.devices[(bytes(8), bytes(8))] = Device()
        self.server.fault = "rejoin_under_root_key"
        out = self.join(FAILED, "--then-rejoin", "0,1")
        self.assertEqual(out.count("rejoin-request"), 1)
        self.assertRegex(out, "not rejoined: MIC")

    def test_faults(self):
        for fault, check in FAULTS.items():
            if fault == "mic_of_other_version":
                continue  # of a join, under the root key
            for kind in "012":
                with self.subTest(fault=fault, kind=kind):
                    self.version("1.1")
                    if os.path.exists(self.state[1]):
                        os.remove(self.state[1])
                    self.server.fault = ""
                    self.join(OK, *self.state)
                    self.server.fault = fault
                    out = self.rejoin(FAILED, "--type", kind, "--cf-list",
                                      CF_LIST)
                    self.assertRegex(out, rf"FAILED +\w*{check}")
                    self.assertIn("not rejoined: ", out.splitlines()[-1])

    def test_faults_of_rejoins(self):
        for fault in ("rejoin_under_root_key", "rejoin_as_join"):
            for kind in "012":
                with self.subTest(fault=fault, kind=kind):
                    self.version("1.1")
                    self.server.fault = fault
                    self.assertRegex(
                        self.join(FAILED, "--then-rejoin", kind),
                        "FAILED +MIC")

    def test_many(self):
        lines = ""
        self.server.devices = {}
        for i in range(6):
            eui = f"0004a30b001c05{i:02x}"
            lines += f"{JOIN_EUI},{eui},1.1,{NWK_KEY},{APP_KEY}\n"
            self.server.devices[
                (bytes.fromhex(JOIN_EUI), bytes.fromhex(eui))] = Device(
                    bytes.fromhex(NWK_KEY), bytes.fromhex(APP_KEY))
        self.files.write("devices", lines)
        fleet = ["--devices", self.files.path("devices"), "--net-id",
                 "000013", *self.keks(), *self.state]
        out = self.run_sim(OK, "join", *self.tls(), *fleet, "--count", "30",
                           "--in-flight", "16", "--then-rejoin", "0,1,2")
        self.assertIn("120 answers", out)
        out = self.run_sim(OK, "rejoin", *self.unix(), *fleet, "--count",
                           "60", "--in-flight", "16", "--type", "0,0")
        self.assertIn("120 answers", out)
        for device in self.server.devices.values():
            self.assertEqual(device.join_nonce, 40)

    def test_old_state_file(self):
        """One of before there were rejoins; the next run rewrites it."""
        self.files.write(
            "state", f"{JOIN_EUI},{DEV_EUI},7,3,3,9\n"
            f"{JOIN_EUI},0004a30b001c05ff,1,2,2,2\n")
        err = self.rejoin(USAGE, "--type", "0")
        self.assertIn("it has to join first", err)
        self.device_of_server().join_nonce = 9
        self.join(OK, *self.state)
        self.rejoin(OK, "--type", "0,1,2")
        self.assertEqual(self.device_of_server().dev_nonces, {b"\0\3"})
        with open(self.state[1], encoding="ascii") as file:
            lines = file.read().splitlines()
        self.assertIn(f"{JOIN_EUI},0004a30b001c05ff,1,2,2,2", lines)

    def test_rj_counts_do_not_wrap(self):
        self.rejoin(OK, "--type", "1", "--rj-count", "65535")
        self.assertIn("lacks an RJcount1", self.rejoin(USAGE, "--type", "1"))
        # Only the second request of a run finds none.
        self.rejoin(CONNECTION, "--type", "0,0", "--rj-count", "65535",
                    "--no-switch")
        self.assertIn("lacks an RJcount0", self.rejoin(USAGE, "--type", "2"))


class WrongAnswers(SimTest):
    def test_faults(self):
        for fault, check in FAULTS.items():
            for version in ("1.0.3", "1.1"):
                with self.subTest(fault=fault, version=version):
                    self.version(version)
                    self.server.fault = fault
                    out = self.join(FAILED, "--cf-list", CF_LIST)
                    self.assertRegex(out, rf"FAILED +\w*{check}")
                    self.assertIn("not joined: ", out.splitlines()[-1])

    def test_faults_in_many_joins(self):
        for fault in ("bad_mic", "reused_join_nonce", "wrong_kek",
                      "fetch_wrong_key"):
            with self.subTest(fault=fault):
                self.version("1.1")
                self.server.fault = fault
                out = self.join(FAILED, "--count", "5", "--in-flight", "2")
                self.assertIn("FAILED", out)

    def test_added_cf_list(self):
        self.server.fault = "added_cf_list"
        self.assertRegex(self.join(FAILED), "FAILED +length")

    def test_app_s_key_not_wanted(self):
        self.assertRegex(self.join(FAILED, "--app-s-key", "no"),
                         "FAILED +AppSKey")

    def test_app_s_key_of_the_as_is_checked(self):
        self.server.fault = "fetch_wrong_key"
        self.assertRegex(self.join(FAILED, conn=self.tls()),
                         "FAILED +AppSKey")

    def test_missing_kek(self):
        out = self.run_sim(FAILED, "join", *self.unix(), *self.device())
        self.assertRegex(out, "FAILED +NwkSKey +under a KEK that was not")

    def test_refusals(self):
        self.server.fault = "MIC_FAILED"
        out = self.join(REFUSED)
        self.assertIn('refused: answer: MIC_FAILED: said ?[31m"no"', out)
        line = json.loads(self.join(REFUSED, "--json"))
        self.assertFalse(line["ok"])
        self.server.fault = "fetch_refused"
        self.join(REFUSED)

    def test_expected_refusals(self):
        self.join(OK, "--flip-mic", "--expect", "MIC_FAILED")
        self.join(OK, "--raw-phy", "00" * 22, "--expect", "FRAME_SIZE")
        self.join(OK, "--raw-phy", "", "--expect", "FRAME_SIZE")
        self.join(OK, "--dev-nonce", "7")
        self.join(OK, "--dev-nonce", "7", "--expect", "DEV_NONCE_REPLAYED")
        self.join(FAILED, "--dev-nonce", "7", "--expect", "MIC_FAILED")
        self.join(FAILED, "--dev-nonce", "8", "--expect", "MIC_FAILED")

    def test_raw_phy_accepted_is_verified(self):
        join = self.server.join(
            {1: bytes.fromhex("00" + JOIN_EUI)[:1] +
             bytes.fromhex(JOIN_EUI)[::-1] + bytes.fromhex(DEV_EUI)[::-1] +
             bytes.fromhex("3412"), 3: 0, 4: 0, 5: 0, 6: 0}, False,
            next(iter(self.server.devices.values())))
        self.join(OK, "--raw-phy", join.request().hex())

    def test_connection(self):
        self.server.fault = "hang_up"
        self.join(CONNECTION)
        self.server.fault = "wrong_id"
        self.join(CONNECTION)
        self.server.fault = "silent"
        self.join(CONNECTION, "--timeout", "200")
        self.run_sim(CONNECTION, "join", "--socket", "/nonexistent",
                     *self.device())
        p = self.files.path
        self.run_sim(CONNECTION, "join", "--tcp", f"127.0.0.1:{self.port}",
                     "--ca", p("ns.pem"), "--cert", p("ns.pem"), "--key",
                     p("ns.key.pem"), *self.device())


class Usage(SimTest):
    def test_usage(self):
        app = "@" + self.files.path("app.key")
        one = self.device()
        for args in (
                [], ["jump"], ["join"], ["join", *self.unix()],
                ["join", *one], ["join", *self.unix(), "--tcp", "a:1", *one],
                ["join", "--tcp", "a:1", *one],
                ["join", *self.unix(), *one, "--as-cert", "x"],
                ["join", *self.unix(), *one, "--app-key", APP_KEY],
                ["join", *self.unix(), *one, "--app-key", "@/nonexistent"],
                ["join", *self.unix(), *one, "--devices", "x"],
                ["join", *self.unix(), "--devices", "x", "--dev-nonce", "1",
                 "--net-id", "000013"],
                ["join", *self.unix(), *one, "--mac-version", "1.2"],
                ["join", *self.unix(), *one, "--mac-version", "1.1"],
                ["join", *self.unix(), *one, "--net-id", "13"],
                ["join", *self.unix(), *one, "--dl-settings", "80"],
                ["join", *self.unix(), *one, "--dev-nonce", "65536"],
                ["join", *self.unix(), *one, "--dev-nonce", "-1"],
                ["join", *self.unix(), *one, "--dev-nonce", "65535",
                 "--count", "2"],
                ["join", *self.unix(), *one, "--dev-nonce", "1", "--state",
                 "x"],
                ["join", *self.unix(), *one, "--repeat-last"],
                ["join", *self.unix(), *one, "--repeat-last", "--state",
                 self.files.path("none")],
                ["join", *self.unix(), *one, "--cf-list", "00"],
                ["join", *self.unix(), *one, "--raw-phy", "0"],
                ["join", *self.unix(), *one, "--expect", "NOTHING"],
                ["join", *self.unix(), *one, "--opt-neg", "maybe"],
                ["join", *self.unix(), *one, "--count", "0"],
                ["join", *self.unix(), *one, "--ns-kek", app],
                ["join", *self.unix(), *one, "--dev-eui", "1"],
                ["join", *self.unix(), *one, "--session", "00"],
                ["join", *self.unix(), *one, "--nonsense"],
                ["join", *self.unix(), *one, "--count"],
                ["join", *self.unix(), *one, "more"],
                ["keys", *self.unix()],
                ["rejoin", *self.unix(), *one],
                ["rejoin", *self.unix(), *one, "--type", "3"],
                ["rejoin", *self.unix(), *one, "--type", "0,"],
                ["rejoin", *self.unix(), *one, "--type", "01"],
                ["rejoin", *self.unix(), *one, "--type", ""],
                ["rejoin", *self.unix(), *one, "--type", ",".join("0" * 17)],
                ["rejoin", *self.unix(), *one, "--type", "1"],
                ["rejoin", *self.unix(), *one, "--dev-nonce", "1"],
                ["join", *self.unix(), *one, "--type", "1"],
                ["join", *self.unix(), *one, "--then-rejoin", "1"],
                ["join", *self.unix(), *one, "--then-rejoin", "1",
                 "--repeat-last", "--state", self.files.path("none")],
                ["vectors", "--seed", "x"]):
            with self.subTest(args=args):
                self.assertNotEqual(self.run_sim(USAGE, *args), "")
        self.assertEqual(self.server.requests, 0)

    def test_bad_files(self):
        one = ["join", *self.unix(), "--net-id", "000013"]
        for text in ("", "a,b\n", f"{JOIN_EUI},{DEV_EUI},1.0.3,,\n",
                     f"{JOIN_EUI},{DEV_EUI},1.0.3,,{APP_KEY},\n",
                     f"{JOIN_EUI},{DEV_EUI},1.1,,{APP_KEY}\n",
                     f"{JOIN_EUI},{DEV_EUI},1.0.3,,{APP_KEY[:-1]}\n"):
            with self.subTest(text=text):
                self.files.write("devices", text)
                err = self.run_sim(USAGE, *one, "--devices",
                                   self.files.path("devices"))
                self.assertNotIn(APP_KEY[:-1], err)
        self.files.write("state", "nonsense\n")
        self.join(USAGE, "--state", self.files.path("state"))

    def test_help(self):
        self.assertIn("--dev-eui", self.run_sim(OK, "--help"))
        self.assertIn("joinery-sim", self.run_sim(OK, "--version"))


if __name__ == "__main__":
    sys.exit(unittest.main())
