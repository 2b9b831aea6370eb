#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Answers that go to a URL of the peer: delivered, tried again, lost."""
import http.server
import json
import queue
import ssl
import threading

import scenario
from bi_client import check_message, join_req
from scenario import until


class Receiver:
    """The peer's own HTTPS server; statuses are what it says, in turn."""

    def __init__(self, server, name="ns", port=0):
        receiver = self
        self.got = queue.Queue()
        self.statuses = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.got.put((status, body,
                                  self.connection.getpeercert()))

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(
            ("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("%s/%s.pem" % (server.dir, name),
                                "%s/%s.key" % (server.dir, name))
        context.load_verify_locations(server.dir + "/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self.http.socket = context.wrap_socket(self.http.socket,
                                               server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Async(scenario.Case):
    options = ("--conf", "bi-answer-deadline = 3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.server
        s.certificate("async", "DNS:async.example.org")
        s.certificate("there", "DNS:localhost,IP:127.0.0.1")
        s.certificate("elsewhere", "DNS:elsewhere.example.org")
        cls.device = s.device("1.0.4")
        cls.dev_nonce = 0

    def setUp(self):
        self.receiver = Receiver(self.server, "there")
        self.answer_to("https://localhost:%d/bi" % self.receiver.port)

    def tearDown(self):
        self.receiver.close()
        super().tearDown()

    def answer_to(self, url):
        self.server.ctl("peer", "set", "async", "--role", "ns", "--net-id",
                        "000013", "--cert-san", "async.example.org",
                        "--kek", "ns-kek", "--answer-url", url)

    def ask(self, **changes):
        type(self).dev_nonce += 1
        message = join_req(self.device, self.device.phy(self.dev_nonce),
                           TransactionID=self.dev_nonce, **changes)
        with self.server.bi("async") as client:
            response, body = client.post(message)
        self.assertEqual((response.status, body), (200, b""))
        return message

    def counter(self, name):
        return {c.name: c.value for c in self.server.status().counters}[name]

    def test_delivered(self):
        message = self.ask()
        _, body, certificate = self.receiver.got.get(timeout=20)
        answer = check_message(message, body)
        self.assertEqual(answer["Result"]["ResultCode"], "Success")
        self.assertEqual(len(answer["PHYPayload"]), 34)
        # The server showed its own certificate.
        self.assertIn(("DNS", "localhost"), certificate["subjectAltName"])

    def test_refusals_too(self):
        message = self.ask(DevEUI="00" * 8)
        answer = check_message(message, self.receiver.got.get(timeout=20)[1])
        self.assertEqual(answer["Result"]["ResultCode"], "MalformedRequest")

    def test_two_peers(self):
        """Who proves two peers is none: nothing goes to either's URL."""
        token = self.server.ctl(
            "peer", "set", "other", "--role", "ns", "--net-id", "000013",
            "--bearer-token", "new", "--kek", "ns-kek")["bearer_token"]
        message = join_req(self.device, self.device.phy(65000))
        with self.server.bi("async", headers={
                "Authorization": "Bearer " + token}) as client:
            answer = client.ask(message)
        self.assertEqual(answer["Result"]["ResultCode"], "UnknownSender")
        self.assertTrue(self.receiver.got.empty())

    def test_tried_again(self):
        self.receiver.statuses = [503, 500]
        message = self.ask()
        got = [self.receiver.got.get(timeout=20) for _ in range(3)]
        self.assertEqual([status for status, _, _ in got], [503, 500, 200])
        self.assertEqual(len({body for _, body, _ in got}), 1)
        check_message(message, got[-1][1])

    def test_lost(self):
        for url in ("https://localhost:1/", "https://127.0.0.1:%d/" %
                    self.receiver.port, "http://localhost:1/"):
            lost = self.counter("answers_lost")
            if "127.0.0.1" in url:  # nobody refuses: a wrong certificate
                self.receiver.close()
                self.receiver = Receiver(self.server, "elsewhere")
                url = "https://127.0.0.1:%d/" % self.receiver.port
            self.answer_to(url)
            message = self.ask()
            until(lambda: self.counter("answers_lost") == lost + 1,
                  "a lost answer for " + url)
            lines = self.server.lines(
                "transaction=%d " % message["TransactionID"], "async")
            self.assertTrue(lines, url)
        self.assertTrue(self.receiver.got.empty())

    def test_many(self):
        sent = [self.ask()["TransactionID"] for _ in range(40)]
        got = [json.loads(self.receiver.got.get(timeout=20)[1])
               ["TransactionID"] for _ in range(40)]
        self.assertEqual(sorted(got), sorted(sent))


if __name__ == "__main__":
    scenario.main()
