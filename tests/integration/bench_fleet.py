#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""joinery-bench fleet: every figure is there and makes sense, whatever the
machine; what is wrong is refused; what is interrupted leaves nothing."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import scenario
from scenario import BIN, until

SMALL = ("--seconds", "1", "--workers", "2")
NUMBERS = ("import_per_s", "import_floor_per_s", "import_ratio_to_floor",
           "start_s", "store_bytes", "store_octets_per_device",
           "front_rss_bytes")
PER_WORKER = ("workers_rss_bytes", "workers_own_bytes",
              "workers_own_bytes_imported")
OF_JOINS = ("per_s", "ratio_to_first", "p50_us", "p99_us",
            "pkcs11_calls_per_join", "joins")


class BenchFleet(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="joinery.")
        self.addCleanup(shutil.rmtree, self.dir)
        # A sanitizer's quarantine of freed memory would look like growth.
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env = dict(os.environ, TMPDIR=self.dir, ASAN_OPTIONS=":".join(
            filter(None, (options, "quarantine_size_mb=1"))))

    def tearDown(self):
        """Nothing is left, on disk or running."""
        self.assertEqual(os.listdir(self.dir), [])
        self.assertEqual(self.processes(), [])

    def processes(self):
        """Those that name our directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    words = f.read()
            except OSError:
                continue
            if self.dir.encode() in words:
                found.append(words)
        return found

    def command(self, *options, programs=BIN):
        return [BIN + "/joinery-bench", "fleet", "--programs", programs,
                *options]

    def run_bench(self, *options, **where):
        return subprocess.run(
            self.command(*options, **where), env=self.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def rows(self, *options):
        done = self.run_bench(*SMALL, "--json", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def assert_joins(self, joins):
        for name in OF_JOINS:
            self.assertGreater(joins[name], 0, name)
        self.assertLessEqual(joins["p50_us"], joins["p99_us"])

    def assert_row(self, row, custody, order=1000):
        self.assertEqual((row["workers"], row["custody"], row["order"]),
                         (2, custody, order))
        for name in NUMBERS:
            self.assertGreater(row[name], 0, name)
        for name in PER_WORKER:
            self.assertEqual(len(row[name]), 2, name)
            self.assertGreater(min(row[name]), 0, name)
        self.assertAlmostEqual(
            row["import_ratio_to_floor"],
            row["import_per_s"] / row["import_floor_per_s"], delta=0.01)
        self.assertEqual(row["import_bare_per_s"] > 0, custody == "wrapped")
        self.assertAlmostEqual(row["store_octets_per_device"],
                               row["store_bytes"] / row["devices"], delta=1)
        for name in ("joins", "joins_smallest_cache"):
            self.assert_joins(row[name])
        # 250 devices fit into one cache and not into the other.
        self.assertEqual(row["joins"]["key_misses_per_join"], 0)
        self.assertEqual(row["joins"]["pkcs11_calls_per_join"], 12)
        self.assertGreater(
            row["joins_smallest_cache"]["key_misses_per_join"], 0.5)
        self.assertGreater(
            row["joins_smallest_cache"]["pkcs11_calls_per_join"], 12)

    def test_each_token_has_its_figures(self):
        rows = self.rows("--devices", "250")
        self.assertEqual([row["token"] for row in rows],
                         ["softhsm", "softokn"])
        for row in rows:
            self.assert_row(row, "wrapped")

    def test_keys_can_be_in_the_token(self):
        rows = self.rows("--token", "softokn", "--devices", "200",
                         "--custody", "resident", "--order", "7")
        self.assertEqual(len(rows), 1)
        self.assert_row(rows[0], "resident", 7)

    def test_a_table_for_people(self):
        """Of fleets that do not fit into the key cache that is told."""
        done = self.run_bench(
            *SMALL, "--token", "softokn", "--devices", "200,250",
            "--key-cache", "16")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        head, *rows = done.stdout.splitlines()
        self.assertEqual(head.split()[:2], ["token", "devices"])
        self.assertEqual([row.split()[:2] for row in rows],
                         [["softokn", "200"], ["softokn", "250"]])
        self.assertEqual({len(line) for line in rows}, {len(head)})
        end = head.index("misses") + len("misses")
        for row in rows:
            self.assertGreater(float(row[:end].split()[-1]), 0.5)

    def test_wrong_options_are_refused(self):
        for options, why in (
                (("--devices", "99"), "from 100"),
                (("--devices", "200,x"), "x is not a number"),
                (("--devices", "10000001"), "is not a number from 1 to"),
                (("--devices", ",".join(["200"] * 17)), "up to 16 numbers"),
                (("--devices", ","), "--devices are"),
                (("--custody", "lost"), "wrapped or resident, not lost"),
                (("--token", "hard"), "softhsm or softokn, not hard"),
                (("--seconds", "61"), "from 1 to 60"),
                (("--workers", "0"), "from 1 to 64"),
                (("--in-flight", "2049"), "from 1 to 2048"),
                (("--key-cache", "15"), "a number from 16"),
                (("--key-cache", "1000001"), "from 1 to 1000000"),
                (("--order", "0"), "is not a number from 1 to"),
                (("--joins", "5"), "unrecognized option"),
                (("1000",), "usage: ")):
            with self.subTest(options=options):
                done = self.run_bench(*options)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(why, done.stderr)

    def test_help(self):
        done = self.run_bench("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("joinery-bench fleet", done.stdout)

    def programs_without(self, name):
        """A directory of our programs, of which one always fails."""
        place = tempfile.mkdtemp(prefix="joinery.")
        self.addCleanup(shutil.rmtree, place)
        for program in ("joineryd", "joinery-worker", "joineryctl"):
            os.symlink("/bin/false" if program == name
                       else "%s/%s" % (BIN, program), place + "/" + program)
        return place

    def test_a_program_that_fails_is_named(self):
        for name, why in (("joinery-worker", "joinery-worker failed"),
                          ("joineryd", "joineryd ended"),
                          ("joineryctl", "joineryctl failed")):
            with self.subTest(name=name):
                done = self.run_bench(
                    *SMALL, "--token", "softokn", "--devices", "200", "--json",
                    programs=self.programs_without(name))
                self.assertEqual(done.returncode, 1)
                self.assertIn(why, done.stderr)
                self.assertEqual(json.loads(done.stdout), [])

    def test_a_directory_that_is_not_there(self):
        self.env["TMPDIR"] = self.dir + "/absent"
        done = self.run_bench(*SMALL)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("No such file or directory", done.stderr)

    def interrupt(self, number, running):
        """Send a signal once a program of that name runs for us."""
        bench = subprocess.Popen(
            self.command(*SMALL, "--token", "softokn", "--devices", "100000"),
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        until(lambda: any(running in words.split(b"\0")[0]
                          for words in self.processes()), running)
        bench.send_signal(number)
        bench.communicate(timeout=60)
        self.assertEqual(bench.returncode, -number)
        self.tearDown()

    def test_an_interrupted_one_leaves_nothing(self):
        self.interrupt(signal.SIGINT, b"joineryctl")
        self.interrupt(signal.SIGTERM, b"joineryd")

    def test_so_does_one_that_was_killed(self):
        """The process that works, that is, not the guard above it."""
        bench = subprocess.Popen(
            self.command(*SMALL, "--token", "softokn", "--devices", "100000"),
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        until(lambda: any(b"joineryctl" in words.split(b"\0")[0]
                          for words in self.processes()), "an import")
        with open("/proc/%d/task/%d/children" % (bench.pid, bench.pid)) as f:
            worker = int(f.read().split()[0])
        os.kill(worker, signal.SIGKILL)
        _, stderr = bench.communicate(timeout=60)
        self.assertEqual(bench.returncode, 1)
        self.assertIn("ended by signal 9", stderr)


if __name__ == "__main__":
    scenario.main()
