#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backend Interfaces through joineryd, with fake workers behind it.

A fake worker answers HomeNSReq with a NetID that tells who asked, and does
what a DevEUI of letters says.
"""
import http.client
import http.server
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from front_daemon import (
    ERROR, JOINERYD, PING, STATUS, Case, field, make_certificates, parse,
    request, until)
from front_trace import HOME_NS, R_TRACE, TRACE

CERT, AUTH, PROXY, BI = 1, 2, 4, 8
BEARER = {"Authorization": "Bearer token"}


class Http(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=15)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def home_ns_req(dev_eui="70b3d57ed0061234", transaction=77, **members):
    if len(dev_eui) < 16:
        dev_eui = dev_eui.encode().hex().ljust(16, "0")
    message = {"ProtocolVersion": "1.0", "TransactionID": transaction,
               "MessageType": "HomeNSReq", "SenderID": "000013",
               "ReceiverID": "a84041000181a1b2", "DevEUI": dev_eui}
    message.update(members)
    return json.dumps(message)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peer(Case):
    def start(self, env=None, ready=True, **options):
        self.path = self.tmp.name + "/bi"
        options.setdefault("bi_plain_listen", self.path)
        return super().start(env, ready, **options)

    def post(self, body, headers=None, to=None, type="application/json"):
        """Status, body and its JSON."""
        to = to or Http(self.path)
        headers = dict(BEARER if headers is None else headers)
        headers["Content-Type"] = type
        to.request("POST", "/any/path", body, headers)
        answer = to.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def result(self, body, headers=None, to=None):
        status, answer = self.post(body, headers, to)
        self.assertEqual(status, 200)
        return answer["Result"]["ResultCode"], answer

    def asked_by(self, headers=None):
        code, answer = self.result(home_ns_req(), headers)
        self.assertEqual(code, "Success", answer)
        return int(answer["HNetID"], 16)

    def counter(self, client, name):
        answer = client.call(request(1, STATUS))
        for counter in answer.body[10]:
            fields = parse(counter)
            if fields[1][0].decode() == name:
                return fields[2][0]
        raise KeyError(name)

    def assert_other(self, answer):
        """Other, with the id of the line in the log."""
        self.assertEqual(answer["Result"]["ResultCode"], "Other")
        (ident,) = re.findall("[0-9a-f]{24}",
                              answer["Result"]["Description"])
        self.assertIn("request_id=" + ident, self.daemon.text())


class Bi(Peer):
    def test_answer(self):
        self.start()
        to = Http(self.path)
        for i in range(5):
            code, answer = self.result(home_ns_req(transaction=i), to=to)
            self.assertEqual(code, "Success")
            self.assertEqual(answer["TransactionID"], i)
            self.assertEqual(answer["MessageType"], "HomeNSAns")
            self.assertEqual(answer["ReceiverID"], "000013")
            self.assertEqual(answer["SenderID"], "a84041000181a1b2")

    def test_credentials(self):
        self.start(bi_proxies=["unix"])
        self.assertEqual(self.asked_by(), AUTH | BI)
        self.assertEqual(self.asked_by(
            {"Authorization": "basic dXNlcjpwYXNz"}), AUTH | BI)
        self.assertEqual(self.asked_by({"x-joinery-peer": "ns1"}), PROXY | BI)
        self.assertEqual(self.result(home_ns_req(), {})[0], "UnknownSender")

    def test_header_of_a_stranger(self):
        self.start()
        headers = dict(BEARER, **{"X-Joinery-Peer": "ns1"})
        self.assertEqual(self.result(home_ns_req(), headers)[0],
                         "UnknownSender")
        self.assertIn("X-Joinery-Peer names ns1", self.daemon.text())

    def test_own_header(self):
        self.start(bi_proxies=["unix"], bi_proxy_header="X-Who")
        self.assertEqual(self.asked_by({"X-Who": "ns1"}), PROXY | BI)
        self.assertEqual(self.result(
            home_ns_req(), {"X-Joinery-Peer": "ns1"})[0], "UnknownSender")

    def test_bad_messages(self):
        c = self.start()
        for body in ("", "{", "[]", "{} {}"):
            status, answer = self.post(body)
            self.assertEqual(status, 400)
            self.assertIn("Malformed", answer["Result"]["ResultCode"])
        self.assertEqual(self.counter(c, "bi_garbage"), 4)
        code, answer = self.result(home_ns_req(ReceiverID="x"))
        self.assertEqual(code, "MalformedRequest")
        self.assertEqual(self.counter(c, "bi_refused"), 1)
        self.assertEqual(self.post("{}", type="text/plain")[0], 415)

    def test_notice(self):
        c = self.start()
        status, answer = self.post(home_ns_req(
            MessageType="ErrorNotif", ProtocolVersion="1.1",
            Result={"ResultCode": "Other", "Description": "no\nway"}))
        self.assertEqual((status, answer), (200, None))
        self.assertEqual(self.counter(c, "bi_notices"), 1)
        self.assertIn("a peer notifies an error", self.daemon.text())

    def test_death(self):
        self.start()
        self.assert_other(self.result(home_ns_req("die"))[1])

    def test_hang(self):
        c = self.start(worker_deadline=300)
        self.assert_other(self.result(home_ns_req("hang"))[1])
        self.assertEqual(self.counter(c, "worker_kills"), 1)

    def test_timeout(self):
        c = self.start(worker_deadline=300)
        to = Http(self.path)
        to.request("POST", "/", home_ns_req("hold"), BEARER)
        # A worker that answers others is not killed for it.
        self.assertTrue(until(lambda: c.call(
            request(1, PING)) and self.counter(c, "timed_out") == 1))
        self.assert_other(json.loads(to.getresponse().read()))
        self.assertEqual(self.counter(c, "worker_kills"), 0)
        # Its late answer is for nobody; the connection is good as before.
        self.result(home_ns_req("release"), to=to)
        self.assertTrue(until(lambda: self.counter(c, "dropped") == 1))

    def test_busy(self):
        c = self.start(worker_queue=1)
        c.send(request(1, HOME_NS, field(1, b"hold\0\0\0\0")))
        c.call(request(2, STATUS))
        self.assert_other(self.result(home_ns_req())[1])

    def test_no_worker(self):
        self.start(env={"FAKE_MUTE": "1"}, ready=False)
        self.assertTrue(until(lambda: os.path.exists(self.path)))
        self.assert_other(self.result(home_ns_req())[1])

    def test_wrong_kind_of_answer(self):
        self.start()
        code, answer = self.result(home_ns_req("slow"))
        self.assertEqual(code, "Other")

    def test_gone(self):
        port = free_port()
        c = self.start(bi_plain_listen="127.0.0.1:%d" % port)
        to = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        to.request("POST", "/", home_ns_req("hold"), BEARER)
        self.assertTrue(until(lambda: self.counter(c, "bi_requests") == 1))
        # One that only closed might still read; a reset is the end.
        to.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
        to.close()
        self.assertTrue(until(lambda: c.call(
            request(1, STATUS)).body[8] == [1]))
        c.call(request(1, HOME_NS, field(1, b"release\0")))
        self.assertTrue(until(lambda: self.counter(c, "dropped") == 1))

    def test_counts_connections(self):
        c = self.start(max_connections=3)
        first = Http(self.path)
        self.result(home_ns_req(), to=first)
        other = Http(self.path)
        self.result(home_ns_req(), to=other)
        self.assertEqual(c.call(request(1, STATUS)).body[8], [3])
        self.assertTrue(self.daemon.connect().closed(5))
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.result(home_ns_req())
        other.close()
        self.assertTrue(until(lambda: c.call(
            request(1, STATUS)).body[8] == [2]))
        self.result(home_ns_req())

    def test_traced(self):
        c = self.start()
        dev_eui = bytes.fromhex("70b3d57ed0061234")
        self.assertEqual(
            c.call(request(5, TRACE, field(1, dev_eui))).kind, R_TRACE)
        self.result(home_ns_req())
        answer = c.receive()
        self.assertEqual((answer.kind, answer.id), (R_TRACE, 5))

    def test_stop_waits(self):
        c = self.start(worker_deadline=3000)
        to = Http(self.path)
        idle = Http(self.path)
        self.result(home_ns_req(), to=idle)
        to.request("POST", "/", home_ns_req("hold"), BEARER)
        self.assertTrue(until(lambda: self.counter(c, "bi_requests") == 2))
        time.sleep(0.1)
        self.daemon.process.send_signal(signal.SIGTERM)
        answer = json.loads(to.getresponse().read())
        self.assert_other(answer)
        self.assertEqual(self.daemon.process.wait(10), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_no_listener(self):
        c = self.start(bi_plain_listen="")
        self.assertNotEqual(c.call(request(1, PING)).kind, ERROR)
        self.assertFalse(os.path.exists(self.path))
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertNotEqual(c.call(request(1, PING)).kind, ERROR)


class Https(Peer):
    @classmethod
    def setUpClass(cls):
        cls.certs = tempfile.TemporaryDirectory(prefix="joinery")
        cls.dir = cls.certs.name
        make_certificates(cls.dir)

    @classmethod
    def tearDownClass(cls):
        cls.certs.cleanup()

    def start(self, env=None, ready=True, **options):
        self.port = free_port()
        options.setdefault("tls_certificate", self.dir + "/server.pem")
        return super().start(
            env, ready, bi_listen="127.0.0.1:%d" % self.port,
            tls_key=self.dir + "/server.key",
            tls_client_ca=self.dir + "/ca.pem", **options)

    def https(self, cert=None):
        context = ssl.create_default_context(cafile=self.dir + "/ca.pem")
        if cert:
            context.load_cert_chain(self.dir + "/%s.pem" % cert,
                                    self.dir + "/%s.key" % cert)
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=10, context=context)

    def asked_over(self, to, headers):
        code, answer = self.result(home_ns_req(), headers, to)
        return int(answer["HNetID"], 16) if code == "Success" else code

    def test_credentials(self):
        self.start()
        to = self.https("client")
        for _ in range(3):
            self.assertEqual(self.asked_over(to, {}), CERT | BI)
        self.assertEqual(self.asked_over(to, BEARER), CERT | AUTH | BI)
        to = self.https()
        self.assertEqual(self.asked_over(to, BEARER), AUTH | BI)
        self.assertEqual(self.asked_over(to, {}), "UnknownSender")
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.asked_over(self.https("stranger"), {})

    def test_certificate_required(self):
        self.start(bi_client_certificate="required")
        self.assertEqual(self.asked_over(self.https("client"), {}), CERT | BI)
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.asked_over(self.https(), BEARER)

    def test_proxy_over_tls(self):
        """What the proxy shows of itself is not the peer's."""
        self.start(bi_proxies=["127.0.0.1", "::1"])
        self.assertEqual(self.asked_over(
            self.https("client"), {"X-Joinery-Peer": "ns1"}), PROXY | BI)

    def test_hangup(self):
        with open(self.tmp.name + "/server.pem", "w") as f:
            f.write(open(self.dir + "/server.pem").read())
        c = self.start(tls_certificate=self.tmp.name + "/server.pem")
        self.assertEqual(self.asked_over(self.https("client"), {}), CERT | BI)
        with open(self.tmp.name + "/server.pem", "w") as f:
            f.write("no certificate\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(
            lambda: "kept the old files" in self.daemon.text()))
        self.assertEqual(self.asked_over(self.https("client"), {}), CERT | BI)
        self.assertNotEqual(c.call(request(1, PING)).kind, ERROR)

    def test_checked_before(self):
        self.start()
        self.daemon.stop()
        conf = self.tmp.name + "/conf"

        def check():
            return subprocess.run([JOINERYD, "-t", "-c", conf],
                                  capture_output=True, text=True)
        self.assertEqual(check().returncode, 0)
        with open(conf) as f:
            text = f.read()
        with open(conf, "w") as f:
            f.write(text.replace("/server.key", "/missing.key"))
        result = check()
        self.assertEqual(result.returncode, 78)
        self.assertIn("tls-key", result.stderr)


