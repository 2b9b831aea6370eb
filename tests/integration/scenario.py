# SPDX-License-Identifier: Apache-2.0
"""What the scenarios in Python stand on: a server of their own, made by
tests/instance.sh, its log, its processes, and devices in software.

A scenario is a file with a class made from Case; it ends with
"scenario.main()".  The programs are those of $JOINERY_BUILDDIR.
"""
import atexit
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from bi_client import Bi
from proto_client import TOP, Refused, connect_tls, connect_unix, pb

sys.path.insert(0, TOP + "/tests/vectors")
import oracle  # noqa: E402  (its folder is known only now)

BIN = os.environ.get("JOINERY_BUILDDIR", TOP + "/build")
JOIN_EUI = bytes.fromhex("70b3d57ed001a24c")
NET_ID = 0x000013
VERSIONS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0")


def until(condition, what, within_s=60):
    """Wait until condition() holds and return what it returned."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError("did not come true: " + what)
        time.sleep(0.02)


def mac_version(text):
    return pb.MacVersion.Value("MAC_" + text.replace(".", "_"))


class Server:
    def __init__(self, *options):
        self.work = tempfile.mkdtemp(prefix="joinery.")
        self.dir = self.work + "/s"
        self.process = None
        self.mocked = False
        atexit.register(self.remove)
        self.instance("up", *options)
        with open(self.dir + "/env") as f:
            words = shlex.split(f.read().replace("export ", ""))
        self.env = dict(os.environ)
        self.env.update(word.split("=", 1) for word in words)
        self.conf = self.dir + "/joinery.conf"

    # ---- life ----

    def instance(self, verb, *options):
        done = subprocess.run(
            [TOP + "/tests/instance.sh", verb, self.dir, *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError("instance.sh %s: %s" % (verb, done.stderr))

    def pid(self):
        with open(self.dir + "/joineryd.pid") as f:
            return int(f.read())

    def stop(self):
        """As an admin would; an unready end is killed."""
        self.instance("down")
        if self.process:
            self.process.wait()

    def start(self, wait=True, **env):
        """Start joineryd again, with the files there are."""
        with open(self.dir + "/joineryd.log", "a") as log:
            self.process = subprocess.Popen(
                [BIN + "/joineryd", "-c", self.conf], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=dict(self.env, **env),
                start_new_session=True)
        with open(self.dir + "/joineryd.pid", "w") as f:
            f.write("%d\n" % self.process.pid)
        if wait:
            self.wait_ready()

    def kill(self):
        """kill -9, workers left to themselves."""
        os.kill(self.pid(), signal.SIGKILL)
        if self.process:
            self.process.wait()
        until(lambda: not os.path.exists("/proc/%d/exe" % self.pid()) or
              "Z" in open("/proc/%d/stat" % self.pid()).read(), "killed")

    def remove(self):
        """At the end of the program at the latest, however it ends."""
        atexit.unregister(self.remove)
        self.stop()
        shutil.rmtree(self.work)

    def clean_up(self):
        self.stop()
        text = self.log()
        self.remove()
        # The mock's token may crash its worker; nothing else may.
        signals = () if self.mocked else ("signal=6 ", "signal=11 ")
        for bad in ("Sanitizer", "assert") + signals:
            if bad in text:
                raise AssertionError(bad + " in the log: " + text)

    def change_conf(self, pattern, text):
        with open(self.conf) as f:
            conf = f.read()
        changed = re.sub(pattern, text, conf, flags=re.M)
        assert changed != conf, pattern
        with open(self.conf, "w") as f:
            f.write(changed)

    def use_mock(self, script=""):
        """Start anew with tests/mock/p11_mock.so before the token."""
        self.stop()
        self.mocked = True
        module = re.search("module-path=([^&]*)", open(self.conf).read())[1]
        self.change_conf("module-path=[^&]*", "module-path=%s/tests/mock/"
                         "p11_mock.so" % BIN)
        self.env.update(P11_MOCK_MODULE=module,
                        P11_MOCK_SCRIPT="@%s/script" % self.dir,
                        P11_MOCK_LOG=self.dir + "/calls")
        self.mock(script)
        self.start()

    def mock(self, script):
        """What the token does from its next call on."""
        with open(self.dir + "/script.new", "w") as f:
            f.write(script)
        os.rename(self.dir + "/script.new", self.dir + "/script")

    # ---- clients ----

    def admin(self):
        return connect_unix(self.env["JOINERY_SOCKET"])

    def tls(self, name):
        """A connection with the certificate DIR/NAME.pem; None: without."""
        return connect_tls(
            self.env["JOINERY_TCP"], self.dir + "/ca.pem",
            name and "%s/%s.pem" % (self.dir, name),
            name and "%s/%s.key" % (self.dir, name))

    def bi(self, name, **more):
        """Backend Interfaces with the certificate DIR/NAME.pem, or none."""
        return Bi(self.env["JOINERY_BI_URL"], self.dir + "/ca.pem",
                  name and ("%s/%s.pem" % (self.dir, name),
                            "%s/%s.key" % (self.dir, name)), **more)

    def set_join_nonce(self, device, join_nonce):
        """As if the device had joined that often; restarts the server."""
        self.stop()
        path = self.dir + "/store"
        dump = subprocess.run(["mdb_dump", "-s", "nonces", path], check=True,
                              capture_output=True, text=True).stdout
        lines = dump.splitlines()
        at = lines.index(" " + (device.dev_eui + device.join_eui).hex()) + 1
        # A version octet, then the JoinNonce.
        lines[at] = " %s%06x%s" % (lines[at][1:3], join_nonce, lines[at][9:])
        subprocess.run(["mdb_load", "-s", "nonces", path], check=True,
                       input="\n".join(lines) + "\n", text=True)
        self.start()

    def certificate(self, name, san, ca="ca"):
        """DIR/NAME.pem with its key, of the instance's or a new CA."""
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        if ca != "ca":
            subprocess.run(command + ["-subj", "/CN=" + ca, "-keyout",
                                      ca + ".key", "-out", ca + ".pem"],
                           cwd=self.dir, check=True, capture_output=True)
        subprocess.run(
            command + ["-subj", "/CN=" + name, "-addext",
                       "subjectAltName=" + san, "-addext",
                       "basicConstraints=CA:FALSE", "-CA", ca + ".pem",
                       "-CAkey", ca + ".key", "-keyout", name + ".key",
                       "-out", name + ".pem"],
            cwd=self.dir, check=True, capture_output=True)

    def try_ctl(self, *words, stdin=""):
        return subprocess.run(
            [BIN + "/joineryctl", *words], input=stdin, capture_output=True,
            text=True, env=self.env)

    def ctl(self, *words, stdin=""):
        """What the verb says with --json; it has to succeed."""
        done = self.try_ctl(*words, "--json", stdin=stdin)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def audit(self, *words):
        """The events of the audit log."""
        done = self.try_ctl("audit", "list", *words, "--json")
        assert done.returncode == 0, (done.stdout, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    # ---- looking ----

    def log(self):
        with open(self.dir + "/joineryd.log", errors="replace") as f:
            return f.read()

    def lines(self, *parts):
        """The log's lines in which all parts stand."""
        return [line for line in self.log().splitlines()
                if all(part in line for part in parts)]

    def status(self):
        with self.admin() as admin:
            return admin.call("status")

    def ready(self):
        """The status if all workers are ready."""
        try:
            status = self.status()
        except (OSError, EOFError):
            return None
        workers = status.workers
        return status if workers and all(
            w.state == "ready" for w in workers) else None

    def wait_ready(self):
        return until(self.ready, "all workers ready")

    def kek(self, who):
        with open("%s/%s-kek.hex" % (self.dir, who)) as f:
            return bytes.fromhex(f.read())

    def device(self, version, *options, **keys):
        """A registered device; see Device."""
        device = Device(self, version, **keys)
        device.register("--mac-version", version, "--net-id", "000013",
                        "--as-id", "as.example.org", *options)
        return device


class Device:
    """A device in software, with random root keys unless they are given."""

    def __init__(self, server, version, dev_eui=None, nwk_key=None,
                 app_key=None):
        self.server = server
        self.version = version
        self.join_eui = JOIN_EUI
        self.dev_eui = dev_eui or secrets.token_bytes(8)
        self.nwk_key = nwk_key or (
            secrets.token_bytes(16) if version == "1.1.0" else None)
        self.app_key = app_key or (
            None if nwk_key and version != "1.1.0"
            else secrets.token_bytes(16))
        self.id = pb.DeviceId(join_eui=JOIN_EUI, dev_eui=self.dev_eui)
        self.words = ("--join-eui", self.join_eui.hex(),
                      "--dev-eui", self.dev_eui.hex())

    def register(self, *options):
        for name, key in ("nwk", self.nwk_key), ("app", self.app_key):
            if key:
                path = "%s/%s.%s" % (self.server.dir, self.dev_eui.hex(), name)
                with open(path, "w", opener=_private) as f:
                    f.write(key.hex())
                options += ("--%s-key" % name, "@" + path)
        self.server.ctl("device", "set", *self.words, *options)

    def get(self):
        return self.server.ctl("device", "get", *self.words)["device"]

    def nonces(self):
        return self.get()["nonces"]

    def oracle(self, **members):
        """The judge's view of a join of this device."""
        inputs = dict(opt_neg=self.version == "1.1.0", v10_root="nwk",
                      nwk_key=self.nwk_key, app_key=self.app_key,
                      join_eui=self.join_eui, dev_eui=self.dev_eui)
        inputs.update(members)
        return oracle.Join(**inputs)

    def phy(self, dev_nonce, **members):
        """The join-request."""
        return self.oracle(dev_nonce=dev_nonce.to_bytes(2, "big"),
                           **members).request()

    def rejoin(self, kind, count, session=None, **members):
        """The judge's view of a rejoin of type kind from a session."""
        inputs = dict(opt_neg=True, v10_root="nwk", nwk_key=self.nwk_key,
                      app_key=self.app_key, join_eui=self.join_eui,
                      dev_eui=self.dev_eui)
        inputs.update(members)
        return oracle.Rejoin(kind, count.to_bytes(2, "big"), session,
                             **inputs)

    def rejoin_phy(self, kind, count, session=None):
        """The rejoin-request."""
        return self.rejoin(kind, count, session).request()

    def members(self, dev_nonce, **changes):
        """The members of the call "join"."""
        members = dict(
            phy_payload=self.phy(dev_nonce),
            mac_version=mac_version(self.version), net_id=NET_ID,
            dev_addr=0x26011bda,
            dl_settings=0x80 if self.version == "1.1.0" else 0, rx_delay=1)
        members.update(changes)
        return {k: v for k, v in members.items() if v is not None}

    def join(self, client, dev_nonce, **changes):
        return client.call("join", **self.members(dev_nonce, **changes))

    def join_nonce_of(self, answer):
        """The JoinNonce in a join-accept, decrypted as the device would."""
        opt_neg = answer.HasField("f_nwk_s_int_key")
        root = self.oracle(opt_neg=opt_neg).nwk_root
        clear = oracle.aes_encrypt(root, answer.phy_payload[1:])
        return int.from_bytes(clear[:3], "little")

    def judge(self, dev_nonce, members, answer):
        """Everything of the answer, computed again: a list of complaints."""
        join = self.oracle(
            opt_neg=members["dl_settings"] >= 0x80,
            dev_nonce=dev_nonce.to_bytes(2, "big"),
            join_nonce=self.join_nonce_of(answer).to_bytes(3, "big"),
            net_id=members["net_id"].to_bytes(3, "big"),
            dev_addr=members["dev_addr"].to_bytes(4, "big"),
            dl_settings=bytes([members["dl_settings"]]),
            rx_delay=bytes([members["rx_delay"]]),
            cf_list=members.get("cf_list", b""))
        wrong = []
        if answer.phy_payload != join.accept():
            wrong.append("join-accept")
        return wrong + self.judge_keys(join, answer)

    def judge_keys(self, join, answer):
        names = {"FNwkSIntKey": "f_nwk_s_int_key", "AppSKey": "app_s_key",
                 "SNwkSIntKey": "s_nwk_s_int_key", "NwkSKey": "nwk_s_key",
                 "NwkSEncKey": "nwk_s_enc_key"}
        wanted, wrong = {}, []
        for name, key in join.session_keys().items():
            who = "as" if name == "AppSKey" else "ns"
            wanted[names[name]] = (
                who + "-kek", oracle.wrap(self.server.kek(who), key))
        if not join.opt_neg:
            wanted["nwk_s_key"] = wanted.get("nwk_s_key")
        for field in names.values():
            if not answer.HasField(field):
                got = None
            else:
                envelope = getattr(answer, field)
                got = (envelope.kek_label, envelope.aes_key)
            if got != wanted.get(field):
                wrong.append(field)
        return wrong


def _private(path, flags):
    return os.open(path, flags, 0o600)


class Case(unittest.TestCase):
    """One server for the tests of a class; options as for "./dev up"."""
    options = ()
    mock = False

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)
        if cls.mock:
            cls.server.use_mock()

    @classmethod
    def tearDownClass(cls):
        cls.server.clean_up()

    def tearDown(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.errors + result.failures):
            print("--- the end of the log\n" + "\n".join(
                self.server.log().splitlines()[-40:]), file=sys.stderr)

    def refused(self, code, run, *args, **members):
        """run(...) is refused with that code; the Refused."""
        with self.assertRaises(Refused) as caught:
            run(*args, **members)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def serves(self):
        """The service goes on: a device joins."""
        device = self.server.device("1.0.4")
        with self.server.tls("ns") as ns:
            members = device.members(0)
            answer = ns.call("join", **members)
        self.assertEqual(device.judge(0, members, answer), [])


def main():
    if os.environ.get("JOINERY_INTEGRATION") == "no":
        print("skipped: JOINERY_INTEGRATION=no")
        sys.exit(77)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unittest.main(warnings="ignore")
