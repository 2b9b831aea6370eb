#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Frames and requests that are wrong, each with its error code; after each
the service goes on, on both ways in."""
import os
import socket
import ssl
import struct

import scenario
from proto_client import pb
from scenario import until


class BadFrames(scenario.Case):
    options = ("--conf", "frame-timeout = 1")

    def clients(self):
        for connect in self.server.admin, lambda: self.server.tls("ns"):
            with connect() as client:
                yield client
        with self.server.admin() as other:
            other.call("ping")

    def assert_error(self, client, code):
        error = client.error()
        self.assertEqual(error.code, code, error)
        self.assertEqual(len(self.server.lines(error.request_id)), 1,
                         self.server.lines(error.request_id))

    # ---- frames ----

    def test_oversized(self):
        for client in self.clients():
            client.send_octets(struct.pack(">I", 65537) + b"x" * 1000)
            self.assert_error(client, "FRAME_TOO_LARGE")
            self.assertTrue(client.closed())

    def test_empty(self):
        for client in self.clients():
            client.send_octets(bytes(4))
            self.assert_error(client, "MALFORMED_REQUEST")
            self.assertTrue(client.closed())

    def test_truncated(self):
        for client in self.clients():
            client.call("ping")
            client.send_octets(b"\0\0\0\x20abc")
            client.close()
        until(lambda: len(self.server.lines("ended in a frame")) >= 2,
              "both ends in the log")

    def test_slow(self):
        before = len(self.server.lines("frame-timeout"))
        for client in self.clients():
            client.send_octets(b"\0\0\0\x20abc")
            self.assertTrue(client.closed())
        self.assertEqual(len(self.server.lines("frame-timeout")), before + 2)

    def test_garbage(self):
        for client in self.clients():
            for _ in range(50):
                client.send_frame(os.urandom(200) + b"\xff")
                self.assert_error(client, "MALFORMED_REQUEST")
            client.call("ping")

    def test_cut_requests(self):
        """Every prefix of a request: an answer each, whatever it is."""
        whole = pb.Request(id=1, join=pb.JoinRequest(
            phy_payload=bytes(23), net_id=19)).SerializeToString()
        for client in self.clients():
            for n in range(1, len(whole)):
                client.send_frame(whole[:n])
                client.error()
            client.call("ping")

    def test_tls_that_is_none(self):
        host, port = self.server.env["JOINERY_TCP"].split(":")
        with socket.create_connection((host, int(port)), 20) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n" * 100)
            try:
                while sock.recv(100):
                    pass
            except ConnectionResetError:
                pass
        self.assertRaises((OSError, EOFError, ssl.SSLError), self.anonymous)
        with self.server.tls("ns") as ns:
            ns.call("ping")

    def anonymous(self):
        with self.server.tls(None) as client:
            client.call("ping")

    # ---- requests ----

    def test_unknown_call(self):
        for client in self.clients():
            client.send_frame(b"\x08\x07\xfa\x0f\x00")  # id 7, field 255
            response = client.receive()
            self.assertEqual((response.id, response.error.code),
                             (7, pb.UNKNOWN_CALL))
            client.call("ping")

    def test_lengths_of_admin_calls(self):
        good = pb.DeviceId(join_eui=bytes(8), dev_eui=bytes(8))
        with self.server.admin() as admin:
            for call in ("device_get", "device_set", "device_delete",
                         "nonces_reset", "session_list"):
                for bad in (None, pb.DeviceId(), pb.DeviceId(dev_eui=bytes(8)),
                            pb.DeviceId(join_eui=bytes(8), dev_eui=bytes(7)),
                            pb.DeviceId(join_eui=bytes(9), dev_eui=bytes(8)),
                            pb.DeviceId(join_eui=b"", dev_eui=bytes(8))):
                    self.refused("MALFORMED_REQUEST", admin.call, call, id=bad)
                if call != "device_set":
                    self.refused("UNKNOWN_DEVICE", admin.call, call, id=good)
            for bad in None, b"", bytes(15), bytes(17):
                self.refused("MALFORMED_REQUEST", admin.call, "session_get",
                             session_key_id=bad)
            self.refused("MALFORMED_REQUEST", admin.call, "kek_generate",
                         label="x", bits=100)
            self.refused("MALFORMED_REQUEST", admin.call, "kek_generate",
                         bits=128)
            self.refused("MALFORMED_REQUEST", admin.call, "peer_set")
            self.refused("MALFORMED_REQUEST", admin.call, "peer_set",
                         peer=pb.Peer(name="x" * 5000, role=pb.ROLE_NS, uid=5))
            self.refused("MALFORMED_REQUEST", admin.call, "peer_set",
                         peer=pb.Peer(name="x\ny", role=pb.ROLE_NS, uid=5))

    def test_texts(self):
        """What is kept is UTF-8 without control characters."""
        device = self.server.device("1.0.3")
        good = "Z\u00e4hler \u00a0\U0001f4a7"
        before = self.server.ctl("device", "get", *device.words)
        with self.server.admin() as admin:
            for field in "as_id", "ns_kek", "as_kek", "app", "name":
                for bad in "a\x1fb", "a\x7f", "a\u0085b", "\u009b2J":
                    error = self.refused(
                        "MALFORMED_REQUEST", admin.call, "device_set",
                        id=device.id,
                        settings=pb.DeviceSettings(**{field: bad}))
                    self.assertIn(field + " ", error.message)
                    self.assertIn("control character", error.message)
            for bad in "a\u0085b", "\u009b2J":
                self.refused("MALFORMED_REQUEST", admin.call, "app_set",
                             app=pb.App(name=bad))
                self.refused("MALFORMED_REQUEST", admin.call, "peer_set",
                             peer=pb.Peer(name=bad, role=pb.ROLE_NS, uid=5))
                self.refused("MALFORMED_REQUEST", admin.call, "kek_generate",
                             label=bad, bits=128)
                # But what an older store may hold can be looked for.
                for call in "app_get", "app_delete", "peer_get":
                    self.refused("NOT_FOUND", admin.call, call, name=bad)
                self.refused("NOT_FOUND", admin.call, "kek_delete", label=bad)
                self.refused("UNKNOWN_DEVICE", admin.call, "device_get",
                             app=bad, name=bad)
        # These octets are what a shell with another encoding gives.
        done = self.server.try_ctl("device", "set", *device.words, "--app",
                                   "a", "--name", "Z\udce4hler")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("name is not UTF-8", done.stderr)
        self.assertEqual(self.server.ctl("device", "get", *device.words),
                         before)
        self.server.ctl("device", "set", *device.words, "--app", good,
                        "--name", good)
        after = self.server.ctl("device", "get", "--app", good, "--name", good)
        self.assertEqual(after["device"]["settings"]["name"], good)

    def test_lengths_of_key_calls(self):
        with self.server.tls("ns") as ns, self.server.tls("as") as app:
            for client, call in (ns, "network_keys"), (app, "app_s_key"):
                for ident, eui in ((None, bytes(8)), (bytes(15), bytes(8)),
                                   (bytes(16), bytes(9)), (bytes(16), b""),
                                   (b"", bytes(8))):
                    self.refused("MALFORMED_REQUEST", client.call, call,
                                 session_key_id=ident, dev_eui=eui)

    def test_joins(self):
        device = self.server.device("1.0.3")
        phy = device.phy(1)
        wrong = [(dict([(name, None)]), "MALFORMED_REQUEST") for name in (
            "phy_payload", "mac_version", "net_id", "dev_addr", "dl_settings",
            "rx_delay")]
        wrong += [
            (dict(phy_payload=octets), "FRAME_SIZE")
            for octets in (b"", phy[:22], phy + b"\0", bytes(60000))]
        wrong += [
            (dict(phy_payload=bytes([mhdr]) + phy[1:]), "MALFORMED_REQUEST")
            for mhdr in (0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0, 1, 2, 3)]
        wrong += [
            (dict(phy_payload=bytes([0x1c]) + phy[1:]), "MIC_FAILED"),
            (dict(mac_version=pb.MAC_VERSION_UNSPECIFIED),
             "MALFORMED_REQUEST"),
            (dict(net_id=1 << 24), "MALFORMED_REQUEST"),
            (dict(dl_settings=256), "MALFORMED_REQUEST"),
            (dict(rx_delay=16), "MALFORMED_REQUEST"),
            (dict(cf_list=bytes(15)), "MALFORMED_REQUEST"),
            (dict(cf_list=bytes(17)), "MALFORMED_REQUEST")]
        with self.server.tls("ns") as ns:
            for changes, code in wrong:
                error = self.refused(code, device.join, ns, 1, **changes)
                self.assertEqual(len(self.server.lines(error.request_id)), 1)
            self.assertEqual(device.nonces().get("dev_nonces_used", 0), 0)
            device.join(ns, 1)

    def test_huge_repeated(self):
        """A frame full of members; what is too many is said, not done."""
        with self.server.admin() as admin:
            device = self.server.device("1.0.3")
            settings = pb.DeviceSettings(net_ids=range(9000))
            self.refused("MALFORMED_REQUEST", admin.call, "device_set",
                         id=device.id, settings=settings)
            settings = pb.DeviceSettings(net_ids=[7] * 20000)
            admin.call("device_set", id=device.id, settings=settings)
            peer = pb.Peer(name="many", role=pb.ROLE_AS, uid=4242,
                           as_ids=["as%d" % i for i in range(5000)])
            self.refused("MALFORMED_REQUEST", admin.call, "peer_set",
                         peer=peer)
            self.refused("NOT_FOUND", admin.call, "peer_get", name="many")
            # The same member again and again: the last one counts.
            ping = pb.Request(id=5)
            ping.ping.SetInParent()
            admin.send_frame(ping.SerializeToString() * 16000)
            self.assertEqual(admin.receive().id, 5)
        self.serves()


if __name__ == "__main__":
    scenario.main()
