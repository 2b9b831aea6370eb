#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The token's directory moves away under load, and comes back: errors
meanwhile, then the service again, by itself; no nonce is burnt, none is
accepted twice."""
import os

import scenario
from load import Load, judge
from scenario import until


class TokenGone(scenario.Case):
    # A token object is read only for a key that is not at hand: more devices
    # than may be at hand.
    options = ("--conf", "key-cache = 16", "--conf",
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


if __name__ == "__main__":
    scenario.main()
