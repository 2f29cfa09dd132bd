"""The story that every REST client tells: a user of one partner and a user of another work together.

A client's file gives a session class that does each thing in its client's own words:

    Session(partner, user)       FORBIDDEN, UNAUTHORIZED: the client's errors for 403 and 401
    log_in() me() log_out()      token() -> the bearer token
    teams() team_by_name(name) channels(team_id) channel_by_name(team_id, name)
    post(channel_id, message, root_id=None, file_ids=None) edit(id, message) delete(id)
    get(id) recent(channel_id) -> [post] thread(id) -> [post]
    react(id, emoji) unreact(id, emoji) reactions(id) -> [reaction]
    upload(channel_id, name, data) -> file id, download(id) -> bytes
    search(team_id, word) -> [post]  view(channel_id)  unread(channel_id) -> counts
    pin(id) unpin(id) pinned(channel_id) -> [post]
    user(id) user_by_username(name)
    listen(events)               the client's WebSocket

Posts are looked up by their text at the other side: nothing here relies on equal ids.
"""

import json

from by_hand import Connection, told_without_token
from events import Events
from scenario import Held, equal, expect

EMOJI = "thumbsup"

# Every byte value, so that whoever takes a file for text is found out.
FILE_BYTES = bytes(range(256)) * 3 + b"\r\n\x00\n"


