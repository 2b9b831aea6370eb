#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sealed key files, written and opened by what joinery-keyfile(5) says and
nothing else: with the cryptography package, without a line of Joinery's own.

    keyfile.py make PUBLIC.pem OUT [--transport-key HEX] < DEVICES
    keyfile.py open PRIVATE.pem FILE
    keyfile.py vectors FOLDER

DEVICES is JSON lines: join_eui, dev_eui, mac_version ("-" for none), nwk and
app (keys as hexadecimal digits), and meta, a list of [name, value].  "open"
checks a file as a receiver must and prints the same.
"""

import hashlib
import json
import os
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

PLAIN = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:/-"
)
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)


def cmac(key, data):
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def percent(text):
    return "".join(
        chr(octet) if octet in PLAIN else f"%{octet:02X}"
        for octet in text.encode()
    )


def unpercent(text):
    out = bytearray()
    rest = text
    while rest:
        if rest[0] == "%":
            out.append(int(rest[1:3], 16))
            rest = rest[3:]
        else:
            out.append(ord(rest[0]))
            rest = rest[1:]
    decoded = out.decode()
    assert percent(decoded) == text, "percent-encoded in another way"
    return decoded


def file_mac(transport_key, covered):
    ecb = Cipher(algorithms.AES(transport_key), modes.ECB()).encryptor()
    key = ecb.update(b"joinery-keyfile1")
    return cmac(key, hashlib.sha256(covered).digest())


def fingerprint(public_key):
    der = public_key.public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    return hashlib.sha256(der).hexdigest()


def key_word(name, transport_key, key):
    wrapped = aes_key_wrap(transport_key, key)
    check = cmac(key, bytes(16))[:4]
    return f" {name}={wrapped.hex()}:{check.hex()}"


def device_line(transport_key, device):
    line = "device {} {} {}".format(
        device["join_eui"], device["dev_eui"], device.get("mac_version", "-")
    )
    for name in ("nwk", "app"):
        if device.get(name):
            key = bytes.fromhex(device[name])
            line += key_word(name, transport_key, key)
    for name, value in device.get("meta", []):
        line += f" {name}={percent(value)}"
    return line + "\n"


def make(public_key, devices, transport_key=None, sealed=None):
    """The octets of a file; sealed: a transport key line made before."""
    transport_key = transport_key or os.urandom(32)
    sealed = sealed or public_key.encrypt(transport_key, OAEP)
    text = "joinery-keyfile 1\n"
    text += f"import-key {fingerprint(public_key)}\n"
    text += "seal rsa-oaep-sha1\n"
    text += f"transport-key {sealed.hex()}\n"
    for device in devices:
        text += device_line(transport_key, device)
    text += f"end {len(devices)} "
    covered = text.encode("ascii")
    mac = file_mac(transport_key, covered)
    return covered + mac.hex().encode() + b"\n"


def open_device(transport_key, line):
    words = line.split(" ")
    assert words[0] == "device"
    device = {"join_eui": words[1], "dev_eui": words[2]}
    device["mac_version"] = words[3]
    device["meta"] = []
    for word in words[4:]:
        name, value = word.split("=", 1)
        if name in ("nwk", "app"):
            wrapped, check = value.split(":")
            key = aes_key_unwrap(transport_key, bytes.fromhex(wrapped))
            assert len(key) == 16
            assert cmac(key, bytes(16))[:4].hex() == check, "check value"
            device[name] = key.hex()
        else:
            device["meta"].append([name, unpercent(value)])
    return device


def open_file(private_key, data):
    """The devices of a file; an AssertionError for whatever is wrong."""
    assert data.endswith(b"\n") and b"\r" not in data
    lines = data.decode("ascii").split("\n")[:-1]
    assert all(len(line) < 2048 for line in lines)
    assert lines[0] == "joinery-keyfile 1"
    assert lines[1] == "import-key " + fingerprint(private_key.public_key())
    assert lines[2] == "seal rsa-oaep-sha1"
    name, sealed = lines[3].split(" ")
    assert name == "transport-key"
    transport_key = private_key.decrypt(bytes.fromhex(sealed), OAEP)
    assert len(transport_key) == 32
    name, count, mac = lines[-1].split(" ")
    assert name == "end" and int(count) == len(lines) - 5
    assert file_mac(transport_key, data[: -len(mac) - 1]).hex() == mac, "MAC"
    return [open_device(transport_key, line) for line in lines[4:-1]]


# ---- the vectors of the man page ----

VECTOR_TRANSPORT_KEY = bytes(range(0xA0, 0xC0))
VECTOR_DEVICES = [
    {
        "join_eui": "70b3d57ed0000001",
        "dev_eui": "0011223344556677",
        "mac_version": "1.0.3",
        "app": "5b8c0f3d2a7e4961b0c4d8e2f6172839",
        "meta": [
            ["net-id", "000013"],
            ["as-id", "as.example.org"],
            ["app-name", "meters"],
            ["device-name", "Zähler 1"],
            ["join-nonce", "17"],
        ],
    },
    {
        "join_eui": "70b3d57ed0000001",
        "dev_eui": "0011223344556678",
        "mac_version": "1.1.0",
        "nwk": "c3a1f5e7092b4d6f8192a3b4c5d6e7f8",
        "app": "9e8d7c6b5a4f3e2d1c0b0a1928374655",
        "meta": [["resets-join-nonces", "no"], ["dev-nonce", "258"]],
    },
    {
        "join_eui": "70b3d57ed0000001",
        "dev_eui": "0011223344556679",
        "mac_version": "-",
        "nwk": "c0ffee00c0ffee01c0ffee02c0ffee03",
        "meta": [["net-id", "000013"], ["net-id", "600001"],
                 ["ns-kek", "ns kek"], ["as-kek", "as-kek"],
                 ["v10-root", "default"]],
    },
]


def vectors(folder):
    """Write them; a file there keeps its RSA key and its sealed key."""
    key_path = os.path.join(folder, "keyfile.key.pem")
    file_path = os.path.join(folder, "keyfile.txt")
    sealed = None
    if os.path.exists(key_path):
        private_key = load_private(key_path)
        with open(file_path, "rb") as f:
            sealed = bytes.fromhex(f.readlines()[3].split()[1].decode())
    else:
        private_key = rsa.generate_private_key(65537, 2048)
        with open(key_path, "wb") as f:
            f.write(private_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()))
    data = make(private_key.public_key(), VECTOR_DEVICES,
                VECTOR_TRANSPORT_KEY, sealed)
    with open(os.path.join(folder, "keyfile.pub.pem"), "wb") as f:
        f.write(private_key.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo))
    with open(file_path, "wb") as f:
        f.write(data)


def load_private(path):
    with open(path, "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


def load_public(path):
    with open(path, "rb") as f:
        return serialization.load_pem_public_key(f.read())


def main(args):
    if args[0] == "make":
        transport_key = bytes.fromhex(args[4]) if len(args) > 4 else None
        devices = [json.loads(line) for line in sys.stdin]
        with open(args[2], "wb") as f:
            f.write(make(load_public(args[1]), devices, transport_key))
    elif args[0] == "open":
        with open(args[2], "rb") as f:
            data = f.read()
        for device in open_file(load_private(args[1]), data):
            print(json.dumps(device))
    elif args[0] == "vectors":
        vectors(args[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:] or ["help"])
