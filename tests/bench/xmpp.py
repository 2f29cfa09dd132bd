"""Users of an XMPP server, and what is common to the servers that speak it: one room on A with an
archive, plain TCP from users on the loopback, TLS between the servers."""

import asyncio
import base64
import datetime
import hashlib
import itertools
import re
import time
import xml.etree.ElementTree as ElementTree

from lab import DOMAINS
from system import System, User, body, elapsed

USERS_PORT = 5222
SERVERS_PORT = 5269
COMPONENT_PORT = 5347
PASSWORD = "bench"
COMPONENT_SECRET = "bench"
ROOM = "room@conference.a.bench"
FULL_ROOM = "full@conference.a.bench"
NUMBERED = re.compile(rb"<body[^>]*>(\d{8}) ")
# More than what can stand between the start of a body's tag and the end of its number.
LONGEST_HEAD = 256
PATIENCE_S = 120
PAGE = 250
# How many occupants may be on their way in at once.
JOINING = 60
STREAM = "http://etherx.jabber.org/streams"


class XmppUser(User):
    """A connection of one user. While `listening`, the stream is only searched for bodies, so that
    the client costs little; until then its stanzas are parsed and wait in a queue."""

    def __init__(self, lab, side: str, name: str, resource: str):
        super().__init__()
        self.lab = lab
        self.side = side
        self.name = name
        self.domain = DOMAINS[side]
        self.resource = resource
        self.listening = False
        self.stanzas: asyncio.Queue = asyncio.Queue()
        self.reading = None

    async def connect(self, register: bool = False):
        if register:
            await self._register()
        await self._dial()
        proof = base64.b64encode(f"\0{self.name}\0{PASSWORD}".encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>")
        outcome = await self.await_stanza(lambda s: tag(s) in ("success", "failure"))
        if tag(outcome) == "failure":
            raise SystemExit(f"{self.domain} refuses {self.name}: {shown(outcome)}")
        await self._open_stream()
        self.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                  f"<resource>{self.resource}</resource></bind></iq>")
        await self.await_stanza(lambda s: s.get("id") == "bind")
        self.send("<presence/>")
        return self

    async def enter(self, room: str, nick: str, history: str = "<history maxstanzas='0'/>"):
        """Joins a room, and waits for its subject, with which the join is complete."""
        self.send(f"<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'>{history}"
                  "</x></presence>")
        await self.await_stanza(lambda s: refused(s, room) or is_subject(s))

    async def archive(self, room: str, since=None) -> set[int]:
        """The numbers of the room's messages, page by page from the oldest."""
        numbers, after, page = set(), None, 0
        while True:
            page += 1
            self.send(archive_query(room, f"page{page}", since, after))
            while tag(stanza := await self.await_stanza(lambda s: True)) != "iq" \
                    or stanza.get("id") != f"page{page}":
                numbers.update(int(e.text[:8]) for e in stanza.iter()
                               if tag(e) == "body" and (e.text or "")[:8].isdigit())
            if stanza.get("type") == "error":
                raise RuntimeError(f"the archive refuses: {shown(stanza)}")
            last = [e.text for e in stanza.iter() if tag(e) == "last"]
            complete = any(e.get("complete") == "true" for e in stanza.iter() if tag(e) == "fin")
            if complete or not last:
                return numbers
            after = last[0]

    def say(self, room: str, number: int):
        self.send(f"<message to='{room}' type='groupchat' id='n{number}'><body>{body(number)}</body>"
                  "</message>")

    def post(self, number: int):
        self.say(ROOM, number)

    def send(self, text: str):
        self.writer.write(text.encode())

    async def await_stanza(self, wanted):
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(stanza := await self.stanzas.get()):
                pass
        return stanza

    async def close(self):
        self.reading.cancel()
        self.writer.close()

    async def _register(self):
        await self._dial()
        self.send(f"<iq type='set' id='new'><query xmlns='jabber:iq:register'><username>{self.name}"
                  f"</username><password>{PASSWORD}</password></query></iq>")
        await self.await_stanza(lambda s: s.get("id") == "new")
        await self.close()

    async def _dial(self):
        made = self.lab.connected(self.side, USERS_PORT)
        self.reader, self.writer = await asyncio.open_connection(sock=made, limit=1 << 20)
        self.parser = None
        self.reading = asyncio.create_task(self._read())
        await self._open_stream()

    async def _open_stream(self):
        self.parser, self.depth, self.root = ElementTree.XMLPullParser(("start", "end")), 0, None
        self.send(f"<?xml version='1.0'?><stream:stream to='{self.domain}' xmlns='jabber:client' "
                  f"xmlns:stream='{STREAM}' version='1.0'>")
        await self.await_stanza(lambda s: tag(s) == "features")

    async def _read(self):
        rest = b""
        try:
            while octets := await self.reader.read(1 << 18):
                if self.listening:
                    rest = self._search(rest + octets)
                else:
                    self._parse(octets)
        except ConnectionError:
            pass

    def _search(self, octets: bytes) -> bytes:
        end = 0
        for match in NUMBERED.finditer(octets):
            end = match.end()
            number = int(match.group(1))
            self.heard(number)
            self.accepted(number)
        return octets[max(end, len(octets) - LONGEST_HEAD):]

    def _parse(self, octets: bytes):
        self.parser.feed(octets)
        for event, element in self.parser.read_events():
            self.depth += 1 if event == "start" else -1
            if event == "start" and self.depth == 1:
                self.root = element
            if event == "end" and self.depth == 1:
                self.stanzas.put_nowait(element)
                self.root.clear()


