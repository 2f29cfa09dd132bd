#!/usr/bin/env python3
"""Plays hostile and broken clients on two nodes that it starts, over REST and WebSocket, for so many
seconds; README.md tells what must hold. Ends with 1 if something did not."""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

import environments
from fuzz_nodes import CHANNEL, Node, paired, until
from fuzz_requests import Maker
from fuzz_wire import BINARY, CLOSE, PING, TEXT, Silence, Socket, body_of, exchange, framed, status_of

HERE = Path(__file__).resolve().parent
# Requests under way at a time for each user who means harm.
WORKERS = 3
# Refusals that are no faults: what this node does not do, says so.
UNDONE = 501
# How much larger a node may be after the fuzzing than after warming up, when all is quiet: what was
# posted is kept and indexed (some 3 KB a post), and the allocator gives back what it likes.
GROWTH_MIB = 200
# Caches and the allocator's arenas are full after some 20 s: half of a run of a minute.
WARM_UP = 0.5
QUIET_S = 5
# What may stand unread in the pool of ids of one kind.
POOL = 200
SECRET = re.compile(rb"sesame[a-z]{20}")
EVENTS = re.compile(rb'"event":"(\w+)"')
# The users at each node: two who have secrets, and two who try everything.
HOLDERS = {"alpha": ("ann", "abe"), "bravo": ("ben", "bea")}
HOSTILE = {"alpha": ("adam", "alf"), "bravo": ("bob", "bill")}


