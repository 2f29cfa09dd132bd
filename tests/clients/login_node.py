"""One node of its own for stories about log-in: made, configured and started, and asked as clients do."""

import json
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

# How long a condition may take to come true, in seconds, where a story names no other time.
WAIT_S = 30
# Pauses between two looks at a condition, in seconds.
LOOK_EVERY_S = 0.2
# How long an answer may take, in seconds.
ANSWER_LIMIT_S = 60


class Answer:
    """What the node answered."""

    def __init__(self, status, headers, body):
        self.status = status
        self.token = headers.get("Token")
        self.json = json.loads(body) if body else None

    @property
    def error(self):
        return (self.json or {}).get("id") if self.status >= 400 else None

    def __repr__(self):
        return f"{self.status} {self.json}"


class Node:
    """A node in a temporary directory, on free ports of this machine."""

    def __init__(self, comity, configuration="", partner="alpha"):
        self._comity = comity
        self._work = tempfile.TemporaryDirectory(prefix="comity-login-")
        self.dir = Path(self._work.name) / "node"
        self._process = None
        self._configuration = configuration
        self.port = free_port()
        self.command(
            "init", partner, "--listen", f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
            "--http", f"127.0.0.1:{self.port}",
        )
        self.configure(configuration)

    def configure(self, text):
        """Puts tables at the end of the configuration; the next start takes them."""
        path = self.dir / "comity.toml"
        written = path.read_text().split("# of the story\n")[0]
        path.write_text(f"{written}# of the story\n{text}")

    def command(self, *arguments, text=None):
        done = subprocess.run(
            [self._comity, *arguments, "--dir", self.dir],
            input=text, capture_output=True, text=True, timeout=ANSWER_LIMIT_S,
        )
        if done.returncode != 0:
            raise AssertionError(f"comity {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_user(self, name, password, *roles):
        self.command("user", "add", name, text=f"{password}\n")
        if roles:
            self.command("user", "roles", name, *roles)

    def start(self):
        self._log = (self.dir.parent / "serve.log").open("ab")
        self._process = subprocess.Popen(
            [self._comity, "serve", "--dir", self.dir], stdout=self._log, stderr=self._log
        )
        until("the node serves", lambda: self._process.poll() is not None or self._is_up())
        if self._process.poll() is not None:
            raise AssertionError(f"the node did not start:\n{self.log()}")

    def _is_up(self):
        try:
            return self.ask("GET", "/api/v4/system/ping").status == 200
        except OSError:
            return False

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(ANSWER_LIMIT_S)
            self._process = None
            self._log.close()

    def log(self):
        log = self.dir.parent / "serve.log"
        return log.read_text(errors="replace") if log.exists() else "the node was not started"

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop()
        self._work.cleanup()

    def ask(self, method, path, body=None, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers, method=method
        )
        try:
            # Not through whatever proxy this machine has.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=ANSWER_LIMIT_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, refused.read())

    def log_in(self, name, password, **more):
        body = {"login_id": name, "password": password, **more}
        return self.ask("POST", "/api/v4/users/login", body)

    def session(self, name, password, **more):
        """The token of a log-in that has to succeed."""
        answer = self.log_in(name, password, **more)
        expect(answer.status == 200 and answer.token, f"{name} logs in: {answer}")
        return answer.token

    def is_live(self, token):
        return self.ask("GET", "/api/v4/users/me", token=token).status == 200

    def audited(self, token, action):
        """The texts of all records of that action, for somebody who may read them."""
        records = self.ask("GET", "/api/comity/v1/audit?limit=1000", token=token).json
        return [record["text"] for record in records if record["action"] == action]


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, limit_s=WAIT_S):
    """Waits until condition() is true and returns what it gave."""
    deadline = time.monotonic() + limit_s
    while True:
        given = condition()
        if given:
            return given
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit_s} s")
        time.sleep(LOOK_EVERY_S)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def play(title, steps, log):
    """Runs functions in order, one printed line each, up to the first that fails; the exit code."""
    for step in steps:
        name = step.__doc__.strip().rstrip(".")
        try:
            step()
        except Exception:
            traceback.print_exc()
            print(f"FAILED {title}: {name}", flush=True)
            print(log(), file=sys.stderr)
            return 1
        print(f"ok     {title}: {name}", flush=True)
    print(f"{title}: {len(steps)} of {len(steps)} steps passed", flush=True)
    return 0
