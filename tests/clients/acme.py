#!/usr/bin/env python3
"""A node gets its certificate from an authority that others wrote, renews it while a connection is
open, keeps it over a restart, and goes on with it when the authority is gone.

Usage: acme.py COMITY [--pebble DIRECTORY] [--keep]

DIRECTORY holds `pebble` and `pebble-challtestsrv`; without one Debian's package is unpacked into the
cache. README.md says more.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

import environments

DOMAIN = "chat.alpha.example"
PASSWORD = "correct horse"
# The authority's certificates last so long; a node renews with a third of it left.
LIFETIME_S = 60
PATIENCE_S = 90


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comity", type=pathlib.Path)
    parser.add_argument("--pebble", type=pathlib.Path, metavar="DIRECTORY")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    arguments = parser.parse_args()
    try:
        pebble = arguments.pebble or fetched()
    except environments.NotInstalled as error:
        print(f"NOT TESTED: certificates by ACME: {error}", file=sys.stderr)
        return 1
    place = pathlib.Path(tempfile.mkdtemp(prefix="comity-acme-"))
    story = Story(arguments.comity.resolve(), pebble.resolve(), place)
    try:
        story.play()
    except Failed as failure:
        print(f"failed: {failure}\nlogs: {place}", file=sys.stderr)
        arguments.keep = True
        return 1
    finally:
        story.end()
        if not arguments.keep:
            shutil.rmtree(place)
    print("passed")
    return 0


def fetched():
    return environments.unpacked(environments.default_cache(), "pebble", ["pebble"]) / "usr/bin"


class Failed(Exception):
    pass


class Story:
    def __init__(self, comity, pebble, place):
        self.comity, self.pebble, self.place = comity, pebble, place
        self.node = place / "alpha"
        self.processes = []
        self.ports = free_ports(6)
        self.users, self.links, self.acme, self.roots, self.dns, self.control = self.ports

    def play(self):
        self.start_authority()
        self.make_node()
        serving = self.start_node()
        first = self.await_certificate(lambda _: True)
        self.step("a certificate is there", first)
        self.check_login()
        self.step("a user logs in over it")
        line = self.connect()
        second = self.await_certificate(lambda it: it != first)
        ask(line, "GET", "/api/v4/system/ping")
        self.step("it is renewed, and the open connection goes on", second)
        self.stop_node(serving)
        serving = self.start_node()
        again = self.await_certificate(lambda _: True)
        if again != second:
            raise Failed("after a restart there is another certificate")
        self.step("after a restart it is the same")
        self.end_process(self.authority)
        self.await_warning("not replaced")
        self.connect()
        self.step("without the authority the old one stays, and the sysadmin is told")
        self.stop_node(serving)
        log = (self.place / "node.log").read_text()
        for action in ("acme_account", "acme_ordered", "certificate_loaded", "acme_failed"):
            if f'action="{action}"' not in log:
                raise Failed(f"{action} is not in the audit record")
        if log.count('action="acme_account"') != 1:
            raise Failed("one account is enough")
        self.step("all of it is on record")

    def start_authority(self):
        """Its own certificate is made here; those that it gives, and their root, it makes itself."""
        self.make_certificates()
        config = {
            "listenAddress": f"127.0.0.1:{self.acme}",
            "managementListenAddress": f"127.0.0.1:{self.roots}",
            "certificate": str(self.place / "server.pem"),
            "privateKey": str(self.place / "server.key"),
            "httpPort": 1,
            "tlsPort": self.users,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "certificateValidityPeriod": LIFETIME_S,
        }
        path = self.place / "pebble.json"
        path.write_text(json.dumps({"pebble": config}))
        self.run("names.log", [
            self.pebble / "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
            "-dns01", f"127.0.0.1:{self.dns}", "-http01", "", "-https01", "", "-tlsalpn01", "",
            "-management", f"127.0.0.1:{self.control}",
        ])
        command = [self.pebble / "pebble", "-config", path, "-dnsserver", f"127.0.0.1:{self.dns}"]
        # Nonces are refused now and then, as by default, so that this is seen to be borne.
        self.authority = self.run("pebble.log", command, PEBBLE_VA_NOSLEEP="1", PEBBLE_AUTHZREUSE="0")
        await_true("the authority answers", lambda: self.issuer() is not None)

    def make_certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.place)

        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                "-subj", "/CN=Story CA")
        openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=authority")
        (self.place / "names").write_text(
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")

    def issuer(self):
        context = ssl.create_default_context(cafile=self.place / "ca.pem")
        url = f"https://127.0.0.1:{self.roots}/roots/0"
        try:
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def make_node(self):
        self.command("init", "alpha", "--listen", f"127.0.0.1:{self.links}")
        path = self.node / "comity.toml"
        before, _, _ = path.read_text().partition("\n[http]\n")
        path.write_text(f"""{before}
