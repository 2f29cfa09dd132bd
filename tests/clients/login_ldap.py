#!/usr/bin/env python3
"""Log-in at the organisation's directory: a node and OpenLDAP's slapd, through what may go wrong.

Usage: login_ldap.py COMITY
"""

import sys
import time
from types import SimpleNamespace

import environments
from login_node import Node, expect, play, until
from slapd import ADMIN, SERVICE, SERVICE_PASSWORD, NotThere, Slapd

PASSWORD = "correct horse"
# Who is disabled in the directory is out within this, in seconds.
OUT_WITHIN_S = 60
USERS = ("alice", "bob", "carol")


def entries():
    people = "".join(
        f"""
dn: uid={name},ou=people,dc=alpha
changetype: add
objectClass: inetOrgPerson
uid: {name}
cn: {name}
givenName: {name.title()}
sn: Alpha
mail: {name}@alpha.example
userPassword: {PASSWORD} of {name}
"""
        for name in USERS
    )
    return f"""
dn: dc=alpha
changetype: add
objectClass: dcObject
objectClass: organization
o: Alpha
dc: alpha

dn: {SERVICE}
changetype: add
objectClass: simpleSecurityObject
objectClass: organizationalRole
cn: comity
userPassword: {SERVICE_PASSWORD}

dn: ou=people,dc=alpha
changetype: add
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=alpha
changetype: add
objectClass: organizationalUnit
ou: groups
{people}
dn: cn=staff,ou=groups,dc=alpha
changetype: add
objectClass: groupOfNames
cn: staff
member: {ADMIN}
member: uid=alice,ou=people,dc=alpha
member: uid=bob,ou=people,dc=alpha

dn: cn=auditors,ou=groups,dc=alpha
changetype: add
objectClass: groupOfNames
cn: auditors
member: {ADMIN}
member: uid=alice,ou=people,dc=alpha
"""


def membership(change, group, user):
    return f"""
dn: cn={group},ou=groups,dc=alpha
changetype: modify
{change}: member
member: uid={user},ou=people,dc=alpha
"""


def configuration(port, by_search=False):
    """With groups by `memberOf`, or by looking for them."""
    group = "{}" if by_search else "cn={},ou=groups,dc=alpha"
    staff, auditors = group.format("staff"), group.format("auditors")
    search = 'group_base = "ou=groups,dc=alpha"' if by_search else ""
    return f"""
[login.ldap]
url = "ldap://127.0.0.1:{port}"
bind_dn = "{SERVICE}"
password_file = "ldap.password"
base = "ou=people,dc=alpha"
active_filter = "(!(employeeType=disabled))"
{search}

[login.ldap.rules]
allow = ["{staff}"]
roles = {{ "{auditors}" = ["auditor", "member"] }}
channels = {{ "{staff}" = ["staff-room"] }}
"""


