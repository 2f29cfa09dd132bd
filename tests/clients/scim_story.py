"""What login_scim.py runs: a node of its own, scim2-tester, and the story of provisioned users."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

# How long each condition gets, in seconds.
PATIENCE_S = 60
LOOK_EVERY_S = 0.1
PASSWORD = "correct horse battery"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
COMITY = "urn:ietf:params:scim:schemas:extension:comity:2.0:User"

PLAIN = '[login.scim]\nenabled = true\nallow = ["*"]\n'
# Users who log in at a provider of their own; groups give roles and channels.
RULED = """[login.scim]
enabled = true
subject_source = "oidc:corp"
allow = ["*"]
default_role = "guest"
attributes = ["clearance", "nationality"]
[login.scim.roles]
staff = ["member"]
[login.scim.channels]
staff = ["harbour"]
"""
STRICT = RULED.replace('allow = ["*"]', 'allow = ["staff"]')

# What scim2-tester finds that is no success: the check, and the form of its reason. Each has to be
# found, and nothing else may be.
#
# It adds the whole extension first, with a value in each list, and then one value to each list, and
# expects that one alone. RFC 7644, section 3.5.2.1: an "add" to a multi-valued attribute adds a value
# to those that are there. So the answer has to have both, the new one last.
DEVIATIONS = [
    (
        "check_add_attribute",
        re.compile(
            rf"PATCH modify\(\) returned unexpected value for '{re.escape(COMITY)}:{name}'\.\n"
            r"Patched value: \['([^']+)'\]\nReturned value: \['[^']+', '\1'\]"
        ),
    )
    for name in ("nationality", "clearance")
]


def main():
    with tempfile.TemporaryDirectory() as directory:
        node = Node(sys.argv[1], Path(directory) / "alpha")
        with node.serving(PLAIN):
            failed = tested(node)
        story = Story(node)
        with node.serving(RULED):
            failed += played(story.ruled())
        with node.serving(STRICT):
            failed += played(story.strict())
    print(f"scim: {'passed' if not failed else f'{failed} failed'}", flush=True)
    return 1 if failed else 0


class Node:
    def __init__(self, comity, directory):
        self.comity, self.directory = comity, directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.run("init", "alpha", "--listen", "127.0.0.1:0", "--http", f"127.0.0.1:{self.port}")
        self.config = (directory / "comity.toml").read_text()

    def run(self, *arguments, told=""):
        command = [self.comity, *arguments, "--dir", str(self.directory)]
        ended = subprocess.run(command, input=told, capture_output=True, text=True)
        if ended.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    @contextmanager
    def serving(self, login):
        (self.directory / "comity.toml").write_text(self.config + "\n" + login)
        with (self.directory / "log.txt").open("a") as log:
            process = subprocess.Popen(
                [self.comity, "serve", "--dir", str(self.directory)], stdout=log, stderr=log
            )
        try:
            until("the node answers", lambda: self.answers() or process.poll() is not None)
            if process.poll() is not None:
                raise AssertionError((self.directory / "log.txt").read_text()[-2000:])
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

    def answers(self):
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def token(self, *more):
        return json.loads(self.run("user", "provisioning-token", "--json", *more))["token"]

    def client(self, token):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Client(base_url=f"{self.url}/scim/v2", headers=headers, trust_env=False)

    def logged_in(self, name):
        client = Client(base_url=f"{self.url}/api", trust_env=False)
        body = {"login_id": name, "password": PASSWORD}
        answer = client.post("/v4/users/login", json=body)
        equal(answer.status_code, 200, "the log-in")
        client.headers["Authorization"] = f"Bearer {answer.headers['token']}"
        client.cookies.clear()
        return client


def tested(node):
    """Runs scim2-tester; how many of its results are neither a success nor explained."""
    with node.client(node.token()) as client:
        patient = Patient(client)
        results = check_server(patient)
    explained, wrong = set(), 0
    for result in results:
        if result.status == Status.SUCCESS:
            continue
        why = deviation(result)
        if why:
            explained.add(why)
            continue
        wrong += 1
        print(f"scim2-tester: {result.title}: {result.status.name}: {result.reason}", flush=True)
    for missing in set(DEVIATIONS) - explained:
        wrong += 1
        print(f"scim2-tester: {missing[0]}: the deviation is gone: {missing[1]}", flush=True)
    # A server that publishes nothing would be held to nothing.
    users = [it for it in results if it.resource_type == "User"]
    groups = [it for it in results if it.resource_type == "Group"]
    if len(users) < 30 or len(groups) < 10:
        wrong += 1
    good = sum(it.status == Status.SUCCESS for it in results)
    print(f"scim2-tester: {good} of {len(results)} checks succeeded, {len(explained)} explained")
    print(f"scim2-tester: {len(users)} of users, {len(groups)} of groups", flush=True)
    print(f"scim2-tester: told to wait {patient.waited} times", flush=True)
    return wrong


def deviation(result):
    """The explained deviation that a result is; none where it is another."""
    for title, form in DEVIATIONS:
        if result.title == title and form.fullmatch(result.reason or ""):
            return title, form
    return None


class Patient(SyncSCIMClient):
    """Waits when it is told to: the checks come faster than a node takes requests."""

    waited = 0

    def request(self, method, url, **kwargs):
        while True:
            answer = super().request(method, url, **kwargs)
            if answer.status_code != 429:
                return answer
            self.waited += 1
            time.sleep(int(answer.headers["Retry-After"]))


class Story:
    def __init__(self, node):
        self.node = node

    def ruled(self):
        return [
            self.begin,
            self.nobody_else_gets_in,
            self.a_group_gives_roles_and_a_channel,
            self.an_account_of_the_provider_is_the_same_one,
            self.inactive_ends_programs_at_once,
            self.bad_filters_are_refused,
            self.a_deleted_users_name_stays_taken,
            self.tokens_are_rotated_and_expire,
            self.all_is_on_record,
        ]

    def strict(self):
        return [self.only_an_allowed_group_lets_in]

    def begin(self):
        for name, role in [("bob", "member"), ("dora", "member"), ("carol", "security_officer")]:
            self.node.run("user", "add", name, "--role", role, told=PASSWORD + "\n")
        self.scim = self.node.client(self.node.token())
        self.bob, self.dora, self.carol = map(self.node.logged_in, ("bob", "dora", "carol"))
        team = good(self.bob.get("/v4/users/me/teams"))[0]["id"]
        channel = {"team_id": team, "name": "harbour", "display_name": "Harbour", "type": "O"}
        self.harbour = good(self.bob.post("/v4/channels", json=channel), 201)["id"]

    def nobody_else_gets_in(self):
        session = self.bob.headers["Authorization"].split()[1]
        for token in [None, "x" * 26, session, ""]:
            with self.node.client(token) as client:
                answer = client.get("/Users")
                equal(answer.status_code, 401, f"with {token}")
                equal(answer.json()["status"], "401", "the shape of the refusal")
                equal(client.post("/Users", json={}).status_code, 401, "a change")
        cookie = {"MMAUTHTOKEN": self.scim.headers["Authorization"].split()[1]}
        with Client(base_url=f"{self.node.url}/scim/v2", cookies=cookie, trust_env=False) as client:
            equal(client.get("/Users").status_code, 401, "the token as a cookie")
        # Nor does the provisioning get at what users have.
        bearer = {"Authorization": self.scim.headers["Authorization"]}
        with Client(base_url=self.node.url, headers=bearer, trust_env=False) as client:
            equal(client.get("/api/v4/users/me").status_code, 401, "the token elsewhere")

    def a_group_gives_roles_and_a_channel(self):
        body = {
            "schemas": [USER, COMITY],
            "userName": "Ann@corp.example",
            "externalId": "ext-ann",
            "name": {"givenName": "Ann", "familyName": "Lee"},
            "password": "is not kept",
            COMITY: {"clearance": ["SECRET"], "nationality": ["ITA"]},
        }
        made = good(self.scim.post("/Users", json=body), 201)
        self.ann = made["id"]
        expect("password" not in made, "no password is told")
        equal(good(self.scim.post("/Users", json=body), 409)["scimType"], "uniqueness", "again")
        account = self.account(self.ann)
        equal(account["username"], "ann", "the account's name")
        equal(account["roles"], ["guest"], "before there is a group")
        said = account["attributes"]["clearance"]
        equal((said["values"], said["source"]), (["SECRET"], "scim"), "what is said of ann")
        expect(said["at_ms"] > 0, "when it was said")

        group = {"schemas": [GROUP], "displayName": "staff", "members": [{"value": self.ann}]}
        self.group = good(self.scim.post("/Groups", json=group), 201)["id"]
        equal(self.account(self.ann)["roles"], ["member"], "in the group")
        equal(self.is_in_harbour(self.ann), True, "ann is in the channel")
        gone = [{"op": "remove", "path": f'members[value eq "{self.ann}"]'}]
        self.patch(f"/Groups/{self.group}", gone)
        equal(self.account(self.ann)["roles"], ["guest"], "out of the group")
        equal(self.is_in_harbour(self.ann), False, "ann is out of the channel")
        self.patch(
            f"/Groups/{self.group}",
            [{"op": "add", "path": "members", "value": [{"value": self.ann}]}],
        )
        # A new name of the user leaves the account's as it is: its messages bear it.
        self.patch(f"/Users/{self.ann}", [{"op": "replace", "path": "userName", "value": "ann.ray"}])
        equal(self.account(self.ann)["username"], "ann", "after the renaming")

    def an_account_of_the_provider_is_the_same_one(self):
        bot = good(self.dora.post("/v4/bots", json={"username": "dorabot"}), 201)["user_id"]
        path = f"/v4/users/{bot}/tokens"
        self.program = good(self.dora.post(path, json={"description": "x"}))["token"]
        dora = good(self.dora.get("/v4/users/me"))["id"]
        self.node.run("user", "link", "dora", "oidc:corp", "ext-dora")
        body = {"schemas": [USER], "userName": "dora@corp.example"}
        equal(self.scim.post("/Users", json=body).status_code, 400, "without externalId")
        made = good(self.scim.post("/Users", json={**body, "externalId": "ext-dora"}), 201)
        equal(made["id"], dora, "the account that the log-in finds")
        self.dora_id = dora
        # Guests have no programs: the bot works because its maker is in the group again.
        member = [{"op": "add", "path": "members", "value": [{"value": dora}]}]
        self.patch(f"/Groups/{self.group}", member)
        taken = {**body, "userName": "other", "externalId": "ext-dora"}
        equal(self.scim.post("/Users", json=taken).status_code, 409, "one subject, one user")

    def inactive_ends_programs_at_once(self):
        url = self.node.url.replace("http", "ws", 1) + "/api/v4/websocket"
        bearer = {"Authorization": f"Bearer {self.program}"}
        with connect(url, additional_headers=bearer, proxy=None) as program:
            hello = json.loads(program.recv(timeout=PATIENCE_S))
            equal(hello["event"], "hello", "the program is let in")
            self.patch(
                f"/Users/{self.dora_id}", [{"op": "Replace", "path": "active", "value": "False"}]
            )
            # At once: the answer to the next request, and the end of what is open.
            with Client(base_url=self.node.url, headers=bearer, trust_env=False) as client:
                equal(client.get("/api/v4/users/me").status_code, 401, "the program's token")
            try:
                while True:
                    program.recv(timeout=PATIENCE_S)
            except ConnectionClosed:
                pass
        equal(self.account(self.dora_id)["active"], False, "the account")
        self.patch(f"/Users/{self.dora_id}", [{"op": "replace", "value": {"active": True}}])
        equal(self.account(self.dora_id)["active"], True, "the account again")
        # What this node's own administrator disabled, the provisioning does not enable.
        self.node.run("user", "disable", "dora")
        for active in (False, True):
            self.patch(f"/Users/{self.dora_id}", [{"op": "replace", "value": {"active": active}}])
        equal(self.account(self.dora_id)["active"], False, "disabled by hand")

    def bad_filters_are_refused(self):
        one = good(self.scim.get("/Users", params={"filter": 'userName eq "ANN.RAY"'}))
        equal([it["id"] for it in one["Resources"]], [self.ann], "the one that is asked for")
        for text in [
            'userName eq "a" or 1=1',
            'userName eq "a"; DROP TABLE users',
            'userName eq "a") or (userName pr',
            '{"$ne": null}',
            'password sw "a"',
            "(" * 2000,
            "(" * 9 + "userName pr" + ")" * 9,
            " and ".join(["userName pr"] * 33),
            'userName eq "' + "a" * 3000 + '"',
        ]:
            answer = self.scim.get("/Users", params={"filter": text})
            equal((answer.status_code, answer.json()["scimType"]), (400, "invalidFilter"), text[:60])
            answer = self.scim.post("/.search", json={"filter": text})
            equal(answer.status_code, 400, "by .search")
        huge = self.scim.post("/Users", content=b'{"a": "' + b"a" * (2 << 20) + b'"}')
        equal(huge.status_code, 413, "a huge body")

    def a_deleted_users_name_stays_taken(self):
        body = {"schemas": [USER], "userName": "eve", "externalId": "ext-eve"}
        eve = good(self.scim.post("/Users", json=body), 201)["id"]
        equal(self.scim.delete(f"/Users/{eve}").status_code, 204, "the deletion")
        equal(self.scim.get(f"/Users/{eve}").status_code, 404, "afterwards")
        equal(self.account(eve)["active"], False, "the account")
        other = self.scim.post("/Users", json={**body, "externalId": "ext-other"})
        equal((other.status_code, other.json()["scimType"]), (409, "uniqueness"), "its name")
        # The same person may come back.
        equal(good(self.scim.post("/Users", json=body), 201)["id"], eve, "who came back")
        equal(self.account(eve)["active"], True, "who came back")

    def tokens_are_rotated_and_expire(self):
        old, short = self.scim, self.node.client(self.node.token("--lasts", "1s"))
        equal(old.get("/Users").status_code, 401, "the token before")
        until("the token expires", lambda: short.get("/Users").status_code == 401)
        expect("expired" in short.get("/Users").json()["detail"], "why it is refused")
        self.scim = self.node.client(self.node.token())
        equal(self.scim.get("/Users").status_code, 200, "the new one")

    def all_is_on_record(self):
        records = good(self.carol.get("/comity/v1/audit", params={"limit": 1000}))
        actions = {it["action"] for it in records}
        for action in [
            "provisioning_token_made",
            "provisioning_refused",
            "provisioned_user_made",
            "provisioned_user_changed",
            "provisioned_user_deleted",
            "provisioned_group_made",
            "provisioned_group_changed",
            "roles_set",
            "user_disabled",
            "user_enabled",
        ]:
            expect(action in actions, f"{action} is not on record")

    def only_an_allowed_group_lets_in(self):
        """The node was started again with other rules, which hold for those that are there."""
        self.carol = self.node.logged_in("carol")
        equal(self.account(self.ann)["active"], True, "ann is in the group")
        self.patch(f"/Groups/{self.group}", [{"op": "remove", "path": "members"}])
        equal(self.account(self.ann)["active"], False, "out of the group")
        self.patch(
            f"/Groups/{self.group}",
            [{"op": "add", "path": "members", "value": [{"value": self.ann}]}],
        )
        equal(self.account(self.ann)["active"], True, "back in the group")
        self.patch(f"/Groups/{self.group}", [{"op": "replace", "value": {"displayName": "crew"}}])
        equal(self.account(self.ann)["active"], False, "the group has another name")

    def account(self, user):
        return good(self.carol.get(f"/comity/v1/users/{user}"))

    def is_in_harbour(self, user):
        """As bob sees it, who made the channel."""
        return self.bob.get(f"/v4/channels/{self.harbour}/members/{user}").status_code == 200

    def patch(self, path, operations):
        return good(self.scim.patch(path, json={"schemas": [PATCH], "Operations": operations}))


def played(steps):
    """Plays the steps in order; the first that fails ends them, for the others stand on it."""
    for step in steps:
        name = step.__name__.replace("_", " ")
        try:
            step()
        except Exception as error:
            print(f"scim: {name}: FAILED: {type(error).__name__}: {error}", flush=True)
            return 1
        print(f"scim: {name}: ok", flush=True)
    return 0


def good(answer, status=200):
    """The body of an answer, which has to have this status."""
    if answer.status_code != status:
        raise AssertionError(f"{answer.request.url}: {answer.status_code} {answer.text[:400]}")
    return answer.json()


def until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S} s: {what}")
        time.sleep(LOOK_EVERY_S)


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} where {wanted!r} was expected")


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


if __name__ == "__main__":
    sys.exit(main())
