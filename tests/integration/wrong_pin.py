#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A PIN that is wrong is tried once, never again by itself: a token locks
after a few tries.  The mock before the token counts them."""
import os
import signal
import time

import scenario
from scenario import Refused, until


class WrongPin(scenario.Case):
    mock = True

    def logins(self):
        with open(self.server.dir + "/calls") as f:
            return f.read().splitlines().count("C_Login")

    def write_pin(self, text):
        with open(self.server.dir + "/pin", "w") as f:
            f.write(text)

    def hang_up(self):
        os.kill(self.server.pid(), signal.SIGHUP)

    def pin_trouble(self):
        try:
            return "PIN" in self.server.status().trouble
        except OSError:
            return False

    def assert_no_more_logins(self, n):
        """Whatever is asked of the server."""
        for _ in range(10):
            with self.server.tls("ns") as ns:
                error = self.refused("TOKEN_UNAVAILABLE", self.device.join,
                                     ns, 1)
                self.assertIn("PIN", error.message)
            time.sleep(0.1)
        self.assertEqual(self.logins(), n)

    def test_once(self):
        self.device = self.server.device("1.0.4")
        with open(self.server.dir + "/pin") as f:
            right = f.read()
        self.at_start(right)
        self.later(right)
        self.all_logins_lost(right)

    def at_start(self, right):
        self.server.stop()
        self.write_pin("0000-wrong")
        os.unlink(self.server.dir + "/calls")
        self.server.start(wait=False)
        until(self.pin_trouble, "the PIN as trouble in status")
        self.assert_no_more_logins(1)
        self.hang_up()  # asks for one more try
        until(lambda: self.logins() == 2, "a second login")
        until(self.pin_trouble, "the PIN as trouble again")
        self.assert_no_more_logins(2)
        self.write_pin(right)
        self.hang_up()
        self.server.wait_ready()
        self.assertEqual(self.logins(), 4)  # two workers
        self.serves()

    def later(self, right):
        """A worker that is started while others serve tries once, too."""
        self.write_pin("0000-wrong")
        workers = self.server.wait_ready().workers
        os.kill(workers[0].pid, signal.SIGKILL)
        until(self.pin_trouble, "the PIN as trouble in status")
        self.assertEqual(self.logins(), 5)
        self.serves()
        self.assertEqual(self.logins(), 5)
        self.write_pin(right)
        self.hang_up()
        self.server.wait_ready()
        self.assertEqual(self.logins(), 6)

    def all_logins_lost(self, right):
        """Every worker loses its login after the PIN was changed: that is
        one try for all of them, not one for each."""
        devices = [self.server.device("1.0.4") for _ in range(8)]
        self.write_pin("0000-wrong")
        self.server.mock("C_SignInit*=CKR_USER_NOT_LOGGED_IN; "
                         "C_GetSessionInfo*=CKR_SESSION_CLOSED")
        until(lambda: self.nobody_serves(devices), "every worker gone")
        until(self.pin_trouble, "the PIN as trouble in status")
        self.server.mock("")
        self.assert_no_more_logins(7)
        self.write_pin(right)
        self.hang_up()
        self.server.wait_ready()
        self.assertEqual(self.logins(), 9)
        self.serves()

    def nobody_serves(self, devices):
        """Ask for a join of each; is no worker left?"""
        with self.server.tls("ns") as ns:
            for device in devices:
                with self.assertRaises(Refused) as caught:
                    device.join(ns, 1)
                self.assertIn(caught.exception.code,
                              ("TOKEN_UNAVAILABLE", "TIMEOUT"))
        return not any(w.state == "ready"
                       for w in self.server.status().workers)


if __name__ == "__main__":
    scenario.main()
