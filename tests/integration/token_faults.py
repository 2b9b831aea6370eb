#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A token that fails once in the middle of a join, crashes or hangs: each
join is answered rightly or refused with nothing consumed, and the service
goes on.  The token is SoftHSM behind tests/mock/p11_mock.c."""
import scenario
from scenario import Refused, until

FUNCTIONS = ("C_SignInit", "C_Sign", "C_DecryptInit", "C_Decrypt",
             "C_EncryptInit", "C_Encrypt", "C_DeriveKey", "C_WrapKey",
             "C_DestroyObject", "C_CopyObject", "C_FindObjectsInit",
             "C_FindObjects", "C_FindObjectsFinal", "C_GetAttributeValue")
VALUES = ("CKR_DEVICE_REMOVED", "CKR_SESSION_HANDLE_INVALID",
          "CKR_GENERAL_ERROR", "CKR_KEY_HANDLE_INVALID")


class TokenFaults(scenario.Case):
    options = ("--workers", "1")
    mock = True
    scripts = 0

    def script(self, text):
        """Each one differs from the last, so that calls are counted anew."""
        TokenFaults.scripts += 1
        self.server.mock("%s; script-%d" % (text, self.scripts))

    def attempt(self, device, dev_nonce):
        """The join's answer, judged; or None and the error's code."""
        members = device.members(dev_nonce)
        with self.server.tls("ns") as ns:
            try:
                answer = ns.call("join", **members)
            except Refused as error:
                return None, error.code
        self.assertEqual(device.judge(dev_nonce, members, answer), [])
        return device.join_nonce_of(answer), None

    def fail_once(self, device, dev_nonce, join_nonce, script):
        """A join with a fault, then one without: nothing may be missing."""
        self.script(script)
        got, code = self.attempt(device, dev_nonce)
        self.script("")
        if got is None:
            self.assertIn(code, ("TOKEN_UNAVAILABLE", "TOKEN_REFUSED"), script)
            until(self.server.ready, "ready again")
            got, code = self.attempt(device, dev_nonce)
        self.assertEqual((got, code), (join_nonce, None), script)

    def test_hot(self):
        """The first and the second call of each function in a join."""
        device = self.server.device("1.1.0")
        self.assertEqual(self.attempt(device, 1), (1, None))
        n = 1
        for value in VALUES:
            for function in FUNCTIONS:
                for call in 1, 2:
                    n += 1
                    self.fail_once(device, n, n, "%s#%d=%s" % (
                        function, call, value))
        self.assertEqual(device.nonces()["dev_nonce"], n)

    def test_cold(self):
        """The same while the device's keys are fetched from the token."""
        for value in VALUES:
            for function in ("C_FindObjectsInit", "C_FindObjects",
                             "C_CopyObject", "C_Encrypt", "C_DeriveKey"):
                device = self.server.device("1.1.0")
                self.fail_once(device, 1, 1, "%s#1=%s" % (function, value))

    def test_lasting(self):
        """As long as it lasts TOKEN_UNAVAILABLE; then as if nothing was."""
        device = self.server.device("1.0.4")
        self.script("C_Sign*=CKR_DEVICE_REMOVED")
        codes = set()
        until(lambda: codes.add(self.attempt(device, 1)[1]) or
              self.server.status().trouble, "trouble in status")
        # A request that is on its way to a worker as that ends: TIMEOUT.
        self.assertIn("TOKEN_UNAVAILABLE", codes)
        self.assertLessEqual(codes, {"TOKEN_UNAVAILABLE", "TIMEOUT"})
        self.script("")
        self.server.wait_ready()
        self.assertEqual(self.attempt(device, 1), (1, None))

    def test_crash(self):
        """Killed by its module: unknown outcome, the next join is right."""
        device = self.server.device("1.0.4")
        for n, function in enumerate(("C_Sign", "C_WrapKey"), 1):
            self.script(function + "#1:crash")
            self.assertEqual(self.attempt(device, n), (None, "TIMEOUT"))
            self.script("")
            self.server.wait_ready()
            self.assertEqual(self.attempt(device, n), (n, None))


class TokenHangs(scenario.Case):
    options = ("--conf", "worker-deadline = 1000")
    mock = True

    def test_hang(self):
        devices = [self.server.device("1.0.4") for _ in range(16)]
        with self.server.tls("ns") as hung, self.server.tls("ns") as others:
            self.server.mock("C_Sign#1:hang")
            hung.send("join", **devices[0].members(1))
            calls = self.server.dir + "/calls"
            before = open(calls).read().count("\nC_Sign\n")
            until(lambda: open(calls).read().count("\nC_Sign\n") > before,
                  "a call that hangs")
            self.server.mock("")
            # Those of the other worker have their answers meanwhile.
            for device in devices[1:]:
                others.send("join", **device.members(1))
            answers = [others.receive() for _ in devices[1:]]
            first = hung.error()
        self.assertEqual(first.code, "TIMEOUT")
        served = [a for a in answers if a.HasField("join")]
        self.assertGreater(len(served), 0)
        for answer in answers:
            if not answer.HasField("join"):
                self.assertEqual(answer.error.code, scenario.pb.TIMEOUT)
        status = self.server.wait_ready()
        self.assertEqual({c.name: c.value for c in status.counters}
                         ["worker_kills"], 1)
        self.assertEqual(len(self.server.lines("worker-deadline")), 1)
        with self.server.tls("ns") as ns:
            answer = devices[0].join(ns, 2)
        self.assertEqual(devices[0].join_nonce_of(answer), 1)
        self.serves()


if __name__ == "__main__":
    scenario.main()
