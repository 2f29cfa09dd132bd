#!/usr/bin/env python3
"""The second factor of local accounts, as a client sets it up and is asked for it.

Usage: login_totp.py COMITY
"""

import base64
import hashlib
import hmac
import socket
import struct
import sys
import time
from types import SimpleNamespace

from login_node import Node, expect, play, until

PASSWORD = "correct horse"
STEP_S = 30


def code_of(secret, step):
    """RFC 6238 with SHA-1 and six digits, by hand: not by the library that the node uses."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 15
    number = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def step_now():
    return int(time.time()) // STEP_S


def wrong_code(secret):
    """Six digits that are no code of around now."""
    near = {code_of(secret, step_now() + offset) for offset in range(-3, 4)}
    return next(f"{n:06}" for n in range(100) if f"{n:06}" not in near)


def told_on_socket(port, token):
    """The bytes that a WebSocket brings up to its first event, or until the node closes it."""
    lines = [
        "GET /api/v4/websocket HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Bearer {token}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        told = b""
        while b"hello" not in told:
            more = stream.recv(4096)
            if not more:
                return told
            told += more
        return told


def story(comity):
    node = Node(comity)
    held = SimpleNamespace(used=0)

    def fresh_code():
        """A code of a step that was not used, within the node's window."""

        def unused():
            step = max(held.used + 1, step_now() - 1)
            return step if step <= step_now() + 1 else None

        held.used = until("a step that was not used", unused, 2 * STEP_S)
        return code_of(held.secret, held.used)

    def mfa(token, **body):
        return node.ask("PUT", "/api/v4/users/me/mfa", body, token)

    def sets_up():
        """Alice sets up a second factor, and sees that it is on."""
        node.start()
        node.add_user("alice", PASSWORD, "member")
        node.add_user("olga", PASSWORD, "security_officer")
        held.alice = node.session("alice", PASSWORD)
        other = node.session("alice", PASSWORD)
        made = node.ask("POST", "/api/v4/users/me/mfa/generate", {}, held.alice).json
        held.secret = made["secret"]
        expect(made["otpauth"].endswith(f"alice?secret={held.secret}&issuer=Comity%20alpha"), made)
        node.session("alice", PASSWORD)  # Not asked before the first code.
        refused = mfa(held.alice, activate=True, code=wrong_code(held.secret))
        expect(refused.error == "mfa.activate.bad_token.app_error", refused)
        turned_on = mfa(held.alice, activate=True, code=fresh_code())
        held.recovery = turned_on.json["recovery_codes"]
        expect(len(set(held.recovery)) == 10, turned_on)
        me = node.ask("GET", "/api/v4/users/me", token=held.alice).json
        expect(me["mfa_active"] is True, me)
        expect(not node.is_live(other), "her other devices have to log in anew")
        held.id = me["id"]

    def is_asked():
        """The password alone opens nothing, and clients are told what to ask for."""
        answer = node.log_in("alice", PASSWORD)
        expect(answer.error == "mfa.validate_token.authenticate.app_error", answer)
        expect(answer.token is None, "no session begins")
        answer = node.log_in("alice", "no " + PASSWORD, token=code_of(held.secret, step_now()))
        expect(answer.error.startswith("api.user.login.invalid"), answer)
        answer = node.log_in("alice", PASSWORD, token=wrong_code(held.secret))
        expect(answer.error == "api.user.check_user_mfa.bad_code.app_error", answer)

    def once():
        """A code lets in once, also after the node was killed in between."""
        code = fresh_code()
        node.session("alice", PASSWORD, token=code)
        expect(node.log_in("alice", PASSWORD, token=code).status == 401, "it was used")
        node._process.kill()
        node._process.wait()
        node.start()
        expect(node.log_in("alice", PASSWORD, token=code).status == 401, "it was used before")

    def recovers():
        """A recovery code lets in once, however it is typed."""
        code = held.recovery[0]
        typed = f"{code[:4]}-{code[4:8]} {code[8:].lower()}"
        held.alice = node.session("alice", PASSWORD, token=typed)
        expect(node.log_in("alice", PASSWORD, token=code).status == 401, "it was used")

    def programs():
        """An access token is not asked for codes."""
        path = f"/api/v4/users/{held.id}/tokens"
        made = node.ask("POST", path, {"description": "a program"}, held.alice).json
        held.program = made["token"]
        expect(node.is_live(held.program), "the token is let in")

    def guards():
        """It is not switched off without a code, nor drawn anew."""
        expect(mfa(held.alice, activate=False).status == 401, "without a code")
        again = node.ask("POST", "/api/v4/users/me/mfa/generate", {}, held.alice)
        expect(again.status == 400, again)
        me = node.ask("GET", "/api/v4/users/me", token=held.alice).json
        expect(me["mfa_active"] is True, me)

    def officer():
        """A security officer switches it off for her, on the record; others cannot."""
        node.add_user("bob", PASSWORD, "member")
        node.add_user("nora", PASSWORD, "node_admin")
        path = f"/api/v4/users/{held.id}/mfa"
        for name in ("bob", "nora"):
            refused = node.ask("PUT", path, {"activate": False}, node.session(name, PASSWORD))
            expect(refused.status == 403, f"{name}: {refused}")
        olga = node.session("olga", PASSWORD)
        done = node.ask("PUT", path, {"activate": False}, olga)
        expect(done.status == 200, done)
        expect(not node.is_live(held.alice), "her devices have to log in anew")
        expect(node.is_live(held.program), "her programs go on")
        texts = node.audited(olga, "second_factor_off")
        expect(any(held.id in text and " by " in text for text in texts), texts)
        node.session("alice", PASSWORD)

    def guesses():
        """Whoever guesses codes has to wait."""
        token = node.session("alice", PASSWORD)
        held.secret = node.ask("POST", "/api/v4/users/me/mfa/generate", {}, token).json["secret"]
        held.used = 0
        expect(mfa(token, activate=True, code=fresh_code()).status == 200, "it is on again")
        bad = wrong_code(held.secret)
        statuses = [node.log_in("alice", PASSWORD, token=bad).status for _ in range(12)]
        expect(statuses[0] == 401 and statuses[-1] == 429, statuses)
        answer = node.log_in("alice", PASSWORD, token=fresh_code())
        expect(answer.status == 429, answer)

    def required():
        """Where it is required, a session may do nothing but set it up, on no socket either."""
        node.stop()
        node.configure('[login]\nsecond_factor = "required"\n')
        node.start()
        token = node.session("bob", PASSWORD)
        for method, path in (
            ("GET", "/api/v4/users/me"),
            ("GET", "/api/v4/users/me/channels"),
            ("POST", "/api/v4/posts"),
            ("GET", "/api/comity/v1/partners"),
            ("POST", "/api/v4/users/me/tokens"),
        ):
            refused = node.ask(method, path, {} if method == "POST" else None, token)
            expect(refused.error == "api.context.mfa_required.app_error", f"{path}: {refused}")
        told = told_on_socket(node.port, token)
        expect(b"hello" not in told, f"no socket opens: {told}")
        expect(b"hello" in told_on_socket(node.port, held.program), "a program's does")
        expect(node.is_live(held.program), "programs are not asked")
        made = node.ask("POST", "/api/v4/users/me/mfa/generate", {}, token).json
        held.secret, held.used = made["secret"], 0
        expect(mfa(token, activate=True, code=fresh_code()).status == 200, "it is on")
        expect(node.is_live(token), "now it may do all")
        expect(mfa(token, activate=False, code=fresh_code()).status == 403, "it stays on")

    steps = [sets_up, is_asked, once, recovers, programs, guards, officer, guesses, required]
    with node:
        return play("second factor", steps, node.log)


if __name__ == "__main__":
    sys.exit(story(sys.argv[1]))