class XmppSystem(System):
    """A pair of XMPP servers; a subclass knows how one of them is configured and run."""

    registered = False

    def __init__(self, lab, directory):
        super().__init__(lab, directory)
        # A name once used may still stand in the room; a short one, for it travels.
        self.fresh = itertools.count()

    async def pair(self):
        register, self.registered = not self.registered, True
        users = []
        for side, name in (("A", "alice"), ("B", "bob")):
            user = XmppUser(self.lab, side, name, f"r{next(self.fresh)}")
            await user.connect(register)
            await user.enter(ROOM, f"{name}{next(self.fresh)}")
            users.append(user)
        await asyncio.sleep(0.5)
        for user in users:
            user.listening = True
        return tuple(users)

    async def returned(self):
        user = await XmppUser(self.lab, "B", "bob", "back").connect()
        user.listening = True
        return user

    async def fetched(self, first, count, seconds):
        user = await XmppUser(self.lab, "B", "bob", f"f{next(self.fresh)}").connect()
        try:
            await user.enter(ROOM, f"bob{next(self.fresh)}")
            since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds + 5)
            numbers = await user.archive(ROOM, since.strftime("%Y-%m-%dT%H:%M:%SZ"))
        finally:
            await user.close()
        return {number for number in numbers if first <= number < first + count}

    async def fill(self, first, count, members):
        user = await XmppUser(self.lab, "A", "alice", "filling").connect()
        await user.enter(FULL_ROOM, "alice")
        user.listening = True
        heard, progress = set(), asyncio.Event()
        user.heard = lambda number: (heard.add(number), progress.set())
        said = 0
        async with asyncio.timeout(PATIENCE_S + count / 10):
            while len(heard) < count:
                while said < count and said - len(heard) < 200:
                    user.say(FULL_ROOM, first + said)
                    said += 1
                progress.clear()
                await progress.wait()
        await user.close()
        await self._occupy(members)

    async def join(self, run, first, count, meter):
        self.stop("B")
        self.start("B", fresh=True)
        self.registered = False
        result = await self._joined("carol", first, count, meter)
        second = await self._joined("dave", first, count, lambda: None)
        return {**result, **{f"second_{key}": value for key, value in second.items()}}

    async def _joined(self, name, first, count, meter) -> dict:
        user = await XmppUser(self.lab, "B", name, "fresh").connect(register=True)
        begun = time.perf_counter()
        meter()
        await user.enter(FULL_ROOM, name, history="")
        join_s = elapsed(begun)
        numbers = await user.archive(FULL_ROOM)
        history_s = elapsed(begun)
        await user.close()
        have = len({number for number in numbers if first <= number < first + count})
        return {"join_s": join_s, "history_s": history_s, "have": have}

    async def _occupy(self, members: int):
        """Puts occupants into the full room over one component's connection (XEP-0114), which stays
        open."""
        made = self.lab.connected("A", COMPONENT_PORT)
        reader, writer = await asyncio.open_connection(sock=made, limit=1 << 22)
        writer.write(f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='{STREAM}' "
                     "to='ext.a.bench'>".encode())
        greeting = await reader.readuntil(b">")
        while not (named := re.search(rb"\sid=['\"]([^'\"]+)", greeting)):
            greeting += await reader.readuntil(b">")
        proof = hashlib.sha1(named.group(1) + COMPONENT_SECRET.encode()).hexdigest()
        writer.write(f"<handshake>{proof}</handshake>".encode())
        if b"handshake" not in (answer := await reader.readuntil(b">")):
            raise SystemExit(f"A refuses the component: {answer.decode()}")
        inside, progress = 0, asyncio.Event()

        async def count():
            nonlocal inside
            rest = b""
            while octets := await reader.read(1 << 20):
                text = rest + octets
                inside += len(re.findall(rb"code=['\"]110['\"]", text))
                # Shorter than the pattern, so that none is counted twice.
                rest = text[-9:]
                progress.set()

        self.occupants = (asyncio.create_task(count()), writer)
        async with asyncio.timeout(PATIENCE_S + members):
            for member in range(members):
                who = f"u{member}"
                writer.write(f"<presence from='{who}@ext.a.bench/x' to='{FULL_ROOM}/{who}'><x xmlns="
                             "'http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
                             "</presence>".encode())
                while member - inside > JOINING:
                    progress.clear()
                    await progress.wait()
            while inside < members:
                progress.clear()
                await progress.wait()


def archive_query(room, query, since, after) -> str:
    form = ("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"
            f"urn:xmpp:mam:2</value></field><field var='start'><value>{since}</value></field></x>"
            ) if since else ""
    position = f"<after>{after}</after>" if after else ""
    return (f"<iq type='set' id='{query}' to='{room}'><query xmlns='urn:xmpp:mam:2' "
            f"queryid='{query}'>{form}<set xmlns='http://jabber.org/protocol/rsm'><max>{PAGE}</max>"
            f"{position}</set></query></iq>")


def refused(stanza, room) -> bool:
    if tag(stanza) == "presence" and stanza.get("type") == "error":
        raise RuntimeError(f"{room} lets nobody in: {shown(stanza)}")
    return False


def is_subject(stanza) -> bool:
    return tag(stanza) == "message" and any(tag(child) == "subject" for child in stanza)


def tag(element) -> str:
    return element.tag.rpartition("}")[2]


def shown(element) -> str:
    return ElementTree.tostring(element, encoding="unicode")[:300]
