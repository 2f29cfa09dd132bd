"""Two hosts on one machine: network namespaces that one virtual cable joins.

Users reach their server over the loopback of its own namespace. So what the cable's counters see is
what the two servers say to each other, and nothing else.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

SIDES = ("A", "B")
ADDRESSES = {"A": "10.77.0.1", "B": "10.77.0.2"}
# Not .test: the resolver library of one of the servers refuses it.
DOMAINS = {"A": "a.bench", "B": "b.bench"}
CLONE_NEWNET = 0x40000000
# Without these the interface counts a burst as one packet with one header.
OFFLOADS = ("tso", "gso", "gro", "tx-udp-segmentation", "rx-udp-gro-forwarding")
START_S = 60
CERTIFICATE_DAYS = "30"


class Lab:
    """The namespaces, their names and certificates; takes root, as every new host does."""

    def __init__(self, state: pathlib.Path, tag: str = ""):
        self.state = state
        self.names = {side: f"cm{tag}{side}" for side in SIDES}
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.libc = ctypes.CDLL(None, use_errno=True)

    def up(self):
        for side in SIDES:
            name = self.names[side]
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            files = pathlib.Path("/etc/netns", name)
            files.mkdir(parents=True, exist_ok=True)
            (files / "resolv.conf").write_text(f"nameserver {ADDRESSES[side]}\n")
            lines = [f"{ADDRESSES[s]} {DOMAINS[s]} conference.{DOMAINS[s]}" for s in SIDES]
            (files / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        a, b = self.names["A"], self.names["B"]
        run("ip", "link", "add", "cableA", "netns", a, "type", "veth", "peer", "name", "cableB",
            "netns", b)
        for side in SIDES:
            name, device = self.names[side], f"cable{side}"
            run("ip", "-n", name, "address", "add", f"{ADDRESSES[side]}/30", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
            for offload in OFFLOADS:
                subprocess.run(["ip", "netns", "exec", name, "ethtool", "-K", device, offload, "off"],
                               capture_output=True, check=False)
            self._resolver(side)
        self._certificates()

    def down(self):
        """Ends whatever runs in the namespaces, which is only what was started there, and removes
        them."""
        for name in self.names.values():
            if not pathlib.Path("/run/netns", name).exists():
                continue
            for number in (signal.SIGTERM, signal.SIGKILL):
                for pid in self._inside(name):
                    signal_process(pid, number)
                deadline = time.monotonic() + 5
                while self._inside(name) and time.monotonic() < deadline:
                    time.sleep(0.1)
            run("ip", "netns", "delete", name)
            shutil.rmtree(pathlib.Path("/etc/netns", name), ignore_errors=True)

    def cut(self):
        """Drops every packet, silently and both ways, as a radio link that is gone."""
        rules = """table inet cut {
            chain arriving { type filter hook input priority -300; iifname "cableB" drop; }
            chain leaving { type filter hook output priority -300; oifname "cableB" drop; }
        }"""
        subprocess.run(["ip", "netns", "exec", self.names["B"], "nft", "-f", "-"], input=rules,
                       text=True, check=True)

    def heal(self):
        run("ip", "netns", "exec", self.names["B"], "nft", "delete", "table", "inet", "cut")

    def start(self, side: str, command: list[str], log: pathlib.Path, environment=None, cwd=None):
        """A server process on one of the hosts. Its id is the server's: the namespace's own command
        replaces itself."""
        with open(log, "ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.names[side], *command], stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd,
                env={**os.environ, **(environment or {})})

    def endpoint(self, side: str) -> socket.socket:
        """A TCP socket of that host, not connected yet: a socket stays where it was made."""
        self._enter(self.names[side])
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            self._enter(None)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def connected(self, side: str, port: int) -> socket.socket:
        made = self.endpoint(side)
        made.settimeout(10)
        made.connect(("127.0.0.1", port))
        made.setblocking(False)
        return made

    def await_port(self, side: str, port: int, process):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise SystemExit(f"the server at {side} ended with {process.returncode}; see its log")
            try:
                self.connected(side, port).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nothing listens on port {port} at {side} after {START_S} s")

    def traffic(self) -> tuple[int, int]:
        """Bytes and packets on the cable so far, both directions, Ethernet headers included."""
        self._enter(self.names["B"])
        try:
            lines = pathlib.Path("/proc/thread-self/net/dev").read_text().splitlines()
        finally:
            self._enter(None)
        [line] = [line for line in lines if line.strip().startswith("cableB:")]
        received_bytes, received_packets, *rest = map(int, line.split(":")[1].split())
        return received_bytes + rest[6], received_packets + rest[7]

    def _enter(self, name):
        target = os.open(f"/run/netns/{name}", os.O_RDONLY) if name else self.home
        try:
            if self.libc.setns(target, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"namespace {name} cannot be entered")
        finally:
            if name:
                os.close(target)

    def _inside(self, name) -> list[int]:
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]

    def _resolver(self, side):
        names = [f"--address=/{DOMAINS[s]}/{ADDRESSES[s]}" for s in SIDES]
        run("ip", "netns", "exec", self.names[side], "dnsmasq", "--no-resolv", "--no-hosts",
            "--bind-interfaces", f"--listen-address={ADDRESSES[side]}", "--user=root",
            f"--pid-file={self.state}/resolver-{side}.pid", *names)

    def _certificates(self):
        """One authority and a certificate per host, for the servers that use TLS with names."""
        place = self.state / "certificates"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        authority = ["-days", CERTIFICATE_DAYS]
        openssl("req", "-x509", *curve, *authority, "-keyout", place / "ca.key",
                "-out", place / "ca.pem", "-subj", "/CN=bench authority")
        for domain in DOMAINS.values():
            names = f"DNS:{domain},DNS:conference.{domain},DNS:*.{domain}"
            extensions = place / f"{domain}.ext"
            extensions.write_text(
                f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
            openssl("req", *curve, "-keyout", place / f"{domain}.key",
                    "-out", place / f"{domain}.csr", "-subj", f"/CN={domain}")
            openssl("x509", "-req", "-in", place / f"{domain}.csr", "-CA", place / "ca.pem",
                    "-CAkey", place / "ca.key", "-CAcreateserial", *authority,
                    "-extfile", extensions, "-out", place / f"{domain}.pem")
            chain = [place / f"{domain}.pem", place / f"{domain}.key", place / "ca.pem"]
            (place / f"{domain}.full.pem").write_text("".join(p.read_text() for p in chain))


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout}")


def openssl(*arguments):
    run("openssl", *arguments)


def signal_process(pid: int, number: int):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