[http]
listen = "127.0.0.1:{self.users}"
[http.acme]
directory = "https://127.0.0.1:{self.acme}/dir"
domains = ["{DOMAIN}"]
contact = "sysadmin@alpha.example"
root = "{self.place}/ca.pem"
""")
        self.command("user", "add", "alice", text=f"{PASSWORD}\n")

    def start_node(self):
        command = [self.comity, "--dir", self.node, "serve"]
        serving = self.run("node.log", command)
        await_true("the node serves", lambda: self.status() is not None)
        return serving

    def stop_node(self, serving):
        self.command("stop")
        serving.wait(PATIENCE_S)

    def status(self):
        command = [self.comity, "--dir", self.node, "--json", "status"]
        done = subprocess.run(command, capture_output=True, text=True)
        told = json.loads(done.stdout) if done.returncode in (0, 1) else None
        return told if told and told["mode"] == "serving" else None

    def await_warning(self, text):
        found = lambda: any(text in it for it in (self.status() or {}).get("warnings", []))
        await_true(f"the status says '{text}'", found)

    def command(self, *arguments, text=""):
        command = [self.comity, "--dir", self.node, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode > 1:
            raise Failed(f"comity {' '.join(arguments)}:\n{done.stderr}")

    def connect(self):
        """A line whose certificate the authority has signed for the domain."""
        context = ssl.create_default_context(cadata=self.root)
        line = socket.create_connection(("127.0.0.1", self.users), timeout=10)
        return context.wrap_socket(line, server_hostname=DOMAIN)

    def await_certificate(self, wanted):
        """The serial number of the certificate in use, once it is a wanted one."""
        self.root = self.issuer() or self.root
        found = []

        def look():
            try:
                with self.connect() as line:
                    serial = line.getpeercert()["serialNumber"]
            except OSError:
                return False
            found[:] = [serial]
            return wanted(serial)

        await_true("a certificate is there", look)
        return found[0]

    def check_login(self):
        body = json.dumps({"login_id": "alice", "password": PASSWORD})
        head = ask(self.connect(), "POST", "/api/v4/users/login", body)
        for expected in ("HTTP/1.1 200", "; Secure", "strict-transport-security:"):
            if expected not in head:
                raise Failed(f"the log-in lacks '{expected}':\n{head}")

    def run(self, log, command, **environment):
        with open(self.place / log, "ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command], stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, env={**os.environ, **environment})
        self.processes.append(process)
        return process

    def end_process(self, process):
        process.terminate()
        process.wait(PATIENCE_S)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                self.end_process(process)

    def step(self, text, *more):
        print("ok", text, *more, flush=True)


def ask(line, method, path, body=""):
    """The head of the answer to one request."""
    request = (f"{method} {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: {len(body)}\r\n"
               f"\r\n{body}")
    line.sendall(request.encode())
    held = b""
    while b"\r\n\r\n" not in held:
        part = line.recv(4096)
        if not part:
            raise Failed("the connection ended")
        held += part
    return held.split(b"\r\n\r\n")[0].decode()


def await_true(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"never: {what}")
        time.sleep(0.2)


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in held]
    for it in held:
        it.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())
