"""The events that a client's WebSocket hands to its handler, kept for conditions to look at."""

import asyncio
import json
import threading


class Events:
    """Collects frames; `listen` runs a client's own connection on a thread with a loop of its own."""

    def __init__(self):
        self._lock = threading.Lock()
        self._frames = []
        self.ended = None

    def listen(self, connect):
        """Calls connect(handler) on a new event loop; the client decides what that returns."""

        def run():
            asyncio.set_event_loop(asyncio.new_event_loop())
            try:
                connect(self._take)
                self.ended = "the client's listening ended"
            except Exception as error:  # Told by whoever waits for an event.
                self.ended = f"the client's listening ended: {error!r}"

        threading.Thread(target=run, daemon=True).start()
        return self

    def of(self, kind):
        """All events of a kind so far, in order."""
        with self._lock:
            return [frame for frame in self._frames if frame.get("event") == kind]

    def posted(self, message):
        """The data of the `posted` event of this message, or None."""
        for event in self.of("posted"):
            if json.loads(event["data"]["post"])["message"] == message:
                return event
        return None

    def about(self, kind, inner, fits):
        """The first event of a kind whose inner JSON text, `post` or `reaction`, fits."""
        for event in self.of(kind):
            if fits(json.loads(event["data"][inner])):
                return event
        return None

    async def _take(self, frame):
        with self._lock:
            self._frames.append(json.loads(frame))
