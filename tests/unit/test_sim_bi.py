#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""joinery-sim over Backend Interfaces, against answers that keep the rules
and against answers that break them, one rule each.

The server is Python's http.server with a codec of its own in front of the
Join Server of test_sim_server.py.  Wants the program's path in JOINERY_SIM.
"""
import base64
import http.server
import json
import socket
import socketserver
import ssl
import sys
import threading
import unittest

from test_sim_join import (CF_LIST, CONNECTION, DEV_EUI, FAILED, JOIN_EUI, OK,
                           REFUSED, USAGE, VERSIONS, SimTest)
from test_sim_server import CALL_APP_S_KEY, CALL_JOIN, CALL_REJOIN, ERRORS

KEYS = {4: "NwkSKey", 5: "FNwkSIntKey", 6: "SNwkSIntKey", 7: "NwkSEncKey",
        8: "AppSKey"}
RESULTS = {"FRAME_SIZE": ("FrameSizeError",) * 2,
           "MALFORMED_REQUEST": ("MalformedRequest", "MalformedMessage"),
           "UNKNOWN_DEVICE": ("UnknownDevEUI",) * 2,
           "UNKNOWN_SESSION": ("UnknownDevEUI",) * 2,
           "MIC_FAILED": ("MICFailed",) * 2,
           "DEV_NONCE_REPLAYED": ("JoinReqFailed", "FrameReplayed"),
           "RJ_COUNT_REPLAYED": ("JoinReqFailed", "FrameReplayed"),
           "NOT_ALLOWED": ("ActivationDisallowed",) * 2,
           "BUSY": ("Other",) * 2}
HOME = "60000d"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    @property
    def bi(self):
        return self.server.bi

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bi.seen.append((self.path, dict(self.headers), json.loads(body)))
        self.wfile.write(self.bi.http(self.bi.answer(json.loads(body))))
        self.wfile.flush()
        if self.bi.fault == "closes":
            self.close_connection = True


class HttpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # the client is gone


class UnixServer(HttpServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 80

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


class Bi:
    """Messages in front of the Join Server js; fault is one of theirs, or
    one of the methods below."""

    def __init__(self, js):
        self.js, self.fault, self.seen, self.connections = js, "", [], 0

    # octets

    def http(self, message):
        kind, fault = "application/json", self.fault
        body = message if isinstance(message, bytes) else json.dumps(
            message).encode()
        length = f"Content-Length: {len(body)}\r\n"
        if fault == "two_values":
            body += b"{}"
            length = f"Content-Length: {len(body)}\r\n"
        if fault == "no_json":
            body = b"{" + body[1:-1] + b"]"
        if fault == "upper_case_name":
            length = length.replace("Content-Length", "content-LENGTH")
        if fault == "charset":
            kind += "; charset=utf-8"
        if fault == "text_plain":
            kind = "text/plain"
        if fault == "no_length":
            length = ""
        if fault == "two_lengths":
            length *= 2
        if fault == "negative_length":
            length = "Content-Length: -1\r\n"
        if fault == "huge_length":
            length = "Content-Length: 99999999999\r\n"
        if fault == "long_body":
            length = "Content-Length: 999999\r\n"
        if fault == "chunked":
            length = "Transfer-Encoding: chunked\r\n"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        if fault == "surplus":
            body += b"\r\n"
        if fault == "closes":
            length += "Connection: close\r\n"
        if fault == "blank_in_name":
            length += "Some Name: x\r\n"
        if fault == "no_colon":
            length += "nonsense\r\n"
        if fault == "nul":
            length += "X: \0\r\n"
        if fault == "endless_head":
            length += "X: " + "x" * 20000 + "\r\n"
        status = "HTTP/1.1 200 OK"
        if fault == "http_1_0":
            status = "HTTP/1.0 200 OK"
        if fault == "no_status":
            status = "HTTP/1.1 abc"
        if fault == "interim":
            status = "HTTP/1.1 100 Continue"
        if fault.startswith("status_"):
            status = f"HTTP/1.1 {fault[7:]} Because"
        head = (f"{status}\r\nDate: today\r\nContent-Type: {kind}\r\n"
                f"{length}\r\n")
        if fault == "bare_lf":
            head = head.replace("Date: today\r\n", "Date: today\n")
        return head.encode() + body

    # members

    def refuse(self, ans, code, v1_1):
        name = RESULTS[code][v1_1]
        if self.fault == "unknown_result":
            name = "NotOfThisVersion"
        if self.fault == "name_of_other_version":
            name = RESULTS[code][not v1_1]
        ans["Result"] = {"ResultCode": name,
                         "Description": f"no ({code}) \"quoted\""}
        return ans

    def envelope(self, fields):
        fields = dict(fields)
        e = {"KEKLabel": fields[1]} if 1 in fields else {}
        e["AESKey"] = fields[2].hex()
        if self.fault == "empty_label" and 1 not in fields:
            e["KEKLabel"] = ""
        return e

    def call(self, m, kind):
        def octets(name):
            return bytes.fromhex(m.get(name, ""))

        def number(name):
            return int(m[name], 16)

        if kind == "AppSKey":
            return {CALL_APP_S_KEY: {1: octets("SessionKeyID"),
                                     2: octets("DevEUI")}}
        call = {1: octets("PHYPayload"), 3: number("SenderID"),
                4: number("DevAddr"), 5: number("DLSettings"),
                6: m["RxDelay"], 8: octets("DevEUI"),
                9: octets("ReceiverID")}
        if "CFList" in m:
            call[7] = octets("CFList")
        return {CALL_REJOIN if kind == "Rejoin" else CALL_JOIN: call}

    def answer(self, m):
        js, kind = self.js, m["MessageType"].removesuffix("Req")
        v1_1 = m["ProtocolVersion"] == "1.1"
        ans = {"ProtocolVersion": m["ProtocolVersion"],
               "TransactionID": m["TransactionID"], "MessageType": kind + "Ans",
               "SenderID": m["ReceiverID"], "ReceiverID": m["SenderID"],
               "ReceiverToken": m["SenderToken"],
               "Result": {"ResultCode": "Success", "Description": ""}}
        if "SenderNSID" in m:
            ans["ReceiverNSID"] = m["SenderNSID"]
        if kind == "HomeNS":
            ans["HNetID"] = HOME
            if v1_1:
                ans["HNSID"] = "70b3d57ed0ffee01"
            return self.spoil(ans)
        call = self.call(m, kind)
        with js.lock:
            if kind == "AppSKey":
                number, fields = js.do_keys(call[CALL_APP_S_KEY], {"AppSKey"},
                                            6)[0]
            elif kind == "Rejoin":
                number, fields = js.do_rejoin(call[CALL_REJOIN])[0]
            else:
                number, fields = js.do_join(call[CALL_JOIN])[0]
        fields = dict(fields)
        if number == 2:
            code = next(n for n, v in ERRORS.items() if v == fields[1])
            return self.spoil(self.refuse(ans, code, v1_1))
        if kind == "AppSKey":
            ans |= {"DevEUI": m["DevEUI"], "SessionKeyID": fields[1].hex(),
                    "AppSKey": self.envelope(fields[2])}
        else:
            ans |= {"PHYPayload": fields[1].hex(), "Lifetime": 0,
                    "SessionKeyID": fields[2].hex()}
            ans |= {KEYS[n]: self.envelope(v) for n, v in fields.items()
                    if n in KEYS}
        return self.spoil(ans)

    def spoil(self, ans):
        fault = self.fault
        if fault == "upper_case":
            for name in ("PHYPayload", "SessionKeyID"):
                if name in ans:
                    ans[name] = ans[name].upper()
        if fault == "unknown_member":
            ans["VSExtension"] = {"VendorID": "123456", "Object": [{}]}
        if fault == "wrong_transaction":
            ans["TransactionID"] = (ans["TransactionID"] + 1) % 2**32
        if fault == "transaction_text":
            ans["TransactionID"] = str(ans["TransactionID"])
        if fault == "wrong_version":
            ans["ProtocolVersion"] = "1.2"
        if fault == "wrong_type":
            ans["MessageType"] = ans["MessageType"].replace("Ans", "Req")
        if fault == "ids_not_swapped":
            ans["SenderID"], ans["ReceiverID"] = (ans["ReceiverID"],
                                                  ans["SenderID"])
        if fault == "id_in_upper_case":
            ans["SenderID"] = ans["SenderID"].upper()
        if fault == "no_token":
            del ans["ReceiverToken"]
        if fault == "token_not_swapped":
            ans["SenderToken"] = ans.pop("ReceiverToken")
        if fault == "no_ns_id":
            del ans["ReceiverNSID"]
        if fault == "null":
            ans["CFList"] = None
        if fault == "null_inside":
            ans["VSExtension"] = {"Object": [1, {"x": None}]}
        if fault == "no_result":
            del ans["Result"]
        if fault == "result_text":
            ans["Result"] = "Success"
        if fault == "description_number":
            ans["Result"]["Description"] = 1
        if fault == "odd_hex":
            ans["PHYPayload"] += "0"
        if fault == "prefix":
            ans["PHYPayload"] = "0x" + ans["PHYPayload"][2:]
        if fault == "no_phy":
            del ans["PHYPayload"]
        if fault == "phy_with_refusal":
            ans["Result"]["ResultCode"] = "MICFailed"
        if fault == "lifetime_text":
            ans["Lifetime"] = "0"
        if fault == "no_lifetime":
            del ans["Lifetime"]
        if fault == "long_session_id":
            ans["SessionKeyID"] += "00"
        if fault == "envelope_text":
            ans["AppSKey"] = ans["AppSKey"]["AESKey"]
        if fault == "label_without_wrap":
            ans["AppSKey"]["AESKey"] = "00" * 16
        if fault == "label_number":
            ans["AppSKey"]["KEKLabel"] = 1
        if fault == "list":
            return [ans]
        if fault == "duplicate":
            return json.dumps(ans).replace(
                '"Result"', '"Lifetime": 0, "Lifetime": 0, "Result"'
            ).encode()
        if fault == "escape":
            return json.dumps(ans).replace(
                '"PHYPayload": "2', '"PHYPayload": "\\u0032').encode()
        return ans


# What breaks a rule of HTTP or of the format: the answer is none, and this is
# in what is said about it.
BROKEN = {
    "two_values": "not one JSON object",
    "no_json": "not one JSON object",
    "list": "not one JSON object",
    "duplicate": "not one JSON object",
    "text_plain": "application/json",
    "no_length": "no Content-Length",
    "two_lengths": "Content-Length twice",
    "negative_length": "Content-Length twice, or no number",
    "huge_length": "Content-Length twice, or no number",
    "long_body": "too long",
    "endless_head": "too long",
    "chunked": "Transfer-Encoding",
    "surplus": "more than Content-Length",
    "http_1_0": "status line",
    "no_status": "status line",
    "interim": "interim status",
    "bare_lf": "CR LF",
    "blank_in_name": "header line",
    "no_colon": "header line",
    "nul": "NUL",
    "wrong_transaction": "TransactionID",
    "transaction_text": "TransactionID",
    "wrong_version": "ProtocolVersion",
    "wrong_type": "MessageType",
    "ids_not_swapped": "SenderID",
    "id_in_upper_case": "SenderID",
    "no_token": "ReceiverToken",
    "token_not_swapped": "Token",
    "null": "is null",
    "null_inside": "is null",
    "no_result": "Result",
    "result_text": "Result",
    "description_number": "Result",
    "odd_hex": "PHYPayload",
    "prefix": "PHYPayload",
    "no_phy": "PHYPayload",
    "phy_with_refusal": "PHYPayload",
    "lifetime_text": "Lifetime",
    "no_lifetime": "Lifetime",
    "long_session_id": "SessionKeyID",
    "envelope_text": "AppSKey",
    "label_without_wrap": "AESKey",
    "label_number": "AppSKey",
    "escape": "escape",
}
# What looks odd and is right.
RIGHT = ["upper_case", "unknown_member", "upper_case_name", "charset",
         "closes"]


class BiTest(SimTest):
    def setUp(self):
        super().setUp()
        self.bi = Bi(self.server)
        p = self.files.path
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(p("server.pem"), p("server.key.pem"))
        context.load_verify_locations(p("ca.pem"))
        context.verify_mode = ssl.CERT_OPTIONAL
        tls = self.listen(HttpServer(("127.0.0.1", 0), Handler))
        tls.socket = context.wrap_socket(tls.socket, server_side=True)
        plain = self.listen(HttpServer(("127.0.0.1", 0), Handler))
        self.listen(UnixServer(p("bi.socket"), Handler))
        self.https = f"https://127.0.0.1:{tls.server_address[1]}/bi/js?x=1"
        self.plain = f"http://127.0.0.1:{plain.server_address[1]}"
        self.plain_unix = "http+unix:" + p("bi.socket")

    def listen(self, server):
        server.bi = self.bi
        threading.Thread(target=server.serve_forever, args=(0.02,),
                         daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def by_certificate(self):
        p = self.files.path
        return ["--bi", self.https, "--ca", p("ca.pem"), "--as-id",
                "as.example.org", "--cert", p("ns.pem"), "--key",
                p("ns.key.pem"), "--as-cert", p("as.pem"), "--as-key",
                p("as.key.pem")]

    def by_token(self):
        self.files.write("ns.token", "let-me-in\n")
        self.files.write("as.password", "sesam: x\n")
        p = self.files.path
        return ["--bi", self.https, "--ca", p("ca.pem"), "--as-id",
                "as.example.org", "--bearer", "@" + p("ns.token"),
                "--as-basic", "asuser:@" + p("as.password")]

    def bi_join(self, status, *args, conn=None):
        return self.join(status, *args, conn=conn or ["--bi", self.plain])


class Joins(BiTest):
    def test_versions(self):
        for bi_version in ("1.0", "1.1"):
            for version in VERSIONS:
                with self.subTest(bi=bi_version, version=version):
                    self.version(version)
                    out = self.bi_join(OK, "--cf-list", CF_LIST,
                                       "--bi-version", bi_version,
                                       conn=self.by_certificate())
                    self.assertNotIn("FAILED", out)
                    self.assertRegex(out, "AppSKey by session key ID")
                    self.assertNotIn("network keys by", out)
                    for _, _, m in self.bi.seen:
                        self.assertEqual(m["ProtocolVersion"], bi_version)
                    self.bi.seen.clear()

    def test_what_is_sent(self):
        self.version("1.1")
        self.bi_join(OK, "--bi-version", "1.1", "--ns-id", "70b3d57ed0ffee01",
                     "--then-rejoin", "0,1", conn=self.by_certificate())
        path, headers, join = self.bi.seen[0]
        self.assertEqual(path, "/bi/js?x=1")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(headers["Host"], self.https[8:].split("/")[0])
        token = join.pop("SenderToken")
        transaction = join.pop("TransactionID")
        self.assertEqual(len(bytes.fromhex(token)), 8)
        self.assertEqual(join, {
            "ProtocolVersion": "1.1", "MessageType": "JoinReq",
            "SenderID": "00013f", "ReceiverID": JOIN_EUI,
            "SenderNSID": "70b3d57ed0ffee01", "MACVersion": "1.1",
            "PHYPayload": join["PHYPayload"], "DevEUI": DEV_EUI,
            "DevAddr": "26011bda", "DLSettings": "80", "RxDelay": 1})
        app = self.bi.seen[1][2]
        self.assertEqual(app["MessageType"], "AppSKeyReq")
        self.assertEqual(app["SenderID"], "as.example.org")
        self.assertEqual(app["ReceiverID"], JOIN_EUI)
        self.assertNotIn("SenderNSID", app)
        rejoin = self.bi.seen[2][2]
        self.assertEqual(rejoin["MessageType"], "RejoinReq")
        self.assertEqual(rejoin["ReceiverID"], JOIN_EUI)
        self.assertEqual(len(rejoin["PHYPayload"]), 38)
        self.assertEqual(rejoin["TransactionID"], (transaction + 1) % 2**32)
        self.assertEqual(len(self.bi.seen[4][2]["PHYPayload"]), 48)
        self.assertEqual(len(self.bi.seen), 6)

    def test_credentials(self):
        out = self.bi_join(OK, conn=self.by_token())
        self.assertNotIn("let-me-in", out)
        self.assertEqual(self.bi.seen[0][1]["Authorization"],
                         "Bearer let-me-in")
        self.assertEqual(self.bi.seen[1][1]["Authorization"], "Basic " +
                         base64.b64encode(b"asuser:sesam: x").decode())

    def test_behind_a_proxy(self):
        for url in (self.plain, self.plain_unix):
            with self.subTest(url=url):
                self.version("1.0.3")
                self.bi_join(OK, "--http-header", "X-Joinery-Peer: ns1",
                             "--as-http-header", "X-Joinery-Peer: as1",
                             "--as-id", "as.example.org",
                             conn=["--bi", url])
                self.assertEqual([h["X-Joinery-Peer"] for _, h, _ in
                                  self.bi.seen[-2:]], ["ns1", "as1"])
                self.assertEqual(self.bi.seen[-1][0], "/")

    def test_many(self):
        self.version("1.1")
        out = self.bi_join(OK, "--count", "200", "--in-flight", "8",
                           conn=self.by_certificate())
        self.assertIn("200 answers", out)
        out = self.bi_join(OK, "--count", "20", "--in-flight", "4",
                           "--then-rejoin", "0,1,2", "--dev-nonce", "300",
                           conn=self.by_certificate())
        self.assertIn("80 answers", out)

    def test_odd_but_right(self):
        for fault in RIGHT:
            with self.subTest(fault=fault):
                self.version("1.0.3")
                self.bi.fault = fault
                self.bi_join(OK, "--count", "3", "--in-flight", "2",
                             conn=self.by_certificate())

    def test_clear_keys_without_label(self):
        self.server.fault = "clear_key"
        for fault in ("", "empty_label"):
            self.version("1.0.3")
            self.bi.fault = fault
            out = self.bi_join(FAILED)
            self.assertRegex(out, "FAILED +NwkSKey +in clear, though")

    def test_keys_command(self):
        self.bi_join(OK)
        session = next(iter(self.server.sessions)).hex()
        args = ["--session", session, "--join-eui", JOIN_EUI, "--dev-eui",
                DEV_EUI, *self.keks()]
        out = self.run_sim(OK, "keys", *self.by_certificate(), *args)
        self.assertIn("under as1", out)
        self.assertNotIn("NwkSKey", out)
        args[1] = "00" * 16
        out = self.run_sim(REFUSED, "keys", *self.by_certificate(), *args)
        self.assertIn("UnknownDevEUI", out)

    def test_home(self):
        who = ["--bi", self.plain, "--net-id", "00013f", "--join-eui",
               JOIN_EUI, "--dev-eui", DEV_EUI]
        out = self.run_sim(OK, "home", *who)
        self.assertRegex(out, f"ok +HNetID +{HOME}")
        self.assertNotIn("HNSID", out)
        out = self.run_sim(OK, "home", *who, "--bi-version", "1.1", "--ns-id",
                           "70b3d57ed0ffee02", "--json")
        checks = json.loads(out)["checks"]
        self.assertEqual([c["detail"] for c in checks],
                         [HOME, "70b3d57ed0ffee01"])
        self.assertEqual(self.bi.seen[-1][2]["SenderNSID"],
                         "70b3d57ed0ffee02")


class Refusals(BiTest):
    def test_codes_expected(self):
        for bi_version in ("1.0", "1.1"):
            with self.subTest(bi=bi_version):
                conn = ["--bi", self.plain, "--bi-version", bi_version]
                self.version("1.1")
                self.bi_join(OK, "--flip-mic", "--expect", "MIC_FAILED",
                             conn=conn)
                self.bi_join(OK, "--raw-phy", "00" * 22, "--expect",
                             "FRAME_SIZE", conn=conn)
                self.bi_join(OK, "--dev-nonce", "7", conn=conn)
                for code in ("DEV_NONCE_REPLAYED", "RJ_COUNT_REPLAYED"):
                    out = self.bi_join(OK, "--dev-nonce", "7", "--expect",
                                       code, conn=conn)
                self.assertIn("JoinReqFailed: no (DEV_NONCE_REPLAYED)"
                              if bi_version == "1.0" else "FrameReplayed: no",
                              out)
                # Under 1.0 these come out as one.
                self.bi_join(OK if bi_version == "1.0" else FAILED,
                             "--dev-nonce", "7", "--expect",
                             "JOIN_NONCE_EXHAUSTED", conn=conn)
                self.bi_join(FAILED, "--dev-nonce", "7", "--expect",
                             "MIC_FAILED", conn=conn)
                self.bi_join(REFUSED, "--dev-nonce", "7", conn=conn)
                # No DevNonce is in the way of a rejoin.
                self.bi_join(OK, "--dev-nonce", "8", "--then-rejoin", "1",
                             conn=conn)
                out = self.bi_join(REFUSED, "--dev-nonce", "9",
                                   "--then-rejoin", "1", conn=conn)
                self.assertIn("refused: answer: RJ_COUNT_REPLAYED: ", out)
                self.bi_join(OK, "--dev-nonce", "10", "--then-rejoin", "1",
                             "--expect", "RJ_COUNT_REPLAYED", conn=conn)
                self.bi_join(OK, "--dev-nonce", "11", "--then-rejoin", "0",
                             "--flip-mic", "--expect", "MIC_FAILED",
                             conn=conn)

    def test_names_of_the_version(self):
        self.bi_join(OK, "--dev-nonce", "7")
        for fault in ("unknown_result", "name_of_other_version"):
            with self.subTest(fault=fault):
                self.bi.fault = fault
                out = self.bi_join(CONNECTION, "--dev-nonce", "7")
                self.assertIn("ResultCode", out)

    def test_http_status(self):
        for status, code in (("400", "MALFORMED_REQUEST"),
                             ("401", "PEER_UNKNOWN"), ("403", "PEER_UNKNOWN"),
                             ("503", "BUSY"), ("413", "FRAME_TOO_LARGE"),
                             ("202", "INTERNAL")):
            with self.subTest(status=status):
                self.bi.fault = "status_" + status
                out = self.bi_join(REFUSED)
                self.assertIn(f"{code}: HTTP status {status}", out)

    def test_broken_answers(self):
        for fault, said in BROKEN.items():
            with self.subTest(fault=fault):
                self.version("1.0.3")
                self.bi.fault = fault
                self.assertIn(said, self.bi_join(CONNECTION))

    def test_ns_id(self):
        self.bi.fault = "no_ns_id"
        out = self.bi_join(CONNECTION, "--bi-version", "1.1", "--ns-id",
                           "70b3d57ed0ffee01")
        self.assertIn("ReceiverNSID", out)

    def test_wrong_keys_are_found(self):
        for fault in ("bad_mic", "wrong_kek", "swapped_keys",
                      "wrong_app_s_kek"):
            with self.subTest(fault=fault):
                self.version("1.1")
                self.server.fault = fault
                self.assertIn("FAILED", self.bi_join(FAILED))

    def test_connection(self):
        self.run_sim(CONNECTION, "join", "--bi", "http://127.0.0.1:1",
                     *self.device())
        for url in ("ftp://127.0.0.1/", "http://192.0.2.1/", "nonsense",
                    "http:///x", "https://"):
            with self.subTest(url=url):
                self.run_sim(CONNECTION, "join", "--bi", url, "--ca",
                             self.files.path("ca.pem"), *self.device())
        # A server certificate from nobody we know.
        self.run_sim(CONNECTION, "join", "--bi", self.https, "--ca",
                     self.files.path("ns.pem"), *self.device())

    def test_usage(self):
        one = [*self.device()]
        p = self.files.path
        self.files.write("empty", "\n")
        self.files.write("binary", b"\x01\n")
        self.files.write("long", "x" * 600)
        bi = ["--bi", self.plain]
        for args in (
                ["join", *bi, *self.unix(), *one],
                ["join", "--bi", self.https, *one],
                ["join", *bi, *one, "--cert", p("ns.pem")],
                ["join", *bi, *one, "--as-http-header", "X: y"],
                ["join", *bi, *one, "--bi-version", "1.2"],
                ["join", *bi, *one, "--bearer", "token"],
                ["join", *bi, *one, "--bearer", "@" + p("empty")],
                ["join", *bi, *one, "--bearer", "@" + p("binary")],
                ["join", *bi, *one, "--bearer", "@" + p("long")],
                ["join", *bi, *one, "--bearer", "@" + p("none")],
                ["join", *bi, *one, "--basic", "user"],
                ["join", *bi, *one, "--basic", ":@" + p("app.key")],
                ["join", *bi, *one, "--basic",
                 "u" * 600 + ":@" + p("app.key")],
                ["join", *bi, *one, "--as-tcp", "127.0.0.1:1"],
                ["join", *self.unix(), *one, "--bi-version", "1.1"],
                ["join", *self.unix(), *one, "--http-header", "X: y"],
                ["keys", *bi, "--session", "00" * 16],
                ["home", *bi], ["home", *bi, "--net-id", "000013"]):
            with self.subTest(args=args):
                self.assertNotEqual(self.run_sim(USAGE, *args), "")
        self.assertEqual(self.bi.seen, [])


if __name__ == "__main__":
    sys.exit(unittest.main())
