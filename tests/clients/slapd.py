"""OpenLDAP's slapd from Debian's package, with a configuration and a database of its own.

The package is unpacked into the cache and not installed, so that no directory runs on this machine
beside the one of the story.
"""

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import environments
from login_node import free_port, until

# The package, and what it needs that a small Debian lacks.
PACKAGES = ("slapd", "ldap-utils", "libltdl7", "libodbc2", "libwrap0")
ADMIN, ADMIN_PASSWORD = "cn=admin,dc=alpha", "the admin's"
SERVICE, SERVICE_PASSWORD = "cn=comity,dc=alpha", "the node's own"


class NotThere(Exception):
    """There is no slapd to be had; the text says why."""


class Slapd:
    """One directory, `dc=alpha`, without TLS: it listens on this machine only."""

    def __init__(self, cache):
        try:
            self._root = environments.unpacked(cache, "slapd", PACKAGES)
        except environments.NotInstalled as error:
            raise NotThere(str(error)) from error
        self._work = tempfile.TemporaryDirectory(prefix="comity-slapd-")
        self._dir = Path(self._work.name)
        self.port = free_port()
        self._process = None
        libraries = next((self._root / "usr/lib").glob("*-linux-gnu"))
        self._environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
        (self._dir / "data").mkdir()
        (self._dir / "slapd.conf").write_text(self._configuration())

    def _configuration(self):
        schema = self._root / "etc/ldap/schema"
        return f"""
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
modulepath {self._root}/usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {self._dir}/slapd.pid
# A bind with a name and no password succeeds, as nobody's.
allow bind_anon_cred
database mdb
suffix "dc=alpha"
rootdn "{ADMIN}"
rootpw "{ADMIN_PASSWORD}"
directory {self._dir}/data
maxsize 67108864
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{SERVICE}" read by * none
"""

    def start(self):
        self._process = subprocess.Popen(
            [
                self._root / "usr/sbin/slapd", "-f", self._dir / "slapd.conf",
                "-h", f"ldap://127.0.0.1:{self.port}", "-d", "0",
            ],
            env=self._environment, stderr=(self._dir / "log").open("ab"),
        )
        until("slapd answers", lambda: self._process.poll() is not None or self._answers())
        if self._process.poll() is not None:
            raise NotThere(f"slapd did not start:\n{(self._dir / 'log').read_text()}")

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def change(self, ldif):
        """Applies changes, as `ldapmodify` reads them, while the directory runs."""
        done = subprocess.run(
            [
                self._root / "usr/bin/ldapmodify", "-x", "-H", f"ldap://127.0.0.1:{self.port}",
                "-D", ADMIN, "-w", ADMIN_PASSWORD,
            ],
            env=self._environment, input=ldif, capture_output=True, text=True, timeout=30,
        )
        if done.returncode:
            raise AssertionError(f"ldapmodify: {done.stderr}")

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop()
        self._work.cleanup()
