# SPDX-License-Identifier: Apache-2.0
"""A small Join Server that can be told to answer wrongly.

It speaks the framed protocol (PROTOCOL.md) with a codec of its own and
computes joins with tests/vectors/oracle.py, so that it shares no code with
joinery-sim, which it is there to put to the test.
"""
import copy
import os
import socket
import ssl
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "vectors"))
import oracle  # noqa: E402

# Field numbers of proto/joinery.proto, written down again.
CALL_JOIN, CALL_NETWORK_KEYS, CALL_APP_S_KEY, CALL_REJOIN = 3, 4, 5, 6
RESULT_ERROR, RESULT_PING = 2, 3
ERRORS = {"FRAME_SIZE": 4, "UNKNOWN_DEVICE": 7, "UNKNOWN_SESSION": 8,
          "MIC_FAILED": 9, "DEV_NONCE_REPLAYED": 10, "NOT_ALLOWED": 6,
          "MALFORMED_REQUEST": 1, "RJ_COUNT_REPLAYED": 17, "BUSY": 71}
KEY_FIELDS = {"NwkSKey": 4, "FNwkSIntKey": 5, "SNwkSIntKey": 6,
              "NwkSEncKey": 7, "AppSKey": 8}


# ---- protobuf ----

def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_varint(buf, at):
    value = shift = 0
    while True:
        octet = buf[at]
        at += 1
        value |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            return value, at


