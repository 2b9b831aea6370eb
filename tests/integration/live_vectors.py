#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the token answers is what Python's cryptography computes: joins of
every MAC version, judged by tests/vectors/oracle.py, and published vectors."""
import json
import os

import scenario
from scenario import TOP, VERSIONS

CF_LIST = bytes.fromhex("184f84e85684000000886684586e8405")


class LiveVectors(scenario.Case):
    def join(self, device, dev_nonce, **changes):
        members = device.members(dev_nonce, **changes)
        with self.server.tls("ns") as ns:
            answer = ns.call("join", **members)
        self.assertEqual(device.judge(dev_nonce, members, answer), [],
                         (device.version, members))
        return answer

    def test_every_version(self):
        for version in VERSIONS:
            device = self.server.device(version)
            opt_neg = 0x80 if version == "1.1.0" else 0
            self.join(device, 0x0102)
            self.join(device, 0x0203, cf_list=CF_LIST, rx_delay=15,
                      dl_settings=opt_neg | 0x25, dev_addr=0x12345678)

    def test_1_1_device_of_a_1_0_network(self):
        device = self.server.device("1.1.0")
        phy = device.phy(0x0304, opt_neg=False)
        answer = self.join(device, 0x0304, phy_payload=phy, dl_settings=0,
                           mac_version=scenario.mac_version("1.0.3"))
        self.assertFalse(answer.HasField("f_nwk_s_int_key"))
        self.join(device, 0x0305, cf_list=CF_LIST)

    def test_keys_by_session_id_are_those_of_the_join(self):
        for version in ("1.0.3", "1.1.0"):
            device = self.server.device(version)
            answer = self.join(device, 7)
            which = dict(session_key_id=answer.session_key_id,
                         dev_eui=device.dev_eui)
            with self.server.tls("ns") as ns, self.server.tls("as") as app:
                network = ns.call("network_keys", **which)
                application = app.call("app_s_key", **which)
            self.assertEqual(application.app_s_key, answer.app_s_key)
            for name in ("nwk_s_key", "f_nwk_s_int_key", "s_nwk_s_int_key",
                         "nwk_s_enc_key"):
                self.assertEqual(getattr(network, name),
                                 getattr(answer, name), name)

    def test_published(self):
        """The lines of the file whose JoinNonce a new device gets."""
        with open(TOP + "/tests/vectors/lorawan_joins.jsonl") as f:
            vectors = [json.loads(line) for line in f]
        vectors = [v for v in vectors if v["join_nonce"] == "000001"]
        self.assertEqual(len({v["mac_version"] for v in vectors}), 6)
        for v in vectors:
            self.new_store(v)
            self.published(v)

    def new_store(self, v):
        """A device's nonces outlive it, and all vectors are of one device."""
        self.server.stop()
        for name in os.listdir(self.server.dir + "/store"):
            os.unlink(self.server.dir + "/store/" + name)
        self.server.start()
        for who in "ns", "as":
            self.server.ctl("kek", "import", "vector-" + who, "--key", "-",
                            stdin=v[who + "_kek"])
        self.server.ctl("peer", "set", "ns", "--role", "ns", "--net-id",
                        v["net_id"], "--cert-san", "ns.example.org")

    def published(self, v):
        version = "1.1.0" if v["mac_version"] == "1.1" else v["mac_version"]
        keys = {name: bytes.fromhex(v[name])
                for name in ("nwk_key", "app_key") if name in v}
        device = scenario.Device(self.server, version,
                                 bytes.fromhex(v["dev_eui"]), **keys)
        self.assertEqual(device.join_eui.hex(), v["join_eui"])
        device.register("--mac-version", version, "--net-id", v["net_id"],
                        "--ns-kek", "vector-ns", "--as-kek", "vector-as",
                        "--v10-root", v["v10_root"])
        with self.server.tls("ns") as ns:
            answer = ns.call(
                "join", phy_payload=bytes.fromhex(v["join_request"]),
                mac_version=scenario.mac_version(version),
                net_id=int(v["net_id"], 16), dev_addr=int(v["dev_addr"], 16),
                dl_settings=int(v["dl_settings"], 16),
                rx_delay=int(v["rx_delay"], 16),
                cf_list=bytes.fromhex(v["cf_list"]))
        self.assertEqual(answer.phy_payload.hex(), v["join_accept"])
        for name, field in (("NwkSKey", "nwk_s_key"),
                            ("FNwkSIntKey", "f_nwk_s_int_key"),
                            ("SNwkSIntKey", "s_nwk_s_int_key"),
                            ("NwkSEncKey", "nwk_s_enc_key"),
                            ("AppSKey", "app_s_key")):
            self.assertEqual(getattr(answer, field).aes_key.hex(),
                             v.get(name + "Wrapped", ""), name)
        self.server.ctl("device", "delete", *device.words)


if __name__ == "__main__":
    scenario.main()
