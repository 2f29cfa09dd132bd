#!/usr/bin/env python3
"""Logs people in at a SAML provider that others wrote (npm samlp), through a scripted browser.

Usage: login_saml.py COMITY
Ends with 1 if a step failed, and says NOT TESTED where the provider cannot be installed.
"""

import base64
import html
import http.client
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import environments
from scenario import equal, expect

PROVIDER = Path(__file__).resolve().parent / "providers" / "saml"
UP_S = 60
GROUPS = "http://schemas.passportjs.com/groups"
MAIL = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"


class Browser:
    """Keeps cookies per host and port, and sends Lax ones only with what browsers send them with."""

    def __init__(self):
        self.cookies = {}

    def ask(self, method, url, form=None, cross_site=False):
        split = urlsplit(url)
        jar = self.cookies.setdefault(split.netloc, {})
        headers = {}
        if jar and not (cross_site and method == "POST"):
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(split.hostname, split.port, timeout=30)
        path = split.path + (f"?{split.query}" if split.query else "")
        connection.request(method, path, urlencode(form) if form is not None else None, headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            jar[name] = value
            if "Max-Age=0" in cookie:
                del jar[name]
        location = answer.headers.get("Location")
        return answer.status, urljoin(url, location) if location else None, body

    def response(self, node, user, **query):
        """The response of the provider to a log-in that this browser begins."""
        status, to, body = self.ask("GET", f"{node}/login/saml/staff?redirect_to=/team")
        equal(status, 303, f"the way to the provider: {body}")
        status, _, page = self.ask("GET", f"{to}&{urlencode({'user': user, **query})}")
        equal(status, 200, "the provider's page")
        found = re.search(r'name="SAMLResponse"\s+value="([^"]+)"', page)
        return html.unescape(found[1])

    def bring(self, node, response):
        form = {"SAMLResponse": response}
        return self.ask("POST", f"{node}/login/saml/staff/acs", form, cross_site=True)


def story(node):
    alice = Browser()
    used = alice.response(node, "alice")
    status, to, body = alice.bring(node, used)
    equal(status, 303, f"alice's response: {body}")
    stranger = Browser()
    equal(stranger.ask("GET", to)[0], 401, "another browser's way in")
    status, to, body = alice.ask("GET", to)
    equal((status, to), (303, f"{node}/team"), f"alice's log-in: {body}")
    status, _, body = alice.ask("GET", f"{node}/api/v4/users/me")
    equal(status, 200, "alice's session")
    expect('"username":"alice"' in body, f"alice is alice: {body}")
    expect("alice@alpha.test" in body, f"alice has her address: {body}")

    refused("a response that was used", alice.bring(node, used), "used already")
    refused("bob, who is in no group that may", finished(node, Browser(), "bob"), "does not admit")

    def altered(what, change, why, **query):
        browser = Browser()
        text = base64.b64decode(browser.response(node, "alice", **query)).decode()
        changed = change(text)
        sent = base64.b64encode(changed.encode()).decode()
        refused(what, browser.bring(node, sent), why)

    altered("a group that was added", lambda it: it.replace(
        ">chat-auditors<", ">chat-admins<"), "was altered")
    altered("a name that was changed", lambda it: it.replace(">alice</saml:NameID>", ">bob</saml:NameID>"), "was altered")
    altered("no signature", lambda it: re.sub(r"<Signature .*?</Signature>", "", it), "nothing in the response is signed")
    altered("SHA-1", lambda it: it, "an algorithm that is not accepted", weak="sha1")


def finished(node, browser, user):
    status, to, body = browser.bring(node, browser.response(node, user))
    return browser.ask("GET", to) if status == 303 else (status, to, body)


def refused(what, answer, why):
    status, _, body = answer
    equal(status, 401, f"{what}: {body}")
    expect(why in body, f"{what} is refused as '{why}': {body}")
    print(f"refused: {what}", flush=True)


def free_port():
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return own.getsockname()[1]


def until_up(port, process):
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


def configure(directory, node_port, provider_port):
    path = directory / "comity.toml"
    text = path.read_text()
    text = re.sub(r"(?m)^# url = .*$", f'url = "http://127.0.0.1:{node_port}"', text)
    text += f"""
[[login.saml]]
name = "staff"
entity_id = "http://127.0.0.1:{provider_port}"
sso_url = "http://127.0.0.1:{provider_port}/sso"
certificates = ["idp.pem"]
mail = "{MAIL}"
groups = "{GROUPS}"

[login.saml.rules]
allow = ["chat-users"]
roles = {{ "chat-auditors" = ["member", "auditor"] }}
"""
    path.write_text(text)


def main():
    comity = sys.argv[1]
    try:
        modules = environments.modules(environments.default_cache(), PROVIDER)
    except environments.NotInstalled as error:
        print(f"NOT TESTED: log-in by SAML: {error}", file=sys.stderr)
        return 2
    script = modules / "saml.mjs"
    shutil.copy(PROVIDER / "saml.mjs", script)
    started = []
    with tempfile.TemporaryDirectory() as work:
        directory = Path(work) / "alpha"
        node_port, provider_port = free_port(), free_port()
        node = f"http://127.0.0.1:{node_port}"
        subprocess.run([comity, "init", "alpha", "--dir", directory, "--listen", f"127.0.0.1:{free_port()}",
                        "--http", f"127.0.0.1:{node_port}"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=idp", "-days", "2",
                        "-keyout", directory / "idp.key", "-out", directory / "idp.pem"],
                       check=True, capture_output=True)
        configure(directory, node_port, provider_port)
        try:
            acs = f"{node}/login/saml/staff/acs"
            for port, command in [
                (provider_port, ["node", script, str(provider_port), directory / "idp.key", directory / "idp.pem", acs]),
                (node_port, [comity, "serve", "--dir", directory]),
            ]:
                started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
                until_up(port, started[-1])
            story(node)
        finally:
            for process in started:
                process.terminate()
                process.wait()
    print("log-in by SAML: passed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
