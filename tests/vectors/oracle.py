#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LoRaWAN joins and rejoins in Python: the judge over joinery-sim's vectors.

Written from LoRaWAN L2 1.0.4 (TS001) and 1.1, RFC 4493 and RFC 3394, on the
"cryptography" package.  "oracle.py FILE" reads lines of "joinery-sim
vectors", computes every result again from the inputs and compares.
"""
import json
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

INPUTS = {"mac_version", "opt_neg", "join_eui", "dev_eui", "nwk_key",
          "app_key", "v10_root", "dev_nonce", "join_nonce", "net_id",
          "dev_addr", "dl_settings", "rx_delay", "cf_list", "ns_kek",
          "as_kek", "rejoin_type", "rj_count0", "rj_count1",
          "session_join_nonce", "session_dev_nonce", "session_net_id"}
NO_OCTETS = {"mac_version", "opt_neg", "v10_root", "rejoin_type"}


def aes_encrypt(key, blocks):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)


def aes_decrypt(key, blocks):
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(blocks)


def cmac(key, data):
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def wrap(kek, key):
    return aes_key_wrap(kek, key)


def on_air(printed):
    """Printed order (a bytes object) to the order on air."""
    return printed[::-1]


class Join:
    """One join: its inputs as octets in printed order, and what follows."""

    def __init__(self, **inputs):
        self.__dict__.update(inputs)
        if self.opt_neg:
            self.nwk_root, self.app_root = self.nwk_key, self.app_key
        elif self.nwk_key is not None and self.v10_root != "app":
            self.nwk_root = self.app_root = self.nwk_key
        else:
            self.nwk_root = self.app_root = self.app_key

    def js_key(self, tag):
        block = bytes([tag]) + on_air(self.dev_eui)
        return aes_encrypt(self.nwk_key, block.ljust(16, b"\0"))

    def session_key(self, root, tag):
        middle = self.join_eui if self.opt_neg else self.net_id
        block = (bytes([tag]) + on_air(self.join_nonce) + on_air(middle) +
                 on_air(self.dev_nonce))
        return aes_encrypt(root, block.ljust(16, b"\0"))

    def session_keys(self):
        if not self.opt_neg:
            return {"NwkSKey": self.session_key(self.nwk_root, 1),
                    "AppSKey": self.session_key(self.app_root, 2)}
        return {"FNwkSIntKey": self.session_key(self.nwk_root, 1),
                "SNwkSIntKey": self.session_key(self.nwk_root, 3),
                "NwkSEncKey": self.session_key(self.nwk_root, 4),
                "AppSKey": self.session_key(self.app_root, 2)}

    def request(self):
        frame = (b"\x00" + on_air(self.join_eui) + on_air(self.dev_eui) +
                 on_air(self.dev_nonce))
        return frame + cmac(self.nwk_root, frame)[:4]

    def accept_clear(self):
        """The join-accept before encryption, and its MIC."""
        frame = (b"\x20" + on_air(self.join_nonce) + on_air(self.net_id) +
                 on_air(self.dev_addr) + self.dl_settings + self.rx_delay +
                 self.cf_list)
        if not self.opt_neg:
            return frame, cmac(self.nwk_root, frame)[:4]
        head = b"\xff" + on_air(self.join_eui) + on_air(self.dev_nonce)
        return frame, cmac(self.js_key(6), head + frame)[:4]

    accept_key = property(lambda self: self.nwk_root)

    def accept(self):
        frame, mic = self.accept_clear()
        return frame[:1] + aes_decrypt(self.accept_key, frame[1:] + mic)


class Rejoin(Join):
    """A rejoin; counter is RJcount0 or RJcount1, session the one in use."""

    def __init__(self, rejoin_type, counter, session=None, **inputs):
        super().__init__(dev_nonce=counter, **inputs)
        self.rejoin_type, self.session = rejoin_type, session

    def request(self):
        who = on_air(self.dev_eui) + on_air(self.dev_nonce)
        if self.rejoin_type == 1:
            frame = b"\xc0\x01" + on_air(self.join_eui) + who
            return frame + cmac(self.js_key(6), frame)[:4]
        frame = (bytes([0xC0, self.rejoin_type]) +
                 on_air(self.session.net_id) + who)
        return frame + cmac(self.session.session_keys()["SNwkSIntKey"],
                            frame)[:4]

    def accept_clear(self):
        frame, _ = super().accept_clear()
        head = (bytes([self.rejoin_type]) + on_air(self.join_eui) +
                on_air(self.dev_nonce))
        return frame, cmac(self.js_key(6), head + frame)[:4]

    accept_key = property(lambda self: self.js_key(5))


def from_vector(vector, octets):
    """The join or rejoin of a line."""
    common = {name: octets.get(name) for name in (
        "join_eui", "dev_eui", "nwk_key", "app_key", "join_nonce", "net_id",
        "dev_addr", "dl_settings", "rx_delay", "cf_list", "ns_kek",
        "as_kek")}
    common |= {"opt_neg": vector["opt_neg"], "v10_root": vector["v10_root"]}
    if "rejoin_type" not in vector:
        return Join(dev_nonce=octets["dev_nonce"], **common)
    if vector["rejoin_type"] == 1:
        return Rejoin(1, octets["rj_count1"], **common)
    session = Join(**common | {"join_nonce": octets["session_join_nonce"],
                               "dev_nonce": octets["session_dev_nonce"],
                               "net_id": octets["session_net_id"]})
    return Rejoin(vector["rejoin_type"], octets["rj_count0"], session,
                  **common)


def results(vector):
    """All results of a vector, as the names and digits of its line."""
    octets = {name: bytes.fromhex(vector[name])
              for name in (INPUTS & vector.keys()) - NO_OCTETS}
    join = from_vector(vector, octets)
    request = "rejoin_request" if "rejoin_type" in vector else "join_request"
    out = {request: join.request(), "join_accept": join.accept()}
    if join.opt_neg:
        out["JSEncKey"] = join.js_key(5)
        out["JSIntKey"] = join.js_key(6)
    for name, key in join.session_keys().items():
        kek = join.as_kek if name == "AppSKey" else join.ns_kek
        out[name] = key
        out[name + "Wrapped"] = wrap(kek, key)
    return {name: value.hex() for name, value in out.items()}


def check_inputs(vector):
    """Complain about inputs that could hide a wrong octet order."""
    for name in ("join_eui", "dev_eui", "net_id", "dev_addr", "cf_list",
                 "session_net_id"):
        octets = bytes.fromhex(vector.get(name, ""))
        if octets and octets == octets[::-1]:
            raise ValueError(f"{name} is a palindrome")
    if vector["opt_neg"] != (vector["mac_version"] == "1.1"):
        raise ValueError("OptNeg does not agree with the MAC version")
    if "rejoin_type" in vector and not vector["opt_neg"]:
        raise ValueError("rejoins are of 1.1")
    if vector["opt_neg"] != (int(vector["dl_settings"], 16) >= 0x80):
        raise ValueError("OptNeg does not agree with DLSettings")


def main(path):
    wrong = lines = 0
    with open(path, encoding="ascii") as file:
        for lines, line in enumerate(file, 1):
            vector = json.loads(line)
            check_inputs(vector)
            mine = results(vector)
            theirs = {n: v for n, v in vector.items() if n not in INPUTS}
            for name in sorted(mine.keys() | theirs.keys()):
                if mine.get(name) != theirs.get(name):
                    wrong += 1
                    print(f"{path}:{lines}: {name}: {theirs.get(name)} "
                          f"instead of {mine.get(name)}")
    print(f"{path}: {lines} joins, {wrong} wrong results")
    return 1 if wrong or lines < 72 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
