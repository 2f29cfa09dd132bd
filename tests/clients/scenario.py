"""What the scenarios in Python share: steps, waiting, and the two partners that they run between.

A scenario gets its case from run.py as one argument, a JSON object:

    {"seed": "…", "team": "…", "channel": "…" or null, "wait_s": 20,
     "here":  {"partner": "alpha", "url": "http://…", "users": [{"username": …, "password": …}]},
     "there": the same for bravo}

It prints one JSON line per step; everything else goes to standard error.
"""

import json
import random
import sys
import time
import traceback
import urllib.error
import urllib.request
from urllib.parse import urlsplit

# Pauses between two looks at a condition, in seconds: short beside what replication takes.
LOOK_EVERY_S = 0.1


class NotTried(Exception):
    """A step needs what an earlier step would have left."""


class Partner:
    """One partner's node, and the users that the scenario may log in as."""

    def __init__(self, described):
        self.name = described["partner"]
        self.url = described["url"].rstrip("/")
        self.users = described["users"]
        split = urlsplit(self.url)
        self.scheme, self.host, self.port = split.scheme, split.hostname, split.port
        self.websocket_url = self.url.replace("http", "ws", 1) + "/api/v4/websocket"


class Case:
    """What run.py asks for."""

    def __init__(self, argument):
        given = json.loads(argument)
        self.here = Partner(given["here"])
        self.there = Partner(given["there"])
        self.team = given["team"]
        self.channel = given["channel"]
        self.wait_s = given["wait_s"]
        self._random = random.Random(given["seed"])

    def word(self):
        """A word that nobody has written yet, the same for the same seed."""
        return "w" + "".join(self._random.choice("abcdefghijkmnpqrstuvwxyz") for _ in range(14))

    def until(self, what, condition):
        """Waits until condition() is true and returns what it gave."""
        deadline = time.monotonic() + self.wait_s
        while True:
            given = condition()
            if given:
                return given
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {self.wait_s} s")
            time.sleep(LOOK_EVERY_S)


class Held:
    """What steps leave for later ones. Asking for what was never left ends a step as not tried."""

    def __getattr__(self, name):
        raise NotTried(f"not tried: an earlier step did not leave {name!r}")


def play(steps):
    """Runs (name, function) pairs in order, one printed line each; returns the exit code."""
    failed = 0
    for name, step in steps:
        try:
            step()
            say(name, True, "")
        except Exception as error:  # A scenario's step may fail in any way; the next is tried.
            failed += 1
            if not isinstance(error, (AssertionError, NotTried)):
                traceback.print_exc()
            say(name, False, str(error) if isinstance(error, NotTried) else described(error))
    return 1 if failed else 0


def say(name, ok, why):
    print(json.dumps({"step": name, "ok": ok, "why": why}), flush=True)


def described(error):
    text = " ".join(str(error).split())
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def expect(condition, what):
    """An assertion that python -O keeps."""
    if not condition:
        raise AssertionError(what)


def equal(is_so, should_be, what):
    expect(is_so == should_be, f"{what} is {is_so!r}, should be {should_be!r}")


def request(partner, method, path, body=None, token=None):
    """A request without any client: (status, headers, parsed body). Statuses are not errors."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(partner.url + path, data, headers, method=method)
    try:
        answer = urllib.request.urlopen(asked, timeout=30)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    text = answer.read()
    parsed = json.loads(text) if text else None
    return answer.status, answer.headers, parsed


def log_in(partner, user):
    """Logs in without any client and returns (token, user), as whoever hands a bot its token does."""
    asked = {"login_id": user["username"], "password": user["password"]}
    status, headers, body = request(partner, "POST", "/api/v4/users/login", asked)
    equal(status, 200, f"the status of the log-in of {user['username']} at {partner.name}")
    expect(headers.get("Token"), "the log-in has no Token header")
    return headers["Token"], body


def case_of_arguments():
    if len(sys.argv) != 2:
        sys.exit("run.py starts this; see README.md")
    return Case(sys.argv[1])
