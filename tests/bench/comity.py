"""A pair of Comity nodes and their users, who speak Mattermost's API (REST v4 and WebSocket)."""

import asyncio
import collections
import itertools
import json
import pathlib
import re
import shutil
import subprocess
import time

import aiohttp

from crowd import crowd
from lab import ADDRESSES
from system import System, User, body, elapsed

USERS_PORT = 8065
NODES_PORT = 7443
PASSWORD = "Bench-password-1"
CHANNEL = "bench"
FULL_CHANNEL = "full"
PARTNERS = {"A": "alpha", "B": "bravo"}
# As many posts are under way at once; each connection carries one at a time.
CONNECTIONS = 16
PATIENCE_S = 120
RETRY_S = 0.05
# How long nothing new may come before what is missing counts as not there.
QUIET_S = 1
TOO_OFTEN = 429
PAGE = 200
# A post stands in its event as JSON in a string, so its quotes are escaped.
NUMBERED = re.compile(r'\\"message\\":\\"(\d{8}) ')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class ComityUser(User):
    """A user with a session: REST by one client, the events by a WebSocket, and posts by plain
    connections of their own, whose cost is small beside the server's."""

    def __init__(self, lab, side: str, name: str):
        super().__init__()
        self.lab = lab
        self.side = side
        self.name = name
        self.waiting: collections.deque[int] = collections.deque()
        self.more = asyncio.Event()
        self.tasks: list[asyncio.Task] = []
        self.channel = None
        self.failure = None
        self.http = None
        # Numbers that were told or fetched; what was fetched is not heard again when it is told.
        self.known: set[int] = set()
        self.only_fetched: set[int] = set()

    async def login(self):
        self._dial()
        await self._log_in()
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        await self._connect("")
        self.tasks.append(asyncio.create_task(self._listen()))
        return self

    async def session(self):
        """Logs in, and keeps no connection."""
        self._dial()
        await self._log_in()
        await self.http.close()
        return self

    async def again(self):
        """With the session from before, and no socket."""
        self._dial()
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        return self

    def _dial(self):
        connector = aiohttp.TCPConnector(socket_factory=lambda _: self.lab.endpoint(self.side))
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{USERS_PORT}", connector=connector)

    async def _log_in(self):
        credentials = {"login_id": self.name, "password": PASSWORD}
        while True:
            async with self.http.post("/api/v4/users/login", json=credentials) as answer:
                if answer.status != TOO_OFTEN:
                    self.id = (await understood(answer))["id"]
                    self.token = answer.headers["Token"]
                    return
                wait = float(answer.headers["Retry-After"])
            # A node lets some 20 log in from one address a second.
            await asyncio.sleep(wait)

    async def enter(self, name: str):
        """Becomes a member of the channel, once the node shows it, and posts there from now on."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for team in await self.get("/api/v4/users/me/teams"):
                path = f"/api/v4/teams/{team['id']}/channels/name/{name}"
                async with self.http.get(path) as answer:
                    if answer.status == 200:
                        self.channel = (await answer.json())["id"]
                        break
            else:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{self.name} never sees the channel {name}")
                await asyncio.sleep(RETRY_S)
                continue
            break
        member = {"user_id": self.id}
        async with self.http.post(f"/api/v4/channels/{self.channel}/members", json=member) as answer:
            await understood(answer)

    async def get(self, path: str):
        async with self.http.get(path) as answer:
            return await understood(answer)

    async def page(self, number: int, since_ms: int | None = None) -> list[int]:
        """The numbers of the messages on one page of the channel, newest first."""
        path = f"/api/v4/channels/{self.channel}/posts?page={number}&per_page={PAGE}"
        posts = await self.get(path)
        messages = (posts["posts"][post]["message"] for post in posts["order"])
        return [int(text[:8]) for text in messages if text[:8].isdigit()]

    def post(self, number: int):
        if self.failure:
            raise self.failure
        if len(self.tasks) == 1:
            self.tasks += [asyncio.create_task(self._carry()) for _ in range(CONNECTIONS)]
        self.waiting.append(number)
        self.more.set()

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.events.close()
        await self.http.close()

    async def _connect(self, place: str):
        """Opens a socket; whether it begins anew, which it says by a hello with number 0."""
        self.events = await self.http.ws_connect(f"/api/v4/websocket{place}", max_msg_size=0)
        if place:
            return
        hello = await asyncio.wait_for(self.events.receive_json(), PATIENCE_S)
        if hello.get("event") != "hello":
            raise SystemExit(f"the first event at {self.side} is not hello: {hello}")

    async def _listen(self):
        """A node sends a client away that is too far behind: then it comes back and fetches what it
        has missed, as every client of this API does."""
        while True:
            async for message in self.events:
                if message.type == aiohttp.WSMsgType.TEXT and (m := NUMBERED.search(message.data)):
                    self._told(int(m.group(1)))
            self.sent_away += 1
            await self._connect("")
            await self._refetch()

    def _told(self, number: int):
        self.known.add(number)
        if number in self.only_fetched:
            self.only_fetched.discard(number)
            return
        self.heard(number)

    async def _refetch(self):
        """From the newest page back, until nothing on a page is new."""
        missed: list[int] = []
        for number in itertools.count():
            found = await self.page(number)
            new = [n for n in found if n not in self.known]
            if not new:
                break
            self.known.update(new)
            self.only_fetched.update(new)
            missed += new
        for number in reversed(missed):
            self.heard(number)

    async def _carry(self):
        """Posts what waits, one after another, on a connection of its own."""
        try:
            made = self.lab.connected(self.side, USERS_PORT)
            reader, writer = await asyncio.open_connection(sock=made)
            head = (f"POST /api/v4/posts HTTP/1.1\r\nHost: 127.0.0.1:{USERS_PORT}\r\n"
                    f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n")
            while True:
                while not self.waiting:
                    self.more.clear()
                    await self.more.wait()
                number = self.waiting.popleft()
                text = json.dumps({"channel_id": self.channel, "message": body(number)})
                writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
                status, answer = await response(reader)
                if status != 201:
                    raise RuntimeError(f"message {number} is refused with {status}: {answer[:300]}")
                self.accepted(number)
        except (OSError, RuntimeError, asyncio.IncompleteReadError) as failure:
            self.failure = failure


class Comity(System):
    """Two nodes that the sysadmin's commands have peered, and a channel between them."""

    name = "comity"

    def __init__(self, lab, directory: pathlib.Path, binary: pathlib.Path):
        super().__init__(lab, directory)
        self.binary = binary
        self.partners = dict(PARTNERS)
        self.shared = False

    def start(self, side, fresh=False):
        if fresh:
            shutil.rmtree(self.place(side), ignore_errors=True)
            self.place(side).mkdir(parents=True)
            address = f"{ADDRESSES[side]}:{NODES_PORT}"
            self.command(side, "init", self.partners[side], "--listen", address, "--address", address)
            configuration = self.data(side) / "comity.toml"
            configuration.write_text(with_users(configuration.read_text()))
        command = [str(self.binary), "serve", "--dir", str(self.data(side))]
        process = self.lab.start(side, command, self.place(side) / "log")
        self.processes[side] = process
        self.lab.await_port(side, USERS_PORT, process)
        self.await_answer(side)

    def await_answer(self, side):
        """It listens before it serves: what connects until then waits."""
        made = self.lab.connected(side, USERS_PORT)
        with made:
            made.settimeout(PATIENCE_S)
            made.sendall(b"GET /api/v4/system/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if b" 200 " not in made.recv(100):
                raise SystemExit(f"the node at {side} does not serve users")

    async def pair(self):
        if not self.shared:
            self.add_user("A", "alice")
            self.add_user("B", "bob")
            self.peer()
            self.command("A", "channel", "create", CHANNEL)
            self.invite(CHANNEL)
            self.command("B", "channel", "accept", CHANNEL)
            self.shared = True
        users = []
        for side, name in (("A", "alice"), ("B", "bob")):
            user = await ComityUser(self.lab, side, name).login()
            await user.enter(CHANNEL)
            users.append(user)
        return tuple(users)

    async def returned(self):
        return await ComityUser(self.lab, "B", "bob").login()

    async def fetched(self, first, count, seconds):
        """Pages from the newest back until a page has nothing new, again and again until all is
        there; where nothing new has come for a while, once more to the end of the channel."""
        user = await ComityUser(self.lab, "B", "bob").login()
        await user.enter(CHANNEL)
        numbers: set[int] = set()
        news, to_the_end = time.monotonic(), False
        while len(numbers) < count:
            before = len(numbers)
            for page in itertools.count():
                found = {n for n in await user.page(page) if first <= n < first + count}
                if not found or (found <= numbers and not to_the_end):
                    break
                numbers |= found
            if len(numbers) > before:
                news = time.monotonic()
            elif to_the_end:
                break
            to_the_end = time.monotonic() - news > QUIET_S
            await asyncio.sleep(RETRY_S)
        await user.close()
        return numbers

    async def held(self, user):
        room = await user.get(f"/api/v4/channels/{user.channel}")
        return room["total_msg_count"]

    async def fill(self, first, count, members):
        """Members are users of A in the channel: a fresh node learns of them by what A tells."""
        self.command("A", "channel", "create", FULL_CHANNEL, "--history", "all")
        user = await ComityUser(self.lab, "A", "alice").login()
        await user.enter(FULL_CHANNEL)
        accepted = 0
        progress = asyncio.Event()

        def took(_):
            nonlocal accepted
            accepted += 1
            progress.set()

        user.accepted = took
        begun = time.monotonic()
        for number in range(first, first + count):
            user.post(number)
        while accepted < count:
            if user.failure:
                raise user.failure
            progress.clear()
            try:
                await asyncio.wait_for(progress.wait(), 1)
            except TimeoutError:
                if time.monotonic() - begun > PATIENCE_S + count / 10:
                    raise SystemExit(f"A took {accepted} of {count} messages") from None
        for member in range(members):
            self.add_user("A", f"member{member}")
        ids = [u["id"] for u in await self.all_users(user) if u["username"].startswith("member")]
        if len(ids) != members:
            raise SystemExit(f"A has {len(ids)} of {members} users")
        for member in ids:
            path = f"/api/v4/channels/{user.channel}/members"
            async with user.http.post(path, json={"user_id": member}) as answer:
                await understood(answer)
        await user.close()

    async def all_users(self, user) -> list[dict]:
        users, page = [], 0
        while found := await user.get(f"/api/v4/users?page={page}&per_page={PAGE}"):
            users, page = users + found, page + 1
        return users

    async def join(self, run, first, count, meter):
        """Being peered and invited comes before the clock, as the user's log-in does. The join is
        complete when the user has posted; the history, when the last page of it is full."""
        self.stop("B")
        gone, self.partners["B"] = self.partners["B"], f"bravo{run}"
        self.command("A", "peer", "revoke", gone)
        self.start("B", fresh=True)
        self.add_user("B", "carol")
        self.peer()
        self.invite(FULL_CHANNEL)
        user = await ComityUser(self.lab, "B", "carol").login()
        posted = asyncio.Event()
        user.accepted = lambda number: posted.set()
        begun = time.perf_counter()
        meter()
        self.command("B", "channel", "accept", FULL_CHANNEL)
        await user.enter(FULL_CHANNEL)
        user.post(99_999_999)
        await asyncio.wait_for(posted.wait(), PATIENCE_S)
        join_s = elapsed(begun)
        while await self.held(user) < count + 1 and time.perf_counter() - begun < PATIENCE_S:
            await asyncio.sleep(RETRY_S)
        held_s, numbers, page = elapsed(begun), set(), 0
        while len(numbers) < count and time.perf_counter() - begun < 2 * PATIENCE_S:
            found = await user.page(page)
            numbers.update(n for n in found if first <= n < first + count)
            page = page + 1 if found else 0
        history_s = elapsed(begun)
        await user.close()
        return {"join_s": join_s, "held_s": held_s, "history_s": history_s, "have": len(numbers),
                **await self.second(first, count)}

    async def second(self, first, count) -> dict:
        """Another user, fresh as well, at the node that has it all by now."""
        self.add_user("B", "dave")
        user = await ComityUser(self.lab, "B", "dave").login()
        begun = time.perf_counter()
        await user.enter(FULL_CHANNEL)
        joined_s, numbers = elapsed(begun), set()
        for page in itertools.count():
            found = await user.page(page)
            numbers.update(n for n in found if first <= n < first + count)
            if not found:
                break
        history_s = elapsed(begun)
        await user.close()
        return {"second_join_s": joined_s, "second_history_s": history_s, "second_have": len(numbers)}

    async def crowd(self, users, pace, seconds):
        """At a node of its own, started again when all are logged in: what checking passwords took of
        memory is not the sockets'."""
        self.stop("A")
        self.partners["A"] = "crowd"
        self.start("A", fresh=True)
        for number in range(users):
            self.add_user("A", f"user{number}")
        people = []
        for number in range(users):
            user = ComityUser(self.lab, "A", f"user{number}")
            people.append(await user.session())
        self.stop("A")
        self.start("A")
        author = await people[0].again()
        [room] = [c for c in await author.get("/api/v4/users/me/channels") if c["name"] == "town-square"]
        author.channel = room["id"]

        async def post(number):
            message = {"channel_id": author.channel, "message": body(number)}
            async with author.http.post("/api/v4/posts", json=message) as answer:
                await understood(answer)

        try:
            return await crowd(self.lab, "A", self.pids()["A"], USERS_PORT, [user.token for user in people],
                               post, pace, seconds)
        finally:
            await author.http.close()

    def add_user(self, side: str, name: str):
        secret = self.place(side) / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        self.command(side, "user", "add", name, "--password-file", str(secret))

    def peer(self):
        """Exchanges the files and compares the words, as two sysadmins do."""
        invitation, reply = self.directory / "invitation", self.directory / "reply"
        for file in (invitation, reply):
            file.unlink(missing_ok=True)
        a, b = self.partners["A"], self.partners["B"]
        self.command("A", "peer", "invite", "--out", str(invitation))
        words_b = self.told("B", "peer", "accept", str(invitation), "--out", str(reply))["words"]
        words_a = self.told("A", "peer", "accept", str(reply))["words"]
        self.command("A", "peer", "approve", b, "--words", " ".join(words_b))
        self.command("B", "peer", "approve", a, "--words", " ".join(words_a))
        self.await_listed("A", "peer", lambda p: p["partner"] == b and p["connected"])
        self.await_listed("B", "peer", lambda p: p["partner"] == a and p["connected"])

    def invite(self, channel: str):
        self.command("A", "channel", "share", channel, self.partners["B"])
        self.await_listed("B", "channel", lambda c: c["name"] == channel)

    def await_listed(self, side: str, kind: str, wanted):
        deadline = time.monotonic() + PATIENCE_S
        while not any(wanted(row) for row in self.rows(side, kind, "list")):
            if time.monotonic() > deadline:
                raise SystemExit(f"comity {kind} list at {side} never shows what was done")
            time.sleep(RETRY_S)

    def rows(self, side: str, *arguments: str) -> list[dict]:
        lines = self.command(side, "--json", *arguments).splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def told(self, side: str, *arguments: str) -> dict:
        [row] = self.rows(side, *arguments)
        return row

    def command(self, side: str, *arguments: str) -> str:
        """What a sysadmin types. The node's socket is a file: it is reached from any namespace."""
        command = [str(self.binary), "--dir", str(self.data(side)), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"comity {' '.join(arguments)} at {side}:\n{done.stderr}")
        return done.stdout


def with_users(configuration: str) -> str:
    """The configuration with the users' API on the loopback. One user writes as fast as a node takes
    it, which no limit for people allows."""
    line = (f'listen = "127.0.0.1:{USERS_PORT}"\n'
            'limits = { reads_per_s = 1000000, writes_per_s = 1000000 }')
    before, table, after = configuration.partition("\n[http]\n")
    if not table:
        return f"{configuration}\n[http]\n{line}\n"
    kept = re.sub(r"(?m)\A((?:(?!\[).*\n)*?)listen *=.*\n", r"\1", after, count=1)
    return f"{before}{table}{line}\n{kept}"


async def understood(answer):
    if answer.status >= 400:
        raise RuntimeError(f"{answer.method} {answer.url.path}: {answer.status} "
                           f"{(await answer.text())[:300]}")
    return await answer.json()


async def response(reader) -> tuple[int, bytes]:
    """Status and body of one answer on a connection that stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    if length is None:
        raise RuntimeError(f"an answer without its length: {head[:300]!r}")
    return int(head[9:12]), await reader.readexactly(int(length.group(1)))