def story(comity, slapd):
    node = Node(comity)
    held = SimpleNamespace()

    def log_in(name, **more):
        return node.session(name, f"{PASSWORD} of {name}", **more)

    def is_refused(name, password):
        answer = node.log_in(name, password)
        expect(answer.status == 401 and answer.token is None, f"{name!r}: {answer}")

    def roles(token):
        me = node.ask("GET", "/api/v4/users/me", token=token).json
        return node.ask("GET", f"/api/comity/v1/users/{me['id']}", token=token).json["roles"]

    def channels(token):
        listed = node.ask("GET", "/api/v4/users/me/channels", token=token).json
        return {channel["name"] for channel in listed}

    def begins():
        """A directory and a node that asks it."""
        slapd.start()
        slapd.change(entries())
        secret = node.dir / "ldap.password"
        secret.write_text(SERVICE_PASSWORD + "\n")
        secret.chmod(0o600)
        node.configure(configuration(slapd.port))
        node.start()
        node.add_user("local", PASSWORD, "security_officer")
        node.command("channel", "create", "staff-room")
        held.officer = node.session("local", PASSWORD)

    def lets_in():
        """The right password lets in, and the groups say what a user may do and where."""
        held.alice, held.bob = log_in("alice"), log_in("bob")
        me = node.ask("GET", "/api/v4/users/me", token=held.alice).json
        expect((me["first_name"], me["email"]) == ("Alice", "alice@alpha.example"), me)
        expect(set(roles(held.alice)) == {"auditor", "member"}, roles(held.alice))
        expect(roles(held.bob) == ["member"], roles(held.bob))
        expect("staff-room" in channels(held.bob), channels(held.bob))

    def refuses():
        """A wrong password, an empty one, and a name that means more than one are refused."""
        is_refused("alice", "no")
        is_refused("alice", "")
        is_refused("alice", f"{PASSWORD} of bob")
        for name in ("*", "a*", "*)(uid=*", "alice)(uid=*", "*))(|(uid=*", "alice\0", "\\2a", "nobody"):
            is_refused(name, f"{PASSWORD} of alice")
        texts = node.audited(held.officer, "login_refused")
        expect(len(texts) >= 11, texts)

    def admits():
        """Who is in no group that may log in has no account, whatever the password."""
        answer = node.log_in("carol", f"{PASSWORD} of carol")
        expect(answer.error == "comity.login.not_admitted.app_error", answer)

    def guesses():
        """Whoever guesses has to wait, and the directory is not asked."""
        statuses = [node.log_in("carol", "no").status for _ in range(12)]
        expect(statuses[0] == 401 and statuses[-1] == 429, statuses)

    def follows():
        """Roles follow the groups while somebody is logged in."""
        slapd.change(membership("add", "auditors", "bob"))
        until("bob is an auditor", lambda: "auditor" in roles(held.bob), OUT_WITHIN_S)

    def disables():
        """Who is disabled there is out within a minute, with all programs; others stay."""
        made = node.ask("POST", "/api/v4/users/me/tokens", {"description": "a program"}, held.bob)
        expect(made.status == 200, made)
        program = made.json["token"]
        change = "changetype: modify\nadd: employeeType\nemployeeType: disabled\n"
        slapd.change(f"dn: uid=bob,ou=people,dc=alpha\n{change}")
        began = time.monotonic()
        gone = lambda: not node.is_live(held.bob) and not node.is_live(program)
        until("bob is out", gone, OUT_WITHIN_S)
        print(f"       after {time.monotonic() - began:.0f} s", flush=True)
        is_refused("bob", f"{PASSWORD} of bob")
        expect(node.is_live(held.alice), "alice stays")
        texts = node.audited(held.officer, "sessions_ended")
        expect(any("by ldap" in text for text in texts), texts)

    def looks_for_groups():
        """Groups are found by a search, too; who leaves the last that may log in is out."""
        node.stop()
        node.configure(configuration(slapd.port, by_search=True))
        node.start()
        held.alice = log_in("alice")
        expect(set(roles(held.alice)) == {"auditor", "member"}, roles(held.alice))
        slapd.change(membership("delete", "staff", "alice"))
        until("alice is out", lambda: not node.is_live(held.alice), OUT_WITHIN_S)
        slapd.change(membership("add", "staff", "alice"))
        held.alice = log_in("alice")

    def goes_on():
        """Without the directory local accounts log in, its own do not, and nobody is thrown out."""
        slapd.stop()
        node.session("local", PASSWORD)
        answer = node.log_in("alice", f"{PASSWORD} of alice")
        expect(answer.error == "comity.login.directory.app_error", answer)
        failed = "cannot be looked up"
        until("the node has tried to look her up", lambda: failed in node.log(), OUT_WITHIN_S)
        expect(node.is_live(held.alice), "alice stays for now")
        slapd.start()
        log_in("alice")

    steps = [
        begins, lets_in, refuses, admits, guesses, follows, disables, looks_for_groups, goes_on,
    ]
    with node:
        return play("ldap", steps, node.log)


if __name__ == "__main__":
    try:
        with Slapd(environments.default_cache()) as directory:
            sys.exit(story(sys.argv[1], directory))
    except NotThere as why:
        print(f"NOT TESTED: log-in by LDAP: {why}", file=sys.stderr, flush=True)
        sys.exit(1)
