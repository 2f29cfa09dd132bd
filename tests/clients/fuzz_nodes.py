"""Two nodes that share a channel, whose processes can be looked at: logs, memory, whether they live."""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

PASSWORD = "Fuzzing-password-1"
CHANNEL = "harbour"
PATIENCE_S = 60


class Node:
    """One partner's node and what is asked of it by somebody who means no harm."""

    def __init__(self, binary, place, name: str):
        self.binary = binary
        self.name = name
        self.place = place / name
        self.place.mkdir(parents=True)
        self.port, own = free_port(), f"127.0.0.1:{free_port()}"
        self.command("init", name, "--listen", own, "--address", own)
        configuration = self.place / "comity.toml"
        configuration.write_text(with_users(configuration.read_text(), self.port))
        self.log = place / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(binary), "serve", "--dir", str(self.place)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: self.request("GET", "/system/ping")[0] == 200, f"{name} answers")

    def command(self, *arguments: str) -> list[dict]:
        """What a sysadmin types."""
        done = subprocess.run([str(self.binary), "--dir", str(self.place), "--json", *arguments],
                              capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"comity {' '.join(arguments)} at {self.name}:\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]

    def request(self, method, path, body=None, token=None, content="application/json"):
        """Status, headers and parsed body; status 0 where nobody answers."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"Content-Type": content, **({"Authorization": f"Bearer {token}"} if token else {})}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v4{path}", data, headers, method=method)
        try:
            answer = urllib.request.urlopen(asked, timeout=30)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        except OSError:
            return 0, {}, None
        text = answer.read()
        try:
            return answer.status, answer.headers, json.loads(text)
        except ValueError:
            return answer.status, answer.headers, text

    def ask(self, method, path, body=None, token=None, content="application/json"):
        status, _, answer = self.request(method, path, body, token, content)
        if status // 100 != 2:
            raise SystemExit(f"{method} {path} at {self.name}: {status} {answer}")
        return answer

    def log_in(self, user: str, patience_s: float = 0) -> tuple[str, str]:
        """The token and the id; goes on for a while where too many wrong passwords came before."""
        credentials, deadline = {"login_id": user, "password": PASSWORD}, time.monotonic() + patience_s
        status, headers, me = self.request("POST", "/users/login", credentials)
        while status == 429 and time.monotonic() < deadline:
            time.sleep(2)
            status, headers, me = self.request("POST", "/users/login", credentials)
        if status != 200:
            raise SystemExit(f"{user} cannot log in at {self.name}: {status} {me}")
        return headers["Token"], me["id"]

    def add_user(self, user: str, email: str):
        secret = self.place / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        self.command("user", "add", user, "--password-file", str(secret), "--email", email)

    def channel(self, name: str, token: str) -> str:
        """The id of a channel that the user is in, once it is."""
        def found():
            listed = self.request("GET", "/users/me/channels", None, token)[2]
            return next((c["id"] for c in listed if c["name"] == name), None)
        return until(found, f"{name} is there at {self.name}")

    def memory_mib(self) -> float:
        """Resident, as the kernel counts it; 0 once it has ended."""
        try:
            status = open(f"/proc/{self.process.pid}/status").read()
        except OSError:
            return 0.0
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found.group(1)) / 1024 if found else 0.0

    def panics(self) -> list[str]:
        return [line for line in self.log.read_text(errors="replace").splitlines() if "panicked" in line]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def paired(a: Node, b: Node, place):
    """Exchanges the files, compares the words and shares a channel, as two sysadmins do."""
    invitation, reply = str(place / "invitation"), str(place / "reply")
    a.command("peer", "invite", "--out", invitation)
    [taken] = b.command("peer", "accept", invitation, "--out", reply)
    [answered] = a.command("peer", "accept", reply)
    a.command("peer", "approve", b.name, "--words", " ".join(taken["words"]))
    b.command("peer", "approve", a.name, "--words", " ".join(answered["words"]))
    for node, other in ((a, b), (b, a)):
        until(lambda: any(p["partner"] == other.name and p["connected"] for p in node.command("peer", "list")),
              f"{node.name} is connected")
    a.command("channel", "create", CHANNEL)
    a.command("channel", "share", CHANNEL, b.name)
    until(lambda: any(c["name"] == CHANNEL for c in b.command("channel", "list")), "the invitation comes")
    b.command("channel", "accept", CHANNEL)
    # What is written before a partner is known to be in is not for it.
    for node in (a, b):
        until(lambda: any(c["name"] == CHANNEL and sum(m["status"] == "active" for m in c["members"]) == 2
                          for c in node.command("channel", "list")), f"{node.name} sees both partners in it")


def until(condition, what: str):
    deadline = time.monotonic() + PATIENCE_S
    while not (given := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.1)
    return given


def free_port() -> int:
    """TCP and UDP: one that the system would give away next is free for a while."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def with_users(configuration: str, port: int) -> str:
    line = f'listen = "127.0.0.1:{port}"'
    before, table, after = configuration.partition("\n[http]\n")
    if not table:
        return f"{configuration}\n[http]\n{line}\n"
    kept = re.sub(r"(?m)\A((?:(?!\[).*\n)*?)listen *=.*\n", r"\1", after, count=1)
    return f"{before}{table}{line}\n{kept}"
