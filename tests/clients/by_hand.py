"""A WebSocket driven by hand, for what the Python clients do not do: resuming a connection."""

import json
import socket
import time

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from scenario import equal, expect


def told_without_token(case, session):
    """The kinds of events that a node tells whoever has no valid token, until it closes.

    A node may refuse at once, or wait for a challenge and close when none comes.
    """
    try:
        connection = Connection(case, session, token="x" * 26)
    except InvalidStatus as refusal:
        equal(refusal.response.status_code, 401, "the status of the refusal")
        return []
    return connection.told_until_closed()


class Connection:
    """One connection of a logged-in session; checks that events are numbered without a gap."""

    def __init__(self, case, session, connection_id="", sequence_number=0, token=None):
        self._case = case
        self._session = session
        self._id = connection_id
        self._next = sequence_number
        self._fresh = True
        url = session.partner.websocket_url
        self._socket = connect(
            f"{url}?connection_id={connection_id}&sequence_number={sequence_number}",
            additional_headers={"Authorization": f"Bearer {token or session.token()}"},
            # Not through whatever proxy this machine has: the node is near.
            proxy=None,
        )

    def next_event(self):
        """The next event; answers to requests are passed over."""
        return self._next_event(time.monotonic() + self._case.wait_s)

    def read_until_posted(self, message):
        """All events up to the `posted` event of this message."""
        deadline = time.monotonic() + self._case.wait_s
        events = []
        while True:
            try:
                event = self._next_event(deadline)
            except TimeoutError:
                kinds = [event["event"] for event in events]
                raise AssertionError(f"no event of {message!r}, only {kinds}") from None
            events.append(event)
            if event["event"] == "posted":
                if json.loads(event["data"]["post"])["message"] == message:
                    return events

    def cut(self):
        """Ends the connection as a lost link does: without a word at its own layer."""
        self._socket.socket.shutdown(socket.SHUT_RDWR)

    def resume(self):
        """A new connection that says where this one was."""
        return Connection(self._case, self._session, self._id, self._next)

    def told_until_closed(self):
        """The kinds of all events until the node closes, which it must."""
        deadline = time.monotonic() + self._case.wait_s
        kinds = []
        try:
            while True:
                kinds.append(self._next_event(deadline)["event"])
        except ConnectionClosed:
            return kinds
        except TimeoutError:
            raise AssertionError(f"not closed within {self._case.wait_s} s") from None

    def close(self):
        self._socket.close()

    def _next_event(self, deadline):
        while True:
            frame = json.loads(self._socket.recv(timeout=max(0, deadline - time.monotonic())))
            if "event" not in frame:
                continue
            if frame["event"] == "hello" and self._fresh:
                self._id = frame["data"]["connection_id"]
                self._next = 0
            self._fresh = False
            equal(frame["seq"], self._next, f"the number of {frame['event']}")
            expect(isinstance(frame.get("data"), dict), "data is no object")
            self._next += 1
            return frame