class Receiver(http.server.HTTPServer):
    """A peer's own URL."""

    def __init__(self):
        self.got = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                receiver.got.append(json.loads(self.rfile.read(length)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return "http://127.0.0.1:%d/answers" % self.server_address[1]


class Posted(Peer):
    def setUp(self):
        super().setUp()
        self.receiver = Receiver()

    def tearDown(self):
        super().tearDown()
        self.receiver.shutdown()
        self.receiver.server_close()

    def test_posted(self):
        c = self.start(env={"FAKE_ANSWER_URL": self.receiver.url()})
        self.assertEqual(self.post(home_ns_req()), (200, None))
        self.assertTrue(until(lambda: self.receiver.got))
        (answer,) = self.receiver.got
        self.assertEqual(answer["TransactionID"], 77)
        self.assertEqual(answer["Result"]["ResultCode"], "Success")
        self.assertTrue(until(
            lambda: self.counter(c, "answers_posted") == 1))

    def test_lost(self):
        c = self.start(env={"FAKE_ANSWER_URL": "http://127.0.0.1:1/"},
                       bi_answer_deadline=1)
        self.assertEqual(self.post(home_ns_req()), (200, None))
        self.assertTrue(until(lambda: self.counter(c, "answers_lost") == 1))
        self.assertIn("peer=fake transaction=77 request=",
                      self.daemon.text())

    def test_refusals_come_back_at_once(self):
        """No worker was there to say where the answer should go."""
        self.start(env={"FAKE_ANSWER_URL": self.receiver.url()})
        self.assert_other(self.result(home_ns_req("die"))[1])
        self.assertEqual(self.receiver.got, [])

    def test_stop_posts(self):
        self.start(env={"FAKE_ANSWER_URL": self.receiver.url()})
        self.assertEqual(self.post(home_ns_req()), (200, None))
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(len(self.receiver.got), 1)


if __name__ == "__main__":
    unittest.main()