def encode(fields):
    """Pairs of field number and int, bytes, str or a list of such pairs."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
            continue
        if isinstance(value, list):
            value = encode(value)
        elif isinstance(value, str):
            value = value.encode()
        out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def decode(buf):
    fields, at = {}, 0
    while at < len(buf):
        tag, at = read_varint(buf, at)
        value, at = read_varint(buf, at)
        if tag & 7 == 2:
            at, value = at + value, buf[at:at + value]
        fields[tag >> 3] = value
    return fields


# ---- the server ----

class Device:
    def __init__(self, nwk_key=None, app_key=None):
        self.nwk_key, self.app_key = nwk_key, app_key
        self.join_nonce = 0
        self.dev_nonces = set()
        self.live = []    # the session in use and those after it
        self.rj_count0 = self.rj_count1 = -1


class Server:
    """Answers as fault says: "" is right, else see wrong_*()."""

    def __init__(self, ns_kek, as_kek):
        self.ns_kek, self.as_kek = ns_kek, as_kek
        self.devices = {}
        self.sessions = {}
        self.fault = ""
        self.requests = 0
        self.peers = []   # common names of clients, in order of connection
        self.lock = threading.Lock()

    # what a join is made of

    def join(self, call, opt_neg, device):
        phy = call[1]
        return oracle.Join(
            opt_neg=opt_neg, nwk_key=device.nwk_key, app_key=device.app_key,
            v10_root="nwk", join_eui=phy[1:9][::-1], dev_eui=phy[9:17][::-1],
            dev_nonce=phy[17:19][::-1], join_nonce=b"\0\0\0",
            net_id=call[3].to_bytes(3, "big"),
            dev_addr=call[4].to_bytes(4, "big"),
            dl_settings=bytes([call[5]]), rx_delay=bytes([call[6]]),
            cf_list=call.get(7, b""))

    def rejoin(self, call, phy, device):
        """The oracle's rejoin, but for the session of types 0 and 2."""
        return oracle.Rejoin(
            phy[1], phy[-6:-4][::-1], opt_neg=call[5] >= 0x80,
            nwk_key=device.nwk_key, app_key=device.app_key, v10_root="nwk",
            join_eui=call[9], dev_eui=phy[-14:-6][::-1],
            join_nonce=b"\0\0\0", net_id=call[3].to_bytes(3, "big"),
            dev_addr=call[4].to_bytes(4, "big"),
            dl_settings=bytes([call[5]]), rx_delay=bytes([call[6]]),
            cf_list=call.get(7, b""))

    def next_join_nonce(self, device):
        if not (self.fault == "reused_join_nonce" and device.join_nonce):
            device.join_nonce += 1
        if self.fault == "zero_join_nonce":
            return bytes(3)
        return device.join_nonce.to_bytes(3, "big")

    def envelope(self, name, key):
        label, kek = (("as1", self.as_kek) if name == "AppSKey"
                      else ("ns1", self.ns_kek))
        last = name in ("NwkSKey", "NwkSEncKey")
        if self.fault == "clear_key" and last:
            return [(2, key)]
        if self.fault == "wrong_label" and last:
            label = "as1"
        if self.fault == "unknown_label" and last:
            label = "nobody"
        if self.fault == "wrong_kek" and last:
            kek = bytes(len(kek))
        if self.fault == "wrong_app_s_kek" and name == "AppSKey":
            kek = self.ns_kek
        wrapped = oracle.wrap(kek, key)
        if self.fault == "short_wrap" and last:
            wrapped = wrapped[:-1]
        return [(1, label), (2, wrapped)]

    def keys_of(self, join):
        keys = join.session_keys()
        if self.fault == "swapped_keys" and join.opt_neg:
            keys["FNwkSIntKey"], keys["SNwkSIntKey"] = (
                keys["SNwkSIntKey"], keys["FNwkSIntKey"])
        elif self.fault == "swapped_keys":
            keys["NwkSKey"], keys["AppSKey"] = keys["AppSKey"], keys["NwkSKey"]
        if self.fault == "wrong_app_s_key":
            keys["AppSKey"] = bytes(16)
        if self.fault == "missing_key":
            del keys["SNwkSIntKey" if join.opt_neg else "NwkSKey"]
        if self.fault == "extra_key":
            keys["NwkSKey" if join.opt_neg else "NwkSEncKey"] = bytes(16)
        return keys

    def accept(self, join):
        """The join-accept, with what is wrong about its fields or octets."""
        sent = copy.copy(join)
        if self.fault.startswith("wrong_field_"):
            name = self.fault.removeprefix("wrong_field_")
            value = getattr(sent, name)
            setattr(sent, name, value[:-1] + bytes([value[-1] ^ 1]))
        if self.fault == "no_cf_list":
            sent.cf_list = b""
        if self.fault == "added_cf_list":
            sent.cf_list = bytes(range(16))
        phy = bytearray(sent.accept())
        if self.fault == "bad_mic":
            frame, mic = sent.accept_clear()
            mic = mic[:3] + bytes([mic[3] ^ 1])
            phy = bytearray(frame[:1] +
                            oracle.aes_decrypt(sent.accept_key,
                                               frame[1:] + mic))
        if self.fault == "mic_of_other_version":
            frame, _ = sent.accept_clear()
            mic = oracle.cmac(sent.nwk_root, frame + b"x")[:4]
            phy = bytearray(frame[:1] +
                            oracle.aes_decrypt(sent.nwk_root, frame[1:] + mic))
        if self.fault == "encrypted_with_encrypt":
            frame, mic = sent.accept_clear()
            phy = bytearray(frame[:1] +
                            oracle.aes_encrypt(sent.nwk_root, frame[1:] + mic))
        if self.fault == "rejoin_under_root_key":
            frame, mic = sent.accept_clear()
            phy = bytearray(frame[:1] +
                            oracle.aes_decrypt(sent.nwk_root, frame[1:] + mic))
        if self.fault == "rejoin_as_join":
            frame, mic = oracle.Join.accept_clear(sent)
            phy = bytearray(frame[:1] +
                            oracle.aes_decrypt(sent.accept_key,
                                               frame[1:] + mic))
        if self.fault == "wrong_mhdr":
            phy[0] = 0x21
        if self.fault == "short_accept":
            phy = phy[:-1]
        return bytes(phy)

    # calls

    def do_join(self, call):
        phy = call[1]
        if len(phy) != 23:
            return self.error("FRAME_SIZE")
        device = self.devices.get((phy[1:9][::-1], phy[9:17][::-1]))
        if device is None:
            return self.error("UNKNOWN_DEVICE")
        join = self.join(call, call[5] >= 0x80, device)
        if join.request() != phy:
            return self.error("MIC_FAILED")
        if self.fault == "repeat_ok" and hasattr(device, "last"):
            return device.last
        if join.dev_nonce in device.dev_nonces:
            return self.error("DEV_NONCE_REPLAYED")
        device.dev_nonces.add(join.dev_nonce)
        device.live, device.rj_count0 = [], -1
        return self.accepted(device, join)

    def rejoin_session(self, device, rejoin, phy):
        """The session whose key made the MIC; it is live now."""
        for i, session in reversed(list(enumerate(device.live))):
            rejoin.session = session
            if rejoin.request() == phy:
                if i > 0:
                    device.rj_count0 = -1
                device.live = device.live[i:]
                return session
        return None

    def do_rejoin(self, call):
        phy = call[1]
        if len(phy) != (24 if phy[1] == 1 else 19):
            return self.error("FRAME_SIZE")
        device = self.devices.get((call[9], phy[-14:-6][::-1]))
        if device is None:
            return self.error("UNKNOWN_DEVICE")
        rejoin = self.rejoin(call, phy, device)
        if self.fault == "repeat_ok" and getattr(device, "phy", 0) == phy:
            return device.last
        count = int.from_bytes(rejoin.dev_nonce, "big")
        if phy[1] == 1:
            if rejoin.request() != phy:
                return self.error("MIC_FAILED")
            last, device.rj_count1 = device.rj_count1, max(
                count, device.rj_count1)
        else:
            if self.rejoin_session(device, rejoin, phy) is None:
                return self.error("MIC_FAILED")
            last, device.rj_count0 = device.rj_count0, max(
                count, device.rj_count0)
        if count <= last:
            return self.error("RJ_COUNT_REPLAYED")
        device.phy = phy
        return self.accepted(device, rejoin)

    def accepted(self, device, join):
        device.live.append(join)
        join.join_nonce = self.next_join_nonce(device)
        session_id = os.urandom(16)
        self.sessions[session_id] = join
        answer = [(1, self.accept(join)),
                  (2, session_id[:15] if self.fault == "short_session_id"
                   else session_id)]
        for name, key in self.keys_of(join).items():
            if name != "AppSKey" or self.fault != "missing_app_s_key":
                answer.append((KEY_FIELDS[name], self.envelope(name, key)))
        device.last = [(4, answer)]
        return device.last

    def do_keys(self, call, names, number):
        join = self.sessions.get(call[1])
        if join is None or call[2] != join.dev_eui:
            return self.error("UNKNOWN_SESSION")
        keys = self.keys_of(join)
        session_id = call[1]
        if self.fault == "fetch_wrong_id":
            session_id = session_id[::-1]
        answer = [(1, session_id)]
        for name in names & keys.keys():
            key = keys[name]
            if self.fault == "fetch_wrong_key":
                key = key[::-1]
            field = 2 if name == "AppSKey" else KEY_FIELDS[name] - 2
            if self.fault != "fetch_missing_key":
                answer.append((field, self.envelope(name, key)))
        return [(number, answer)]

    @staticmethod
    def error(name):
        return [(2, [(1, ERRORS[name]), (2, 'said \x1b[31m"no"')])]

    def answer(self, request, peer):
        """Fields of the Response to a decoded Request."""
        if self.fault in ERRORS:
            return self.error(self.fault)
        if self.fault == "other_answer":
            return [(RESULT_PING, [])]
        if CALL_JOIN in request:
            return self.do_join(decode(request[CALL_JOIN]))
        if CALL_REJOIN in request:
            return self.do_rejoin(decode(request[CALL_REJOIN]))
        if self.fault == "fetch_refused":
            return self.error("NOT_ALLOWED")
        if CALL_NETWORK_KEYS in request:
            return self.do_keys(decode(request[CALL_NETWORK_KEYS]),
                                KEY_FIELDS.keys() - {"AppSKey"}, 5)
        if peer == "ns":
            return self.error("NOT_ALLOWED")
        return self.do_keys(decode(request[CALL_APP_S_KEY]), {"AppSKey"}, 6)

    # connections

    def serve_frame(self, frame, peer, held):
        request = decode(frame)
        with self.lock:
            self.requests += 1
            fields = [(1, request[1])] + self.answer(request, peer)
        if self.fault == "silent":
            return b""
        if self.fault == "wrong_id":
            fields[0] = (1, request[1] + 1)
        message = encode(fields)
        held.append(struct.pack(">I", len(message)) + message)
        # Answers of a burst in reverse order, two at a time.
        if self.fault != "reorder" or len(held) == 2:
            out = b"".join(reversed(held))
            held.clear()
            return out
        return b""

    def serve(self, conn, peer):
        buf, held = b"", []
        with conn:
            while True:
                data = conn.recv(65536)
                if not data or self.fault == "hang_up":
                    return
                buf += data
                while len(buf) >= 4:
                    size = struct.unpack(">I", buf[:4])[0]
                    if len(buf) < 4 + size:
                        break
                    frame, buf = buf[4:4 + size], buf[4 + size:]
                    conn.sendall(self.serve_frame(frame, peer, held))

    def accept_loop(self, listener, context):
        while True:
            conn, _ = listener.accept()
            peer = "ns"
            try:
                if context is not None:
                    conn = context.wrap_socket(conn, server_side=True)
                    subject = dict(p[0] for p in conn.getpeercert()["subject"])
                    peer = subject["commonName"]
            except OSError:
                conn.close()
                continue
            self.peers.append(peer)
            threading.Thread(target=self.serve_quietly, args=(conn, peer),
                             daemon=True).start()

    def serve_quietly(self, conn, peer):
        try:
            self.serve(conn, peer)
        except OSError:
            pass  # the client is gone

    def listen_unix(self, path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        threading.Thread(target=self.accept_loop, args=(listener, None),
                         daemon=True).start()

    def listen_tls(self, cert, key, ca):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept_loop, args=(listener, context),
                         daemon=True).start()
        return listener.getsockname()[1]
