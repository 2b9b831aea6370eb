# SPDX-License-Identifier: Apache-2.0
"""A client of the framed protocol, for tests: sockets, TLS, and messages
that protoc makes of proto/joinery.proto.

It can say everything wrongly, too: send_octets takes what no Request is.
"""
import importlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree may be read-only
TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def _load_messages():
    with tempfile.TemporaryDirectory(prefix="joinery") as folder:
        subprocess.run(["protoc", "-I", TOP + "/proto",
                        "--python_out=" + folder, "joinery.proto"],
                       check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("joinery_pb2")
        finally:
            sys.path.remove(folder)


pb = _load_messages()


class Refused(Exception):
    """The server answered with an Error."""

    def __init__(self, error):
        self.code = pb.ErrorCode.Name(error.code)
        self.message = error.message
        self.request_id = error.request_id
        super().__init__("%s: %s" % (self.code, self.message))


class Client:
    def __init__(self, sock, timeout_s=20):
        self.sock = sock
        self.next_id = 0
        sock.settimeout(timeout_s)

    def send_octets(self, octets):
        self.sock.sendall(octets)

    def send_frame(self, message):
        self.send_octets(struct.pack(">I", len(message)) + message)

    def send(self, call, sender=None, **members):
        """Send a request and do not wait; the answer will have this id.
        sender: the members of a Sender."""
        self.next_id += 1
        request = pb.Request(id=self.next_id)
        if sender is not None:
            request.sender.CopyFrom(pb.Sender(**sender))
        message = getattr(request, call)
        message.SetInParent()
        message.MergeFrom(type(message)(**members))
        self.send_frame(request.SerializeToString())
        return self.next_id

    def exactly(self, n):
        octets = b""
        while len(octets) < n:
            more = self.sock.recv(n - len(octets))
            if not more:
                raise EOFError("the server closed the connection")
            octets += more
        return octets

    def receive(self):
        (length,) = struct.unpack(">I", self.exactly(4))
        return pb.Response.FromString(self.exactly(length))

    def error(self):
        """The next answer, which has to be an Error, as Refused."""
        response = self.receive()
        assert response.WhichOneof("result") == "error", response
        return Refused(response.error)

    def call(self, call, **members):
        """The answer's message, or Refused."""
        ident = self.send(call, **members)
        response = self.receive()
        assert response.id == ident, response
        if response.WhichOneof("result") == "error":
            raise Refused(response.error)
        return getattr(response, response.WhichOneof("result"))

    def closed(self, within_s=20):
        """Whether the server closes, sending nothing more, in that time."""
        self.sock.settimeout(within_s)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect_unix(path):
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return Client(sock)


def connect_tls(host_port, ca, cert=None, key=None):
    host, port = host_port.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if cert:
        context.load_cert_chain(cert, key)
    sock = socket.create_connection((host, int(port)), 20)
    try:
        return Client(context.wrap_socket(sock, server_hostname=host))
    except (OSError, ssl.SSLError):
        sock.close()
        raise
