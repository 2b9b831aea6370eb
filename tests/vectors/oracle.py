#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LoRaWAN joins once more, in Python: the judge over joinery-sim's vectors.

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
          "as_kek"}


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

    def accept(self):
        frame, mic = self.accept_clear()
        return frame[:1] + aes_decrypt(self.nwk_root, frame[1:] + mic)


def results(vector):
    """All results of a vector, as the names and digits of its line."""
    octets = {name: bytes.fromhex(vector[name])
              for name in INPUTS & vector.keys()
              if name not in ("mac_version", "opt_neg", "v10_root")}
    octets.setdefault("nwk_key", None)
    octets.setdefault("app_key", None)
    join = Join(opt_neg=vector["opt_neg"], v10_root=vector["v10_root"],
                **octets)
    out = {"join_request": join.request(), "join_accept": join.accept()}
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
    for name in ("join_eui", "dev_eui", "net_id", "dev_addr", "cf_list"):
        octets = bytes.fromhex(vector[name])
        if octets and octets == octets[::-1]:
            raise ValueError(f"{name} is a palindrome")
    if vector["opt_neg"] != (vector["mac_version"] == "1.1"):
        raise ValueError("OptNeg does not agree with the MAC version")
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
    return 1 if wrong or lines < 100 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
