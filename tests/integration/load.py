# SPDX-License-Identifier: Apache-2.0
"""Devices that join all the time, whatever breaks, and what must hold
afterwards."""
import threading
import time

from proto_client import Refused, pb

# What a join may be answered when the server is in trouble.
TROUBLE = {"TOKEN_UNAVAILABLE", "TIMEOUT"}


class Load(threading.Thread):
    """Devices on a connection, a join of each under way at a time.  A device
    takes its next DevNonce after a join-accept and when the outcome is not
    known (TIMEOUT, connection lost), the same one after another error."""

    def __init__(self, server, devices):
        super().__init__()
        self.server = server
        self.next = {device: 0 for device in devices}
        self.answers = {device: [] for device in devices}  # DevNonce, answer
        self.unknown = {device: [] for device in devices}  # DevNonces
        self.joins = 0
        self.errors = []
        self.lost = 0
        self.stopping = False
        self.unexpected = None

    def run(self):
        try:
            while not self.stopping:
                self.connect()
        except Exception as error:  # for the test to show
            self.unexpected = error

    def connect(self):
        try:
            with self.server.tls("ns") as ns:
                while not self.stopping:
                    self.turn(ns)
        except (OSError, EOFError):
            self.lost += 1
            time.sleep(0.02)

    def turn(self, ns):
        waiting = {}
        try:
            for device, dev_nonce in self.next.items():
                waiting[ns.next_id + 1] = device
                ns.send("join", **device.members(dev_nonce))
            while waiting:
                response = ns.receive()
                self.take(waiting.pop(response.id), response)
        finally:
            for device in waiting.values():
                self.lose(device)

    def take(self, device, response):
        if response.HasField("join"):
            self.answers[device].append((self.next[device], response.join))
            self.next[device] += 1
            self.joins += 1
            return
        code = pb.ErrorCode.Name(response.error.code)
        self.errors.append(code)
        if code == "TIMEOUT":
            self.lose(device)

    def lose(self, device):
        self.unknown[device].append(self.next[device])
        self.next[device] += 1


def judge(case, loads):
    """Every answer was right, nothing was given or taken twice, and what was
    answered is there."""
    for load in loads:
        case.assertIsNone(load.unexpected)
        case.assertLessEqual(set(load.errors), TROUBLE)
        for device in load.answers:
            judge_device(case, load, device)


def judge_device(case, load, device):
    answers, unknown = load.answers[device], load.unknown[device]
    join_nonces = [device.join_nonce_of(answer) for _, answer in answers]
    case.assertEqual(join_nonces, sorted(set(join_nonces)))
    for dev_nonce, answer in answers:
        case.assertEqual(device.judge(dev_nonce, device.members(dev_nonce),
                                      answer), [])
    # Both nonces went up together, by what was answered and perhaps by what
    # was not.
    nonces = device.nonces()
    if "dev_nonces_used" in nonces:
        case.assertEqual(nonces["join_nonce"], nonces["dev_nonces_used"])
    else:  # a counter: each accepted join took a value of its own
        case.assertGreaterEqual(nonces["dev_nonce"] + 1,
                                nonces["join_nonce"])
    case.assertGreaterEqual(nonces["join_nonce"], len(answers))
    case.assertLessEqual(nonces["join_nonce"], len(answers) + len(unknown))
    with case.server.tls("ns") as ns, case.server.tls("as") as app:
        for dev_nonce, answer in answers[-100:]:
            judge_session(case, device, ns, app, answer)
        for dev_nonce, _ in answers[-3:]:
            case.refused("DEV_NONCE_REPLAYED", device.join, ns, dev_nonce)
        judge_next(case, load, device, ns, nonces["join_nonce"])


def judge_session(case, device, ns, app, answer):
    which = dict(session_key_id=answer.session_key_id, dev_eui=device.dev_eui)
    case.assertEqual(ns.call("network_keys", **which).nwk_s_key,
                     answer.nwk_s_key)
    case.assertEqual(app.call("app_s_key", **which).app_s_key,
                     answer.app_s_key)


def judge_next(case, load, device, ns, used):
    """What nobody knows is either not taken yet, or never again."""
    for dev_nonce in load.unknown[device]:
        try:
            answer = device.join(ns, dev_nonce)
        except Refused as error:
            case.assertEqual(error.code, "DEV_NONCE_REPLAYED")
        else:
            used += 1
            case.assertEqual(device.join_nonce_of(answer), used)
    answer = device.join(ns, load.next[device])
    case.assertEqual(device.join_nonce_of(answer), used + 1)
