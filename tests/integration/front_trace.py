#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Traces of joineryd, with fake workers behind it."""
import os
import signal
import time
import unittest

from front_daemon import (
    BUSY, ERROR, MALFORMED, PING, TIMEOUT, TOKEN_UNAVAILABLE, Case, Client,
    field, join, parse, request, until)

TRACE, R_TRACE, HOME_NS = 39, 34, 7
WATCHED, OTHER = bytes(range(1, 9)), bytes(range(11, 19))


def home_ns(ident, dev_eui):
    return request(ident, HOME_NS, field(1, dev_eui))


class Trace(Case):
    def watch(self, ident, dev_eui=WATCHED, client=None):
        client = client or self.daemon.connect()
        answer = client.call(request(ident, TRACE, field(1, dev_eui)))
        self.assertEqual((answer.kind, answer.id), (R_TRACE, ident))
        self.assertEqual(answer.body, {})
        return client

    def event(self, client, ident):
        answer = client.receive()
        self.assertEqual((answer.kind, answer.id), (R_TRACE, ident))
        return parse(answer.body[1][0])

    def test_events(self):
        c = self.start()
        watcher = self.watch(9)
        c.call(join(1, OTHER))
        c.call(join(2, WATCHED))
        c.call(home_ns(3, WATCHED))
        for _ in range(2):
            event = self.event(watcher, 9)
            self.assertEqual(event[3], [b"fake"])
            self.assertEqual(event[13], [7])
            self.assertEqual(len(event[4][0]), 24)
            self.assertLess(event[17][0], 10_000_000)
        # Nothing else came, and the connection is good for other things.
        self.assertEqual(watcher.call(request(5, PING)).id, 5)
        self.watch(10, OTHER, watcher)
        c.call(join(4, OTHER))
        self.event(watcher, 10)

    def test_own_requests(self):
        self.start()
        watcher = self.watch(1)
        watcher.send(join(2, WATCHED))
        got = [watcher.receive() for _ in range(2)]
        self.assertEqual([a.id for a in got], [2, 1])

    def test_wrong_length(self):
        c = self.start()
        for dev_eui in (b"", b"1234567", b"123456789"):
            answer = c.call(request(1, TRACE, field(1, dev_eui)))
            self.assertEqual(answer.code, MALFORMED)
        self.assertEqual(c.call(request(1, TRACE)).code, MALFORMED)

    def test_too_many(self):
        c = self.start()
        watchers = [self.watch(i) for i in range(16)]
        answer = c.call(request(1, TRACE, field(1, WATCHED)))
        self.assertEqual(answer.code, BUSY)
        watchers[3].close()
        self.assertTrue(until(lambda: c.call(
            request(1, TRACE, field(1, WATCHED))).kind != ERROR))

    def test_timeout(self):
        c = self.start(worker_deadline=400)
        watcher = self.watch(9)
        hold = b"hold\0\0\0\0"
        self.watch(10, hold, watcher)
        answer = c.call(home_ns(1, hold))
        self.assertEqual(answer.code, TIMEOUT)
        event = self.event(watcher, 10)
        self.assertEqual(event[2], [b"home_ns"])
        self.assertEqual(event[4], answer.body[3])
        self.assertEqual(event[5], [TIMEOUT])
        self.assertGreater(event[17][0], 390_000)

    def test_death(self):
        c = self.start()
        die = b"die\0\0\0\0\0"
        watcher = self.watch(9, die)
        self.assertEqual(c.call(home_ns(1, die)).code, TIMEOUT)
        event = self.event(watcher, 9)
        self.assertEqual(event[5], [TIMEOUT])
        self.assertIn(b"died", event[6][0])
        self.assertEqual(parse(event[8][0])[2], [die])

    def test_no_worker(self):
        c = self.start()
        watcher = self.watch(9)
        with open(self.daemon.exit_file, "w") as f:
            f.write("69")
        os.kill(self.daemon.pids()[-1], signal.SIGKILL)
        self.assertTrue(until(lambda: c.call(
            request(1, PING)).code == TOKEN_UNAVAILABLE))
        answer = c.call(join(1, WATCHED))
        self.assertEqual(answer.code, TOKEN_UNAVAILABLE)
        event = self.event(watcher, 9)
        self.assertEqual(event[5], [TOKEN_UNAVAILABLE])
        self.assertEqual(event[6], answer.body[2])

    def test_busy(self):
        c = self.start(worker_queue=1)
        watcher = self.watch(9)
        c.send(home_ns(1, b"hold\0\0\0\0"), join(2, WATCHED))
        self.assertEqual(c.receive().code, BUSY)
        self.assertEqual(self.event(watcher, 9)[5], [BUSY])

    def test_may_be_idle(self):
        self.start(idle_timeout=1)
        idle = self.daemon.connect()
        watcher = self.watch(9)
        self.assertTrue(idle.closed(5))
        time.sleep(1)
        self.daemon.connect().call(join(1, WATCHED))
        self.event(watcher, 9)

    def test_reads_nothing(self):
        c = self.start(frame_timeout=1)
        watcher = self.watch(9)
        total = 12000
        for first in range(0, total, 100):
            c.send(*[join(first + i, WATCHED) for i in range(100)])
            for _ in range(100):
                self.assertNotEqual(c.receive().kind, ERROR)
        time.sleep(2.5)  # longer than others may take to read
        got = 0
        watcher.sock.settimeout(1)
        try:
            while True:
                self.event(watcher, 9)
                got += 1
        except OSError:
            pass
        self.assertGreater(got, 100)
        self.assertLess(got, total)
        watcher = Client(watcher.sock)
        c.call(join(1, WATCHED))
        answer = watcher.receive()
        self.assertEqual(answer.body[2], [total - got])
        # It was told of what is missing, so no more is.
        c.call(join(1, WATCHED))
        self.assertEqual(watcher.receive().body[2], [total - got])

    def test_gone(self):
        c = self.start()
        for _ in range(40):
            self.watch(9).close()
            self.assertNotEqual(c.call(join(1, WATCHED)).kind, ERROR)

    def test_stop(self):
        self.start()
        watcher = self.watch(9)
        started = time.time()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.time() - started, 5)
        self.assertTrue(watcher.closed(1))


if __name__ == "__main__":
    unittest.main()
