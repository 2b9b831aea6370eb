#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The token's directory moves away and comes back: under load, errors
meanwhile, then the service again, by itself; no nonce is burnt, none is
accepted twice.  What only a new worker needs costs that worker alone."""
import glob
import os
import signal

import scenario
from load import Load, judge
from scenario import until


class TokenGone(scenario.Case):
    # A token object is read only for a key that is not at hand: more devices
    # than may be at hand.
    options = ("--conf", "repeat-window = 0", "--conf", "key-cache = 16",
               "--conf",
               "session-keep = 100")

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
        judge(self, loads)
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


class NothingForANewWorker(scenario.Case):
    """A worker is killed while a replacement lacks something: joineryd and
    the other worker go on, and all is well when it is back.  Each has a server
    of its own: after trouble the tries are so far apart that the other worker
    finds the token gone before three of them have failed."""

    def joins(self):
        return {w.pid: c.value for w in self.server.status().workers
                for c in w.counters if c.name == "joins_accepted"}

    def kill_the_other(self, device, ns):
        """Kill the worker that does not serve the device."""
        before = self.joins()
        device.join(ns, self.next_nonce())
        (other,) = [pid for pid, n in self.joins().items() if before[pid] == n]
        os.kill(other, signal.SIGKILL)

    def next_nonce(self):
        self.dev_nonce += 1
        return self.dev_nonce

    def while_away(self, path):
        self.server.wait_ready()
        device, self.dev_nonce = self.server.device("1.0.4"), 0
        away = self.server.dir + "/away"  # any folder in tokens/ is a token
        with self.server.tls("ns") as ns:
            device.join(ns, self.next_nonce())  # its keys are at hand now
            failed = len(self.server.lines("status=78"))
            os.rename(path, away)
            try:
                self.kill_the_other(device, ns)
                until(lambda: device.join(ns, self.next_nonce()) and
                      len(self.server.lines("status=78")) >= failed + 3,
                      "three tries")
            finally:
                os.rename(away, path)
            self.server.wait_ready()
            device.join(ns, self.next_nonce())
        self.assertEqual(self.server.lines("stopping"), [])
        self.serves()


class NoToken(NothingForANewWorker):
    def test_token(self):
        (token,) = glob.glob(self.server.dir + "/tokens/*")
        self.while_away(token)


class NoPin(NothingForANewWorker):
    def test_pin(self):
        self.while_away(self.server.dir + "/pin")


if __name__ == "__main__":
    scenario.main()