def main():
    options = parsed()
    # The YAML reader is in the environment of the shapes' checks: this program goes on inside it.
    try:
        interpreter = environments.python(options.cache.resolve(), "schemas")
    except environments.NotInstalled as error:
        print(error, file=sys.stderr)
        return 2
    if Path(sys.prefix) != interpreter.parent.parent:
        os.execv(interpreter, [str(interpreter), str(Path(__file__).resolve()), *sys.argv[1:]])
    print(f"seed {options.seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="comity-fuzz-api-"))
    game = Game(options, place)
    try:
        game.set_up()
        asyncio.run(game.play())
        return game.verdict()
    finally:
        for node in game.nodes.values():
            node.stop()
        if game.faults and not options.plant:
            print(f"the nodes' logs are in {place}")
            for node in game.nodes.values():
                shutil.rmtree(node.place, ignore_errors=True)
        else:
            shutil.rmtree(place, ignore_errors=True)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comity", type=Path, help="the program")
    parser.add_argument("--seconds", type=float, default=60, help="[60]")
    parser.add_argument("--seed", type=int, help="the same requests again [another each time]")
    parser.add_argument("--plant", action="store_true",
                        help="count a text as secret that everybody may read: succeeds if that is found")
    parser.add_argument("--cache", type=Path, default=environments.default_cache())
    options = parser.parse_args()
    options.comity = options.comity.resolve()
    if options.seed is None:
        given = os.environ.get("COMITY_SEED", "")
        options.seed = int(given) if given.isdigit() else secrets.randbits(32)
        # The same seed for whatever this program becomes.
        sys.argv += ["--seed", str(options.seed)]
    return options


class Person:
    def __init__(self, node: Node, name: str):
        self.node = node
        self.name = name
        self.token, self.id = node.log_in(name)

    def ask(self, method, path, body=None, content="application/json"):
        return self.node.ask(method, path, body, self.token, content)

    def post(self, channel: str, message: str, **more) -> str:
        return self.ask("POST", "/posts", {"channel_id": channel, "message": message, **more})["id"]


class Game:
    """The nodes, who plays, what is secret, and what was found."""

    def __init__(self, options, place):
        self.options = options
        self.place = place
        self.nodes: dict[str, Node] = {}
        self.people: dict[str, Person] = {}
        # Each secret and who may know it; tokens apart, for they have no common form.
        self.secrets: dict[bytes, set[str]] = {}
        self.tokens: dict[bytes, str] = {}
        self.pools = {name: collections.defaultdict(list) for name in HOLDERS}
        self.answers: collections.Counter = collections.Counter()
        self.events: collections.Counter = collections.Counter()
        self.faults: dict[str, str] = {}
        # Posts of those who mean harm, by their ids, with their channels.
        self.own: dict[str, dict[str, str]] = collections.defaultdict(dict)
        self.said: dict[str, str] = {}
        self.heard: set[str] = set()
        self.away = 0
        self.frames = 0
        self.described = None
        self.words = random.Random(options.seed)

    def fault(self, kind: str, what: str):
        """The first of each kind is told in full, at once."""
        if kind not in self.faults:
            self.faults[kind] = what
            print(f"FAULT {kind}: {what}", flush=True)

    def secret(self, *knowing: str) -> str:
        text = "sesame" + "".join(self.words.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(20))
        self.secrets[text.encode()] = set(knowing)
        return text

    def set_up(self):
        for name in HOLDERS:
            node = self.nodes[name] = Node(self.options.comity, self.place, name)
            for user in (*HOLDERS[name], *HOSTILE[name]):
                node.add_user(user, f"{self.secret(user)}@example.org")
                self.people[user] = Person(node, user)
        paired(*self.nodes.values(), self.place)
        for name, person in self.people.items():
            self.tokens[person.token.encode()] = name
        self.rooms = {name: node.channel(CHANNEL, self.people[HOLDERS[name][0]].token)
                      for name, node in self.nodes.items()}
        ann, ben = self.people["ann"], self.people["ben"]
        first = ann.post(self.rooms["alpha"], "@ben: everybody may read this")
        ben.post(self.rooms["bravo"], "@ann: this as well")
        until(lambda: ben.node.request("GET", f"/posts/{first}", None, ben.token)[0] == 200, "a post crosses")
        until(lambda: ann.node.request("GET", "/users/username/ben:bravo", None, ann.token)[0] == 200,
              "ben is known at alpha")
        self.directs = self.planted()
        self.fill_pools()

    def planted(self) -> list[tuple[Person, str, tuple[str, ...]]]:
        """Secrets in all places where somebody has something alone. Gives the direct channels, in
        which more of them is said while others try to hear it."""
        ann, abe, ben, bea = (self.people[name] for name in ("ann", "abe", "ben", "bea"))
        remote = ann.ask("GET", "/users/username/ben:bravo")["id"]
        directs = [(one, one.ask("POST", "/channels/direct", [one.id, other])["id"], knowing)
                   for one, other, knowing in ((ann, abe.id, ("ann", "abe")), (ben, bea.id, ("ben", "bea")),
                                               (ann, remote, ("ann", "ben")))]
        for person in self.people.values():
            user, token = person.name, person.token
            person.ask("PUT", "/users/me/preferences", [
                {"user_id": person.id, "category": "drafts", "name": "a", "value": self.secret(user)},
                {"user_id": person.id, "category": self.secret(user), "name": self.secret(user), "value": "1"}])
            person.ask("PUT", "/users/me/patch", {"notify_props": {"mention_keys": self.secret(user)}})
            made = person.ask("POST", "/users/me/tokens", {"description": self.secret(user)})
            self.tokens[made["token"].encode()] = user
            status, headers, _ = person.node.request(
                "POST", "/users/login", {"login_id": user, "password": "Fuzzing-password-1"}, token)
            self.tokens[headers["Token"].encode()] = user
        for person, channel, knowing in directs:
            self.pools[person.node.name]["channel_id"].append(channel)
            pool = self.pools[person.node.name]
            root = person.post(channel, f"quietly: {self.secret(*knowing)}")
            pool["post_id"] += [root, person.post(channel, self.secret(*knowing), root_id=root)]
            file = self.uploaded(person, channel, self.secret(*knowing), self.secret(*knowing))
            pool["post_id"].append(person.post(channel, "a file", file_ids=[file]))
            pool["file_id"] += [file, self.uploaded(person, channel, self.secret(person.name), "unsent")]
        for node, (user, _) in HOLDERS.items():
            person = self.people[user]
            # What was withdrawn is nobody's any more; an own draft of a hook is its maker's.
            gone = person.post(self.rooms[node], f"a slip: {self.secret()}")
            person.ask("DELETE", f"/posts/{gone}")
            hook = person.ask("POST", "/hooks/incoming",
                              {"channel_id": self.rooms[node], "display_name": self.secret(user)})
            self.tokens[hook["id"].encode()] = user
            # For this partner alone, in a channel that both share.
            own = (*HOLDERS[node], *HOSTILE[node])
            kept = person.post(self.rooms[node], self.secret(*own), props={"comity_to": [node]})
            for pool in self.pools.values():
                pool["post_id"] += [gone, kept]
        if self.options.plant:
            ann.post(self.rooms["alpha"], f"not secret at all: {self.secret()}")
        return directs

    def uploaded(self, person, channel, text: str, name: str) -> str:
        body = (f'--part\r\nContent-Disposition: form-data; name="channel_id"\r\n\r\n{channel}\r\n--part\r\n'
                f'Content-Disposition: form-data; name="files"; filename="{name}.txt"\r\n'
                f"Content-Type: text/plain\r\n\r\n{text}\r\n--part--\r\n").encode()
        kind = "multipart/form-data; boundary=part"
        return person.ask("POST", "/files", body, kind)["file_infos"][0]["id"]

    def fill_pools(self):
        """Real ids, of all users at both nodes: so requests get far, and to where they should not."""
        everybody = list(self.people.values())
        for node, pool in self.pools.items():
            own = [person for person in everybody if person.node.name == node]
            pool["user_id"] += ["me", "me", *(person.id for person in everybody)]
            pool["channel_id"] += [self.rooms[node]] * 4
            pool["channel_id"] += [c["id"] for person in own for c in person.ask("GET", "/users/me/channels")]
            pool["team_id"] += [t["id"] for t in own[0].ask("GET", "/users/me/teams")]
            pool["team"] += [t["name"] for t in own[0].ask("GET", "/users/me/teams")]
            pool["name"] += [CHANNEL, "town-square", "a"]
            pool["category"] += ["drafts", "flagged_post"]
            # Nobody else is locked out by wrong passwords, and no mail address is one.
            pool["username"] += ["ann", "ben:bravo", "nobody"]
            pool["login_id"] += ["nobody", "no one"]
            pool["email"] += ["nobody@example.org"]
            pool["emoji_name"] += ["thumbsup", "+1"]
            pool["session_id"] += [s["id"] for person in own
                                   for s in person.ask("GET", f"/users/{person.id}/sessions")]
            pool["hook_id"] += [h["id"] for h in self.people["adam" if node == "alpha" else "bob"].ask(
                "GET", "/hooks/incoming")]
            pool["connection_id"] += ["", "y" * 26]

    async def play(self):
        seconds, tasks = self.options.seconds, []
        self.ending, self.hearing = time.monotonic() + seconds, asyncio.Event()
        for node, users in HOSTILE.items():
            for user in users:
                tasks += [self.requests(self.people[user], number) for number in range(WORKERS)]
                tasks.append(self.sockets(self.people[user]))
            tasks += [self.listening(self.people[user]) for user in (*users, *HOLDERS[node])]
        tasks += [self.confiding(), self.witnessing(self.people["abe"]), self.watching(seconds)]
        await asyncio.gather(*tasks)
        await asyncio.sleep(QUIET_S)
        self.at_end = {name: node.memory_mib() for name, node in self.nodes.items()}

    def over(self) -> bool:
        return time.monotonic() > self.ending or not all(
            node.process.poll() is None for node in self.nodes.values())

    def judge(self, person: Person | None, octets: bytes, where: str):
        """Whether somebody was told what is another's."""
        name = person.name if person else "nobody"
        for found in SECRET.findall(octets):
            knowing = self.secrets.get(found)
            if knowing is not None and name not in knowing:
                self.fault(f"a secret of {sorted(knowing)} is told", f"{found.decode()} to {name}: {where}")
        for token, owner in self.tokens.items():
            if owner != name and token in octets:
                self.fault(f"a token of {owner} is told", f"to {name}: {where}")

    async def requests(self, person: Person, number: int):
        """One user's requests, one after the other, the same for the same seed."""
        own = random.Random(f"{self.options.seed} {person.name} {number}")
        pool = self.pools[person.node.name]
        maker = Maker(own, self.description(), pool)
        token, refused, count = person.token, 0, 0
        while not self.over():
            name, pieces, is_whole = maker.request(token)
            count += 1
            sent = f"{person.name}, worker {number}, request {count}, {name}: {b''.join(pieces)[:1500]!r}"
            is_own = f"Bearer {token}".encode() in pieces[0] or f"MMAUTHTOKEN={token}".encode() in pieces[0]
            try:
                answer = await exchange(person.node.port, pieces, is_whole)
            except Silence:
                self.fault("no answer", sent)
                continue
            status = status_of(answer)
            self.answers[status] += 1
            if status is not None and status >= 500 and status != UNDONE:
                self.fault(f"{status} to {name}", f"{answer[-300:]!r} to {sent}")
            # Without its own token it is nobody, whatever else it says.
            self.judge(person if is_own else None, answer, sent)
            if status in (200, 201):
                self.learn(person, name, pieces[0], answer)
            refused = refused + 1 if status == 401 and is_own else 0
            if refused > 5:
                token, refused = await self.back(person), 0

    def description(self):
        """The published shapes, read once: that takes a second."""
        if self.described is None:
            import openapi  # Its YAML reader is in this environment alone.
            self.described = openapi.load(HERE / "mattermost-v4.yaml")
        return self.described

    async def back(self, person: Person) -> str:
        """Its session is over, by one of its own requests."""
        while True:
            status, headers, _ = await asyncio.to_thread(
                person.node.request, "POST", "/users/login",
                {"login_id": person.name, "password": "Fuzzing-password-1"})
            if status == 200:
                break
            # Random passwords that were tried for it count as guesses: it has to wait as long as told.
            if status != 429:
                self.fault("no log-in", f"{person.name}: {status}")
            if self.over():
                return person.token
            await asyncio.sleep(float(headers.get("Retry-After", 1)))
        person.token = headers["Token"]
        self.tokens[person.token.encode()] = person.name
        return person.token

    def learn(self, person: Person, name: str, request: bytes, answer: bytes):
        """New ids go to the pool; own posts have to be there in the end unless they were withdrawn."""
        value, pool = body_of(answer), self.pools[person.node.name]
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            kind = {"POST /api/v4/posts": "post_id", "POST /api/v4/channels": "channel_id",
                    "POST /api/v4/channels/direct": "channel_id", "POST /api/v4/hooks/incoming": "hook_id"}.get(name)
            if kind and value["id"] not in pool[kind]:
                pool[kind].append(value["id"])
                del pool[kind][:-POOL]
            if name == "POST /api/v4/posts" and request.startswith(b"POST"):
                self.own[person.name][value["id"]] = value["channel_id"]
        if request.startswith(b"DELETE"):
            for post in re.findall(rb"[a-z0-9]{26}", request.split(b"\r\n")[0]):
                self.own[person.name].pop(post.decode(), None)

    async def sockets(self, person: Person):
        """Opens sockets in all ways, says what no client should, reads for a while, and is gone."""
        own = random.Random(f"{self.options.seed} {person.name} sockets")
        maker = Maker(own, self.description(), self.pools[person.node.name])
        while not self.over():
            # It may have left the channel, in which most of what it tries has to be tried.
            await asyncio.to_thread(
                person.node.request, "POST", f"/channels/{self.rooms[person.node.name]}/members",
                {"user_id": person.id}, person.token)
            connection = own.choice(self.pools[person.node.name]["connection_id"])
            sequence = own.choice([0, 1, 2, 50, -1, 2**63, "x"])
            path = f"/api/v4/websocket?connection_id={connection}&sequence_number={sequence}"
            by_challenge = own.random() < 0.2
            try:
                socket, said = await Socket.open(person.node.port, path, None if by_challenge else person.token)
                if socket is None:
                    self.answers[status_of(said)] += 1
                    if (status_of(said) or 0) >= 500:
                        self.fault("5xx to an upgrade", f"{said!r} to {path}")
                    if status_of(said) == 401:
                        await self.back(person)
                    continue
            except OSError:
                continue
            reading = asyncio.create_task(self.read_all(person, socket, path))
            try:
                if by_challenge:
                    asked = {"seq": 1, "action": "authentication_challenge", "data": {"token": own.choice(
                        [person.token, "x" * 26, None, 5])}}
                    await socket.send(json.dumps(asked).encode())
                for _ in range(own.choice([1, 5, 25])):
                    self.frames += 1
                    await self.odd_frame(own, maker, socket)
                await asyncio.sleep(own.random())
            except OSError:
                pass
            socket.abort()
            await asyncio.gather(reading, return_exceptions=True)

    async def odd_frame(self, own, maker, socket):
        text, how = maker.frame_text(), own.random()
        if how < 0.6:
            await socket.send(text[:60_000])
        elif how < 0.7:
            await socket.send(text[:9], final=False)
            if own.random() < 0.5:
                await socket.send(b"", kind=PING)
            await socket.send(text[9:], kind=0, final=own.random() < 0.8)
        else:
            await socket.raw(own.choice([
                framed(text, BINARY, True, True), framed(text, TEXT, True, False), framed(b"x" * 70_000, TEXT, True, True),
                framed(b"", TEXT, True, True, told=2**62), framed(b"\xff\xfe", TEXT, True, True),
                framed(b"x" * 126, PING, True, True), framed(b"\x03", CLOSE, True, True), framed(b"", 5, True, True),
                framed(b"", 0, True, True), b"\xff" * 20, framed(b"\x0b\xb8bye", CLOSE, True, True), b"GET / HTTP/1.1\r\n\r\n"]))

    async def read_all(self, person, socket, path):
        try:
            while True:
                kind, content = await socket.frame()
                for event in EVENTS.findall(content[:200]):
                    self.events[event.decode()] += 1
                self.judge(person, content, f"an event on {path}: {content[:600]!r}")
        except (OSError, asyncio.IncompleteReadError):
            pass

    async def listening(self, person: Person):
        """A client as it should be: numbers without a gap, and all that the witness says."""
        place = ""
        while not self.over():
            try:
                socket, _ = await Socket.open(person.node.port, f"/api/v4/websocket{place}", person.token)
                if socket is None:
                    if person.name in HOSTILE[person.node.name]:
                        await asyncio.sleep(0.5)
                        continue
                    self.fault("no socket", person.name)
                    return
                following = asyncio.create_task(self.follow(person, socket))
                await asyncio.wait([following], timeout=max(0.1, self.ending + 3 - time.monotonic()))
                following.cancel()
                socket.abort()
                self.away += person.name == "ben" and not self.over()
            except OSError:
                await asyncio.sleep(0.2)

    async def follow(self, person, socket):
        awaited = 0
        try:
            while True:
                kind, content = await socket.frame()
                if kind == CLOSE:
                    return
                if kind != TEXT:
                    continue
                event = json.loads(content)
                if "event" not in event:
                    continue
                self.events[event["event"]] += 1
                self.judge(person, content, f"an event: {content[:600]!r}")
                if event["seq"] != awaited:
                    self.fault("a gap in a socket's numbers", f"{event['seq']} for {awaited} at {person.name}")
                awaited = event["seq"] + 1
                if event["event"] == "hello":
                    self.pools[person.node.name]["connection_id"].append(event["data"]["connection_id"])
                    if person.name == "ben":
                        self.hearing.set()
                if event["event"] == "posted" and person.name == "ben":
                    self.heard.add(json.loads(event["data"]["post"])["id"])
        except (OSError, asyncio.IncompleteReadError):
            pass

    async def confiding(self):
        """Says new secrets in direct channels all the time, and changes and withdraws some."""
        while not self.over():
            for person, channel, knowing in self.directs:
                def act(person=person, channel=channel, knowing=knowing):
                    post = person.post(channel, self.secret(*knowing))
                    person.ask("PUT", f"/posts/{post}/patch", {"message": self.secret(*knowing)})
                    person.ask("POST", "/reactions", {"user_id": person.id, "post_id": post, "emoji_name": "eyes"})
                    person.ask("PUT", "/users/me/preferences", [
                        {"user_id": person.id, "category": "drafts", "name": "b", "value": self.secret(person.name)}])
                    return post
                post = await self.harmless(act)
                if post:
                    self.pools[person.node.name]["post_id"].append(post)
                    # The oldest go, and with them what everybody may see.
                    del self.pools[person.node.name]["post_id"][:-POOL]
            await asyncio.sleep(0.2)

    async def witnessing(self, person: Person):
        """Says something every now and then that must not be lost."""
        number = 0
        await asyncio.wait_for(self.hearing.wait(), 30)
        while not self.over():
            number += 1
            message = f"log entry {number}"
            post = await self.harmless(lambda: person.post(self.rooms["alpha"], message))
            if post:
                self.said[post] = message
            await asyncio.sleep(0.1)

    async def harmless(self, act):
        """What people do who mean no harm has to work all the time."""
        try:
            return await asyncio.to_thread(act)
        except SystemExit as refused:
            if not self.over():
                self.fault("somebody harmless is refused", str(refused)[:400])
            return None

    async def watching(self, seconds: float):
        begun, self.warm, self.peak = time.monotonic(), None, collections.Counter()
        while not self.over():
            await asyncio.sleep(0.5)
            sizes = {name: node.memory_mib() for name, node in self.nodes.items()}
            for name, size in sizes.items():
                self.peak[name] = max(self.peak[name], size)
            if self.warm is None and time.monotonic() - begun > seconds * WARM_UP:
                self.warm = sizes
            for node in self.nodes.values():
                if node.process.poll() is not None:
                    self.fault("a node ended", f"{node.name} with {node.process.returncode}: {node.log.read_text()[-800:]}")

    def verdict(self) -> int:
        for name, node in self.nodes.items():
            if node.process.poll() is not None:
                self.fault("a node ended", f"{name} with {node.process.returncode}: {node.log.read_text()[-800:]}")
            for line in node.panics()[:3]:
                self.fault("a panic", f"{name}: {line}")
            growth = self.at_end[name] - (self.warm or self.at_end)[name]
            if growth > GROWTH_MIB:
                self.fault("memory grows", f"{name} by {growth:.0f} MiB since it was warm")
        if not any(kind.startswith("a node ended") for kind in self.faults):
            self.nothing_lost()
        total = sum(self.answers.values())
        figures = {
            "seed": self.options.seed, "seconds": self.options.seconds, "requests": total,
            "answers": {str(status): count for status, count in sorted(self.answers.items(), key=lambda it: str(it[0]))},
            "frames": self.frames, "events": sum(self.events.values()),
            "kinds_of_events": len(self.events), "sent_away": self.away, "acknowledged": len(self.said) + sum(map(len, self.own.values())),
            "secrets": len(self.secrets) + len(self.tokens),
            "memory_mib": {name: {"warm": round((self.warm or {}).get(name, 0)), "peak": round(self.peak[name]),
                                  "quiet": round(self.at_end[name])} for name in self.nodes},
            "faults": len(self.faults),
        }
        print(json.dumps(figures), flush=True)
        if self.options.plant:
            found = any(kind.startswith("a secret of [] is told") for kind in self.faults)
            print("what was planted is found" if found else "FAULT: what was planted is not found")
            return 0 if found else 1
        return 1 if self.faults else 0

    def nothing_lost(self):
        """All that was acknowledged is there, at the other node as well, and was told."""
        ben, abe = self.people["ben"], self.people["abe"]
        for person in (abe, ben):
            missing = set(self.said)
            deadline = time.monotonic() + 60
            while missing and time.monotonic() < deadline:
                for at in range(0, len(self.said), 500):
                    ids = list(self.said)[at:at + 500]
                    for post in person.ask("POST", "/posts/ids", ids):
                        if post["message"] == self.said[post["id"]]:
                            missing.discard(post["id"])
            if missing:
                self.fault("acknowledged and lost", f"{len(missing)} of {len(self.said)} at {person.node.name}")
        if not self.away and (untold := set(self.said) - self.heard):
            self.fault("acknowledged and not told", f"{len(untold)} of {len(self.said)}")
        for name, posts in self.own.items():
            person = self.people[name]
            token = person.node.log_in(name, patience_s=120)[0]
            # Who has left a channel does not see there what it has written.
            for channel in set(posts.values()):
                person.node.request("POST", f"/channels/{channel}/members", {"user_id": person.id}, token)
            held = set()
            for at in range(0, len(posts), 500):
                asked = list(posts)[at:at + 500]
                held |= {post["id"] for post in person.node.ask("POST", "/posts/ids", asked, token)}
            if gone := set(posts) - held:
                self.fault("own posts are lost", f"{len(gone)} of {len(posts)} of {name}, such as {sorted(gone)[0]}")


if __name__ == "__main__":
    sys.exit(main())