class Story:
    """The steps, in order; `here` is a user of the first partner, `there` one of the second."""

    def __init__(self, case, session):
        self.case = case
        self.held = Held()
        self.here = session(case.here, case.here.users[0])
        self.there = session(case.there, case.there.users[0])
        self.session = session

    def steps(self):
        return [
            ("log in at both nodes", self.log_in),
            ("find the team by its name", self.find_team),
            ("find the shared channel by its name", self.find_channel),
            ("the client's WebSocket says hello", self.listen),
            ("a post arrives, by event and by request", self.post),
            ("a remote user shows as name:partner", self.remote_user),
            ("an edit arrives", self.edit),
            ("a reply arrives in its thread", self.reply),
            ("a reaction arrives", self.reaction),
            ("a removed reaction is gone", self.reaction_removed),
            ("a file arrives, byte for byte", self.file),
            ("a word is found at both sides", self.search),
            ("unread posts and mentions are counted", self.unread),
            ("a pin arrives, and its removal", self.pin),
            ("nobody edits or deletes the other's post", self.refusals),
            ("a colleague does not edit or delete it either", self.colleague),
            ("a deleted post is gone", self.delete),
            ("a resumed WebSocket loses nothing and says no second hello", self.resume),
            ("an unknown connection gets a new hello", self.resume_unknown),
            ("a WebSocket without a token is closed", self.unauthenticated),
            ("after the log-out the token is refused", self.log_out),
        ]

    def log_in(self):
        for session in (self.here, self.there):
            user = session.log_in()
            equal(user.get("username"), session.name, "the name in the answer to the log-in")
            me = session.me()
            equal(me.get("id"), user["id"], "the id of users/me")
            expect(not me.get("remote_id"), "a user is remote at its own node")
            expect(session.token(), "the client took no token from the log-in")
        self.held.logged_in = True

    def find_team(self):
        expect(self.held.logged_in, "nobody is logged in")
        teams = {}
        for session in (self.here, self.there):
            listed = {team["name"]: team["id"] for team in session.teams()}
            team = session.team_by_name(self.case.team)
            equal(listed.get(self.case.team), team["id"], "the listed team's id")
            teams[session] = team["id"]
        self.held.teams = teams

    def find_channel(self):
        shared = [self._shared_channels(session) for session in (self.here, self.there)]
        both = sorted(set(shared[0]) & set(shared[1]))
        wanted = self.case.channel or (both or [None])[0]
        expect(wanted in both, f"no shared channel at both: {shared[0]} and {shared[1]}")
        channels = {}
        for session in (self.here, self.there):
            channel = session.channel_by_name(self.held.teams[session], wanted)
            equal(channel["name"], wanted, "the channel's name")
            channels[session] = channel["id"]
        self.held.channels = channels

    def _shared_channels(self, session):
        listed = session.channels(self.held.teams[session])
        return [channel["name"] for channel in listed if channel.get("shared")]

    def listen(self):
        expect(self.held.logged_in, "nobody is logged in")
        all_events = {}
        for session in (self.here, self.there):
            events = Events()
            session.listen(events)
            self.case.until("hello", lambda: events.of("hello") or events.ended)
            expect(events.of("hello"), f"no hello: {events.ended}")
            hello = events.of("hello")[0]
            equal(hello["seq"], 0, "the number of hello")
            expect(hello["data"].get("connection_id"), "hello has no connection_id")
            all_events[session] = events
        self.held.events = all_events

    def post(self):
        message = f"{self.case.word()} <b>&amp; *Grüße* \U0001f680"
        self.held.message = message
        self.held.own = self._send(self.here, message)
        self.held.seen = self._arrived(self.there, message)
        event = self.case.until(
            "the event posted", lambda: self.held.events[self.there].posted(message)
        )
        data = event["data"]
        equal(data.get("sender_name"), f"@{self.here.name}:{self.here.partner.name}", "sender_name")
        equal(data.get("team_id"), self.held.teams[self.there], "team_id of the event")
        expect(data.get("channel_name"), "the event has no channel_name")
        expect(data.get("channel_type"), "the event has no channel_type")
        equal(
            event["broadcast"].get("channel_id"),
            self.held.channels[self.there],
            "channel_id of the broadcast",
        )

    def remote_user(self):
        shown = self.there.user(self.held.seen["user_id"])
        equal(shown["username"], f"{self.here.name}:{self.here.partner.name}", "the name shown")
        expect(shown.get("remote_id"), "the remote user has no remote_id")
        found = self.there.user_by_username(shown["username"])
        equal(found["id"], shown["id"], "the id of the user found by name")
        self.held.name_there = shown["username"]

    def edit(self):
        self.held.message = f"{self.held.message} edited {self.case.word()}"
        edited = self.here.edit(self.held.own["id"], self.held.message)
        equal(edited["message"], self.held.message, "the answer's text")
        seen = self.case.until(
            "the edit",
            lambda: self._when(self.there.get(self.held.seen["id"]), "message", self.held.message),
        )
        expect(seen.get("edit_at", 0) > 0, "edit_at is not set")
        self._event(self.there, "post_edited", "post", "message", self.held.message)

    def reply(self):
        message = f"reply {self.case.word()}"
        self._send(self.there, message, root_id=self.held.seen["id"])
        reply = self._arrived(self.here, message)
        equal(reply.get("root_id"), self.held.own["id"], "root_id of the reply")
        thread = [post["id"] for post in self.here.thread(self.held.own["id"])]
        expect(self.held.own["id"] in thread, "the thread lacks its root")
        expect(reply["id"] in thread, "the thread lacks the reply")

    def reaction(self):
        self.there.react(self.held.seen["id"], EMOJI)
        self.case.until("the reaction", lambda: EMOJI in self._reactions(self.here))
        self._event(self.here, "reaction_added", "reaction", "post_id", self.held.own["id"])
        self.held.reacted = True

    def reaction_removed(self):
        expect(self.held.reacted, "there is no reaction")
        self.there.unreact(self.held.seen["id"], EMOJI)
        self.case.until("the removal", lambda: EMOJI not in self._reactions(self.here))
        self._event(self.here, "reaction_removed", "reaction", "post_id", self.held.own["id"])

    def _reactions(self, session):
        # A post without reactions has null for a list.
        return [given["emoji_name"] for given in session.reactions(self.held.own["id"]) or []]

    def file(self):
        message = f"file {self.case.word()}"
        channel = self.held.channels[self.here]
        file_id = self.here.upload(channel, "all bytes.bin", FILE_BYTES)
        self._send(self.here, message, file_ids=[file_id])
        there = self._arrived(self.there, message)
        # A file is an event of its own, which comes behind its post.
        seen = self.case.until("the post's file", lambda: self._with_files(there["id"]))
        equal(len(seen["file_ids"]), 1, "the number of files")
        info = seen["metadata"]["files"][0]
        equal(info["name"], "all bytes.bin", "the file's name")
        equal(info["size"], len(FILE_BYTES), "the file's size")
        got = self.there.download(seen["file_ids"][0])
        expect(got == FILE_BYTES, f"{len(got)} bytes that are not the file's {len(FILE_BYTES)}")

    def search(self):
        word = self.case.word()
        message = f"the word is {word}, once"
        self._send(self.here, message)
        self._arrived(self.there, message)
        for session in (self.here, self.there):
            team = self.held.teams[session]
            found = self.case.until("the search", lambda: session.search(team, word))
            equal([post["message"] for post in found], [message], "what the search found")
            equal(session.search(team, self.case.word()), [], "what nobody wrote")

    def unread(self):
        channel = self.held.channels[self.here]
        self._settled(self.there, self.here)
        self.here.view(channel)
        self.case.until("nothing unread", lambda: self._counts() == (0, 0))
        message = f"@{self.held.name_there} look: {self.case.word()}"
        self._send(self.there, message)
        self._arrived(self.here, message)
        self.case.until("one unread, one mention", lambda: self._counts() == (1, 1))
        event = self.case.until("posted", lambda: self.held.events[self.here].posted(message))
        expect(self.here.id in json.loads(event["data"].get("mentions", "[]")), "no mention told")
        self.here.view(channel)
        self.case.until("nothing unread again", lambda: self._counts() == (0, 0))

    def _counts(self):
        counts = self.here.unread(self.held.channels[self.here])
        return counts["msg_count"], counts["mention_count"]

    def pin(self):
        def pinned():
            posts = self.there.pinned(self.held.channels[self.there])
            return self.held.seen["id"] in [post["id"] for post in posts]

        self.here.pin(self.held.own["id"])
        self.case.until("the pin", pinned)
        equal(self.there.get(self.held.seen["id"]).get("is_pinned"), True, "is_pinned")
        self.here.unpin(self.held.own["id"])
        self.case.until("the pin's removal", lambda: not pinned())

    def refusals(self):
        for author, other in ((self.here, self.there), (self.there, self.here)):
            message = f"mine {self.case.word()}"
            own = self._send(author, message)
            seen = self._arrived(other, message)
            self._refused(other, seen)
            # What the other side sends later has arrived: so would the refused change have.
            self._settled(other, author)
            for session, post in ((author, own), (other, seen)):
                now = session.get(post["id"])
                equal(now["message"], message, "the text after the refusals")
                equal(now.get("delete_at", 0), 0, "delete_at after the refusals")

    def colleague(self):
        colleague = self.session(self.case.here, self.case.here.users[1])
        colleague.log_in()
        self._refused(colleague, self.held.own)
        equal(self.here.get(self.held.own["id"])["message"], self.held.message, "the text")

    def _refused(self, session, post):
        attempts = [
            ("an edit", lambda: session.edit(post["id"], "not mine")),
            ("a deletion", lambda: session.delete(post["id"])),
        ]
        for what, attempt in attempts:
            try:
                attempt()
            except session.FORBIDDEN:
                continue
            raise AssertionError(f"{what} of another's post by {session.name} was not refused")

    def delete(self):
        message = f"gone soon {self.case.word()}"
        own = self._send(self.here, message)
        seen = self._arrived(self.there, message)
        self.here.delete(own["id"])
        for session in (self.here, self.there):
            self.case.until("the deletion", lambda: not self._shown(session, message))
        self._event(self.there, "post_deleted", "post", "id", seen["id"])

    def resume(self):
        expect(self.held.logged_in, "nobody is logged in")
        listener, author = self.here, self.there
        connection = Connection(self.case, listener)
        first = connection.next_event()
        equal((first["event"], first["seq"]), ("hello", 0), "the first event")
        before = f"before the cut {self.case.word()}"
        self._send(author, before)
        connection.read_until_posted(before)
        connection.cut()
        missed = [f"during the cut {self.case.word()}" for _ in range(3)]
        for message in missed:
            self._send(author, message)
            self._arrived(listener, message)
        resumed = connection.resume()
        got = resumed.read_until_posted(missed[-1])
        expect("hello" not in [event["event"] for event in got], "a second hello")
        texts = [json.loads(e["data"]["post"])["message"] for e in got if e["event"] == "posted"]
        equal(texts, missed, "the posts of the meantime")
        resumed.close()

    def resume_unknown(self):
        expect(self.held.logged_in, "nobody is logged in")
        connection = Connection(self.case, self.here, connection_id="n" * 26, sequence_number=7)
        event = connection.next_event()
        equal(event["event"], "hello", "the first event")
        expect(event["data"]["connection_id"] != "n" * 26, "the node took an id that it never gave")
        connection.close()

    def unauthenticated(self):
        expect(self.held.logged_in, "nobody is logged in")
        equal(told_without_token(self.case, self.here), [], "what was told without a valid token")

    def log_out(self):
        expect(self.held.logged_in, "nobody is logged in")
        token = self.there.token()
        self.there.log_out()
        try:
            self.there.me_with(token)
        except self.there.UNAUTHORIZED:
            return
        raise AssertionError("the token is good after the log-out")

    def _send(self, session, message, **more):
        channel = self.held.channels[session]
        sent = session.post(channel, message, **more)
        equal(sent["message"], message, "the answer's text")
        return sent

    def _arrived(self, session, message):
        return self.case.until(
            f"{message!r} at {session.partner.name}", lambda: self._shown(session, message)
        )

    def _shown(self, session, message):
        posts = session.recent(self.held.channels[session])
        return next((post for post in posts if post["message"] == message), None)

    def _with_files(self, post):
        seen = self.there.get(post)
        return seen if seen.get("file_ids") else None

    def _settled(self, author, reader):
        """A post of the author has arrived: what it did before has, too."""
        message = f"marker {self.case.word()}"
        self._send(author, message)
        self._arrived(reader, message)

    def _event(self, session, kind, inner, field, value):
        events = self.held.events[session]
        self.case.until(
            f"the event {kind}",
            lambda: events.about(kind, inner, lambda thing: thing.get(field) == value),
        )

    @staticmethod
    def _when(thing, field, value):
        return thing if thing[field] == value else None
