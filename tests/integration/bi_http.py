#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTPS listener of Backend Interfaces with real clients (curl, openssl
s_client, Python), its credentials and its limits."""
import base64
import hashlib
import json
import os
import socket
import subprocess
import time

import scenario
from bi_client import Bi, app_s_key_req, join_req
from scenario import until


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


PLAIN_PORT = free_port()


class Http(scenario.Case):
    options = ("--conf", "frame-timeout = 2", "--conf", "idle-timeout = 4",
               "--conf", 'bi-plain-listen = "127.0.0.1:%d"' % PLAIN_PORT,
               "--conf", 'bi-proxies = {"127.0.0.1"}',
               "--conf", "bi-peer-connections = 8")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = cls.server.env["JOINERY_BI_URL"]
        cls.port = int(cls.url.rstrip("/").rpartition(":")[2])
        cls.device = cls.server.device("1.0.3")
        cls.dev_nonce = 0

    def message(self, **changes):
        type(self).dev_nonce += 1
        return join_req(self.device, self.device.phy(self.dev_nonce),
                        **changes)

    def succeeds(self, client, **changes):
        answer = client.ask(self.message(**changes))
        self.assertEqual(answer["Result"]["ResultCode"], "Success", answer)

    def curl(self, *words, body=None):
        """Status and body of what curl got."""
        files = self.server.dir
        done = subprocess.run(
            ["curl", "-sS", "--cacert", files + "/ca.pem", "-o", "-", "-w",
             "\n%{http_code}", "--max-time", "20", *words,
             *(["--data-binary", "@-"] if body is not None else []),
             self.url], input=body, capture_output=True, check=False)
        if done.returncode:
            return 0, done.stderr
        text, _, status = done.stdout.rpartition(b"\n")
        return int(status), text

    def as_ns(self, *words, **more):
        files = self.server.dir
        return self.curl("--cert", files + "/ns.pem", "--key",
                         files + "/ns.key", *words, **more)

    # ---- curl ----

    def test_curl(self):
        for words in ([], ["-H", "Content-Type: application/json"],
                      ["-H", "Content-Type: Application/JSON; "
                       "charset=utf-8"], ["--http1.0"],
                      ["-H", "Transfer-Encoding: chunked"],
                      ["-H", "Expect: 100-continue"]):
            if not any("Content-Type" in w for w in words):
                words += ["-H", "Content-Type: application/json"]
            status, body = self.as_ns(
                *words, body=json.dumps(self.message()).encode())
            self.assertEqual(status, 200, (words, body))
            self.assertEqual(json.loads(body)["Result"]["ResultCode"],
                             "Success", words)

    def test_methods_and_types(self):
        for method in "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH":
            words = ["-I"] if method == "HEAD" else ["-X", method]
            self.assertEqual(self.as_ns(*words)[0], 405, method)
        body = json.dumps(self.message()).encode()
        for wrong in "text/plain", "application/x-www-form-urlencoded":
            self.assertEqual(self.as_ns("-H", "Content-Type: " + wrong,
                                        body=body)[0], 415)

    def test_body_size(self):
        message = self.message()
        filler = 32768 - len(json.dumps(dict(message, Filler="")))
        body = json.dumps(dict(message, Filler="x" * filler)).encode()
        self.assertEqual(len(body), 32768)
        json_type = ("-H", "Content-Type: application/json")
        self.assertEqual(self.as_ns(*json_type, body=body)[0], 200)
        for more in (), ("-H", "Transfer-Encoding: chunked"):
            status, answer = self.as_ns(*json_type, *more, body=body +
                                        b" " * 1024)
            self.assertEqual(status, 413, answer)
        status, answer = self.as_ns(*json_type, body=b"")
        self.assertEqual(status, 400, answer)
        self.assertNotEqual(
            self.as_ns("-H", "X-Long: " + "x" * 20000, body=b"{}")[0], 200)
        self.serves()

    def test_certificates(self):
        s = self.server
        s.certificate("foreign", "DNS:ns.example.org", ca="another")
        subprocess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old",
             "-keyout", "old.key", "-out", "old.csr"],
            cwd=s.dir, check=True, capture_output=True)
        subprocess.run(
            ["openssl", "x509", "-req", "-in", "old.csr", "-CA", "ca.pem",
             "-CAkey", "ca.key", "-CAcreateserial", "-days", "-1", "-out",
             "old.pem"], cwd=s.dir, check=True, capture_output=True)
        body = json.dumps(self.message()).encode()
        for name in "foreign", "old":
            status, error = self.curl(
                "--cert", "%s/%s.pem" % (s.dir, name), "--key",
                "%s/%s.key" % (s.dir, name), body=body)
            self.assertEqual(status, 0, (name, error))
            until(lambda: s.lines("TLS handshake failed", "expired")
                  if name == "old" else s.lines("TLS handshake failed"),
                  "a line for " + name)
        status, answer = self.curl(
            "-H", "Content-Type: application/json", body=body)
        self.assertEqual(json.loads(answer)["Result"]["ResultCode"],
                         "UnknownSender")

    # ---- keep-alive ----

    def test_keep_alive_and_paths(self):
        with self.server.bi("ns") as ns:
            for path in "/", "/join", "/a/b?c=d":
                response, body = ns.post(self.message(), path=path)
                self.assertEqual(response.status, 200, body)
                sock = ns.http.sock
            self.assertIs(ns.http.sock, sock)

    def test_pipelining(self):
        bodies = [json.dumps(self.message(TransactionID=i)).encode()
                  for i in range(5)]
        requests = b"".join(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(b), b) for b in bodies)
        with self.server.bi("ns") as ns:
            ns.http.connect()
            ns.http.sock.sendall(requests)
            text = b""
            while text.count(b'"ResultCode"') < 5:
                got = ns.http.sock.recv(65536)
                self.assertTrue(got, text)
                text += got
        order = [text.index(b'"TransactionID":%d' % i) for i in range(5)]
        self.assertEqual(order, sorted(order))

    # ---- other credentials ----

    def test_authorization(self):
        s = self.server
        token = s.ctl("peer", "set", "tokens", "--role", "ns", "--net-id",
                      "000013", "--bearer-token", "new",
                      "--kek", "ns-kek")["bearer_token"]
        password = s.ctl("peer", "set", "basics", "--role", "ns", "--net-id",
                         "000013", "--basic-user", "me", "--basic-password",
                         "new", "--kek", "ns-kek")["basic_password"]
        basic = base64.b64encode(("me:" + password).encode()).decode()
        for header in ("Bearer " + token, "bearer  " + token,
                       "Basic " + basic, "BASIC " + basic):
            for make in (lambda **h: s.bi(None, **h),
                         lambda **h: Bi("http://127.0.0.1:%d/" % PLAIN_PORT,
                                        **h)):
                with make(headers={"Authorization": header}) as client:
                    self.succeeds(client)
        for header in ("Bearer " + token[:-1], "Bearer", "Basic !!",
                       "Basic " + base64.b64encode(b"me").decode(),
                       "Basic " + base64.b64encode(b"me:no").decode(),
                       "Digest " + token, token, ""):
            with s.bi(None, headers={"Authorization": header}) as client:
                answer = client.ask(self.message())
            self.assertEqual(answer["Result"]["ResultCode"], "UnknownSender",
                             header)
        # A certificate of one peer and a token of another: neither.
        with s.bi("ns", headers={"Authorization": "Bearer " + token}) as c:
            self.assertEqual(c.ask(self.message())["Result"]["ResultCode"],
                             "UnknownSender")
        for secret in token, password:
            self.assertNotIn(secret, s.log())
            for root, _, files in os.walk(s.dir + "/store"):
                for name in files:
                    with open(os.path.join(root, name), "rb") as f:
                        self.assertNotIn(secret.encode(), f.read())

    def test_proxy(self):
        plain = "http://127.0.0.1:%d/" % PLAIN_PORT
        with Bi(plain, headers={"X-Joinery-Peer": "ns"}) as proxy:
            self.succeeds(proxy)
        for name in "nobody", "", "ns2", "as":
            with Bi(plain, headers={"X-Joinery-Peer": name}) as proxy:
                answer = proxy.ask(self.message())
            self.assertEqual(answer["Result"]["ResultCode"],
                             "UnknownSender", name)
        with Bi(plain) as proxy:
            self.assertEqual(
                proxy.ask(self.message())["Result"]["ResultCode"],
                "UnknownSender")

    # ---- slow, half-open, many ----

    def s_client(self, *words):
        files = self.server.dir
        return subprocess.Popen(
            ["openssl", "s_client", "-quiet", "-connect",
             "127.0.0.1:%d" % self.port, "-CAfile", files + "/ca.pem",
             "-cert", files + "/ns.pem", "-key", files + "/ns.key", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)

    def test_half_open(self):
        """A request that never ends is cut off; nobody waits for it."""
        head = (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        clients = []
        for octets in b"", b"POST", head, head + b"{":
            client = self.s_client()
            client.stdin.write(octets)
            client.stdin.flush()
            clients.append(client)
        with self.server.bi("ns") as ns:
            self.succeeds(ns)
        for client in clients:
            self.assertEqual(client.wait(timeout=30), 0)
            client.stdin.close()
            client.stdout.close()

    def test_dripping(self):
        """Octets one by one do not buy more time than frame-timeout."""
        client = self.s_client()
        start = time.monotonic()
        text = b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 10000
        try:
            for octet in text:
                client.stdin.write(bytes([octet]))
                client.stdin.flush()
                time.sleep(0.1)
                if client.poll() is not None:
                    break
        except BrokenPipeError:
            pass
        self.assertLess(time.monotonic() - start, 60)
        client.wait(timeout=30)
        client.stdout.close()

    def test_no_handshake(self):
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.settimeout(30)
            sock.sendall(b"\x16\x03\x01")
            self.assertEqual(sock.recv(1), b"")
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.settimeout(30)
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while sock.recv(4096):
                pass
        self.serves()

    def test_gone_clients(self):
        """They leave before their answers; the service goes on."""
        for _ in range(20):
            with self.server.bi("ns") as ns:
                ns.http.request("POST", "/", json.dumps(self.message()),
                                {"Content-Type": "application/json"})
        with self.server.bi("ns") as ns:
            self.succeeds(ns)

    def test_connections_per_peer(self):
        clients = [self.server.bi("ns") for _ in range(8)]
        for client in clients:
            self.succeeds(client)
        with self.assertRaises(Exception), self.server.bi("ns") as ninth:
            self.succeeds(ninth)
        with self.server.bi("as") as other:
            self.assertEqual(
                other.ask(app_s_key_req(self.device, "00" * 16))
                ["Result"]["ResultCode"], "UnknownDevEUI")
        for client in clients:
            client.http.close()
        def again():
            try:
                with self.server.bi("ns") as ns:
                    self.succeeds(ns)
                return True
            except (OSError, AssertionError):
                return False
        until(again, "places are free again")

    def test_fingerprint(self):
        self.server.certificate("printed", "DNS:unknown.example.org")
        der = subprocess.run(
            ["openssl", "x509", "-in", "printed.pem", "-outform", "DER"],
            cwd=self.server.dir, check=True, capture_output=True).stdout
        self.server.ctl("peer", "set", "printed", "--role", "ns", "--net-id",
                        "000013", "--kek", "ns-kek", "--cert-fingerprint",
                        hashlib.sha256(der).hexdigest())
        with self.server.bi("printed") as client:
            self.succeeds(client)


if __name__ == "__main__":
    scenario.main()
