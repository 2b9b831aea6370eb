#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""JoinEUIs that are served, and the default one for 1.0.x devices whose
AppEUI is anything."""
import scenario
from bi_client import app_s_key_req, join_req

DEFAULT = "70b3d57ed0000001"


class JoinEuis(scenario.Case):
    options = ("--conf", 'join-euis = {"70b3d57ed0000000/36", '
               '"a840410000000000/24"}',
               "--conf", 'default-join-eui = "%s"' % DEFAULT)

    def result(self, device, dev_nonce=1, **changes):
        with self.server.bi("ns") as ns:
            return ns.ask(join_req(device, device.phy(dev_nonce), **changes))

    def test_default_join_eui(self):
        for version, app_eui, code in (
                ("1.0.3", "0011223344556677", "Success"),
                ("1.0.4", "0011223344556677", "Success"),
                ("1.1.0", "0011223344556677", "UnkownReceiver"),
                ("1.0.3", "a84041aabbccddee", "UnknownDevEUI")):
            device = self.server.device(version)
            self.server.ctl("device", "delete", *device.words)
            device.words = ("--join-eui", DEFAULT) + device.words[2:]
            device.register("--mac-version", version, "--net-id", "000013",
                            "--as-id", "as.example.org")
            device.join_eui = bytes.fromhex(app_eui)
            answer = self.result(device)
            self.assertEqual(answer["Result"]["ResultCode"], code,
                             (version, app_eui, answer))
            if code == "Success":
                device.join_eui = bytes.fromhex(DEFAULT)
                self.assertEqual(
                    device.get()["nonces"]["join_nonce"], 1)
                with self.server.bi("as") as client:
                    keys = client.ask(app_s_key_req(
                        device, answer["SessionKeyID"]))
                self.assertEqual(keys["Result"]["ResultCode"], "Success")

    def test_registered_so(self):
        """A 1.0.x device under an AppEUI that is not served is ours."""
        device = scenario.Device(self.server, "1.0.3")
        device.join_eui = bytes.fromhex("0102030405060708")
        device.words = ("--join-eui", device.join_eui.hex(),
                        "--dev-eui", device.dev_eui.hex())
        self.assertEqual(self.result(device)["Result"]["ResultCode"],
                         "UnkownReceiver")
        device.register("--mac-version", "1.0.3", "--net-id", "000013",
                        "--as-id", "as.example.org")
        self.assertEqual(self.result(device)["Result"]["ResultCode"],
                         "Success")

    def test_tools(self):
        shown = self.server.ctl("join-eui", "prefixes")
        self.assertEqual(shown["prefixes"],
                         ["70b3d57ed0000000/36", "a840410000000000/24"])
        self.assertEqual(shown["default_join_eui"], DEFAULT)
        done = self.server.try_ctl("join-eui", "zone", "--target",
                                   "js.example.org")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("*.d.e.7.5.d.3.b.0.7.joineuis.lora-alliance.org",
                      done.stdout)
        self.assertIn("*.1.4.0.4.8.a.joineuis.lora-alliance.org",
                      done.stdout)


if __name__ == "__main__":
    scenario.main()
