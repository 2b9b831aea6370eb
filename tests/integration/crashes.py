#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of workers and of joineryd, again and again, with requests in
flight: no JoinNonce is given twice, no DevNonce taken twice, and every
session that was answered is there."""
import json
import os
import signal
import subprocess
import time

import scenario
from load import Load, judge
from scenario import BIN, until


def runs(pid):
    """Is it a process that has not ended?"""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Crashes(scenario.Case):
    options = ("--conf", "session-keep = 100", "--conf",
               "repeat-window = 0")

    def load(self, what_breaks):
        """Loads while what_breaks(loads) breaks things; judged."""
        loads = [Load(self.server, [self.server.device(version)
                                    for _ in range(8)])
                 for version in ("1.0.2", "1.0.4", "1.1.0")]
        for load in loads:
            load.start()
        try:
            what_breaks(loads)
        finally:
            for load in loads:
                load.stopping = True
                load.join()
        self.server.wait_ready()
        judge(self, loads)
        self.serves()
        return loads

    def more_joins(self, loads):
        before = [load.joins for load in loads]
        until(lambda: all(load.joins > n or load.unexpected
                          for load, n in zip(loads, before)), "more joins")

    def kill_workers(self, loads):
        for n in range(8):
            self.more_joins(loads)
            workers = [w for w in self.server.status().workers
                       if w.state == "ready"]
            if workers:
                os.kill(workers[n % len(workers)].pid, signal.SIGKILL)
        self.more_joins(loads)

    def test_workers(self):
        loads = self.load(self.kill_workers)
        self.assertIn("TIMEOUT", [e for load in loads for e in load.errors])

    def kill_joineryd(self, loads):
        orphans = []
        for _ in range(4):
            self.more_joins(loads)
            orphans += [w.pid for w in self.server.status().workers]
            self.server.kill()
            self.server.start(wait=False)
        self.more_joins(loads)
        self.server.wait_ready()
        until(lambda: not any(runs(pid) for pid in orphans),
              "the workers of those that were killed have ended")

    def test_joineryd(self):
        loads = self.load(self.kill_joineryd)
        self.assertGreater(min(load.lost for load in loads), 0)

    def sim(self, device, output, *words):
        return subprocess.Popen(
            [BIN + "/joinery-sim", "join", "--tcp",
             self.server.env["JOINERY_TCP"], "--ca",
             self.server.dir + "/ca.pem", "--cert",
             self.server.dir + "/ns.pem", "--key",
             self.server.dir + "/ns.key", *device.words, "--mac-version",
             device.version, "--app-key", "@%s/%s.app" % (
                 self.server.dir, device.dev_eui.hex()),
             "--net-id", "000013", "--no-fetch", "--json",
             "--ns-kek", "ns-kek=@%s/ns-kek.hex" % self.server.dir,
             "--as-kek", "as-kek=@%s/as-kek.hex" % self.server.dir, *words],
            stdout=output, env=self.server.env)

    def test_under_joinery_sim(self):
        """The same with joinery-sim, which judges the answers itself."""
        device = self.server.device("1.0.3")
        path = self.server.dir + "/sim"
        with open(path, "w") as file:
            sim = self.sim(device, file, "--count", "1000",
                           "--in-flight", "16")
            kills = 0
            while sim.poll() is None:
                kills += self.kill_one()
        with open(path) as file:
            summary = json.loads(file.read().splitlines()[-1])
        self.assertGreater(kills, 0)
        self.assertEqual(sim.returncode, 3, summary)
        self.assertEqual(summary["failed"], 0, summary)
        accepted = summary["answers"] - summary["refused"]
        until(self.server.ready, "ready again")
        nonces = device.nonces()
        self.assertEqual(nonces["join_nonce"], nonces["dev_nonces_used"])
        self.assertGreaterEqual(nonces["join_nonce"], accepted)
        self.assertLessEqual(nonces["join_nonce"], 1000)

    def kill_one(self):
        """Kill a worker that has requests in flight."""
        busy = [w for w in self.server.status().workers
                if w.state == "ready" and w.in_flight > 0]
        for worker in busy:
            os.kill(worker.pid, signal.SIGKILL)
        time.sleep(0.1)
        return len(busy)


if __name__ == "__main__":
    scenario.main()
