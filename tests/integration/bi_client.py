# SPDX-License-Identifier: Apache-2.0
"""A client of Backend Interfaces on Python's standard library, for tests: it
says things as Network and Application Servers do, or wrongly."""
import http.client
import json
import ssl
import urllib.parse

JOIN_SERVER_MEMBERS = {"ProtocolVersion", "TransactionID", "MessageType",
                       "SenderID", "ReceiverID"}


class Bi:
    """A keep-alive connection.  certificate: PEM file and key, or None."""

    def __init__(self, url, ca=None, certificate=None, headers=None,
                 timeout_s=20):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path or "/"
        self.headers = dict(headers or {})
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca)
            if certificate:
                context.load_cert_chain(*certificate)
            self.http = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout_s,
                context=context)
        else:
            self.http = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def post(self, body, headers=None, method="POST", path=None):
        """The response and its body; body is octets, text, or a message."""
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        all_headers = {"Content-Type": "application/json"}
        all_headers.update(self.headers)
        all_headers.update(headers or {})
        self.http.request(method, path or self.path, body, all_headers)
        response = self.http.getresponse()
        return response, response.read()

    def ask(self, message, **more):
        """The Ans to a message; its form is checked, not its result."""
        response, body = self.post(message, **more)
        if response.status != 200:
            raise AssertionError("HTTP %d: %s" % (response.status, body))
        return check_answer(message, response, body)


def check_answer(message, response, body):
    """What holds for every Ans: header, one JSON value, no null."""
    assert response.getheader("Content-Type") == "application/json", (
        response.getheaders())
    assert int(response.getheader("Content-Length")) == len(body)
    return check_message(message, body)


def check_message(message, body):
    answer = json.loads(body)
    assert b"null" not in body and b"\\" not in body, body
    assert answer["MessageType"] == message["MessageType"][:-3] + "Ans"
    if message.get("ProtocolVersion") in ("1.0", "1.1"):
        assert answer["ProtocolVersion"] == message["ProtocolVersion"]
    if isinstance(message.get("TransactionID"), int):
        assert answer["TransactionID"] == message["TransactionID"]
    for mine, theirs in (("SenderID", "ReceiverID"),
                         ("ReceiverID", "SenderID")):
        assert answer[mine] == message[theirs], (mine, answer)
    for mine, theirs in (("SenderToken", "ReceiverToken"),
                         ("ReceiverToken", "SenderToken")):
        assert answer.get(mine) == message.get(theirs), (mine, answer)
    for mine, theirs in (("SenderNSID", "ReceiverNSID"),
                         ("ReceiverNSID", "SenderNSID")):
        if message["ProtocolVersion"] == "1.1":
            assert answer.get(mine) == message.get(theirs), (mine, answer)
        else:
            assert mine not in answer, answer
    assert JOIN_SERVER_MEMBERS < answer.keys(), answer
    assert isinstance(answer["Result"]["ResultCode"], str), answer
    return answer


def join_req(device, phy, version="1.0", sender="000013", kind="JoinReq",
             **changes):
    """A JoinReq or RejoinReq; a change to None removes the member."""
    message = {
        "ProtocolVersion": version, "TransactionID": 7,
        "MessageType": kind, "SenderID": sender,
        "ReceiverID": device.join_eui.hex(),
        "MACVersion": "1.1" if device.version == "1.1.0" else device.version,
        "PHYPayload": phy.hex(), "DevEUI": device.dev_eui.hex(),
        "DevAddr": "26011bda",
        "DLSettings": "80" if device.version == "1.1.0" else "00",
        "RxDelay": 1}
    return changed(message, changes)


def app_s_key_req(device, session, version="1.0", sender="as.example.org",
                  **changes):
    message = {
        "ProtocolVersion": version, "TransactionID": 4294967295,
        "MessageType": "AppSKeyReq", "SenderID": sender,
        "ReceiverID": device.join_eui.hex(), "DevEUI": device.dev_eui.hex(),
        "SessionKeyID": session}
    return changed(message, changes)


def home_ns_req(device, version="1.0", sender="600013", **changes):
    message = {
        "ProtocolVersion": version, "TransactionID": 0,
        "MessageType": "HomeNSReq", "SenderID": sender,
        "ReceiverID": device.join_eui.hex(), "DevEUI": device.dev_eui.hex()}
    return changed(message, changes)


def changed(message, changes):
    message.update(changes)
    return {k: v for k, v in message.items() if v is not None}
