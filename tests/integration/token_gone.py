#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The token's directory moves away under load, and comes back: errors
meanwhile, then the service again, by itself; no nonce is burnt, none is
accepted twice."""
import os
import threading

import scenario
from scenario import Refused, until


class Load(threading.Thread):
    """Devices that take turns: each joins with its next DevNonce after a
    join-accept, with the same one after an error."""

    def __init__(self, server, devices):
        super().__init__()
        self.server = server
        self.devices = devices
        self.next = {device: 0 for device in devices}
        self.answers = {device: [] for device in devices}
        self.joins = 0
        self.errors = []
        self.stopping = False
        self.unexpected = None

    def run(self):
        try:
            with self.server.tls("ns") as ns:
                while not self.stopping:
                    for device in self.devices:
                        self.join_one(ns, device)
        except Exception as error:  # for the test to show
            self.unexpected = error

    def join_one(self, ns, device):
        dev_nonce = self.next[device]
        try:
            answer = device.join(ns, dev_nonce)
        except Refused as error:
            self.errors.append(error.code)
            # After TIMEOUT nobody knows: the device takes the next.
            self.next[device] += error.code == "TIMEOUT"
        else:
            self.answers[device].append((dev_nonce, answer))
            self.next[device] += 1
            self.joins += 1


class TokenGone(scenario.Case):
    # A token object is read only for a key that is not at hand: more devices
    # than may be at hand.
    options = ("--conf", "key-cache = 16")

    def test_away_and_back(self):
        loads = [Load(self.server, [self.server.device(version)
                                    for _ in range(16)])
                 for version in ("1.0.3", "1.0.4", "1.1.0")]
        for load in loads:
            load.start()
        try:
            for _ in range(2):
                self.away_and_back(loads)
        finally:
            for load in loads:
                load.stopping = True
                load.join()
        for load in loads:
            self.judge(load)
        self.serves()

    def away_and_back(self, loads):
        self.everybody(loads, lambda load: load.joins, "joins")
        tokens = self.server.dir + "/tokens"
        os.rename(tokens, tokens + ".away")
        try:
            self.everybody(loads, lambda load: len(load.errors), "errors")
            until(lambda: self.server.status().trouble, "trouble in status")
        finally:
            os.rename(tokens + ".away", tokens)
        self.everybody(loads, lambda load: load.joins, "joins")
        until(lambda: not self.server.status().trouble, "no trouble")

    def everybody(self, loads, number, what):
        """Wait until that number has grown for every load."""
        before = [number(load) for load in loads]
        until(lambda: all(number(load) > n + 20 or load.unexpected
                          for load, n in zip(loads, before)),
              "%s of everybody" % what)
        for load in loads:
            self.assertIsNone(load.unexpected)

    def judge(self, load):
        self.assertIsNone(load.unexpected)
        self.assertLessEqual(set(load.errors),
                             {"TOKEN_UNAVAILABLE", "TIMEOUT"})
        for device, answers in load.answers.items():
            join_nonces = [device.join_nonce_of(a) for _, a in answers]
            dev_nonces = [n for n, _ in answers]
            self.assertEqual(join_nonces, sorted(set(join_nonces)))
            self.assertEqual(dev_nonces, sorted(set(dev_nonces)))
            if "TIMEOUT" not in load.errors:
                # Nothing was consumed by what failed.
                self.assertEqual(join_nonces,
                                 list(range(1, len(join_nonces) + 1)))
                self.assertEqual(device.nonces()["dev_nonces_used"],
                                 len(dev_nonces))


if __name__ == "__main__":
    scenario.main()
