"""HTTP and WebSocket down to the byte, so that both can be spoken wrongly on purpose."""

import asyncio
import base64
import json
import os
import re
import struct

# Longer than any answer that a node gives: a file of 50 MiB.
ANSWER_BYTES = 80 << 20
# A node that says nothing for so long to a whole request hangs.
ANSWER_S = 30
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Silence(Exception):
    """A whole request got no answer."""


async def exchange(port: int, pieces: list[bytes], is_whole: bool) -> bytes:
    """Sends the pieces on a connection of their own, with a pause between them, and reads what
    comes until the end. Without the rest of a request the writing side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        return await asyncio.wait_for(_both(reader, writer, pieces, is_whole), ANSWER_S)
    except TimeoutError:
        if is_whole:
            raise Silence from None
        return b""
    except OSError:
        return b""
    finally:
        writer.transport.abort()


async def _both(reader, writer, pieces, is_whole) -> bytes:
    reading = asyncio.create_task(_to_the_end(reader))
    try:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.02)
            writer.write(piece)
            await writer.drain()
        if not is_whole:
            writer.write_eof()
    except OSError:
        # It may answer before it has read all, and close.
        pass
    return await reading


async def _to_the_end(reader) -> bytes:
    got = bytearray()
    try:
        while len(got) < ANSWER_BYTES and (more := await reader.read(1 << 18)):
            got += more
    except OSError:
        pass
    return bytes(got)


def status_of(answer: bytes) -> int | None:
    found = STATUS.match(answer)
    return int(found.group(1)) if found else None


def body_of(answer: bytes):
    """The JSON of an answer; none where it is no JSON."""
    try:
        return json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        return None


class Socket:
    """One WebSocket, whose frames are made by hand."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    @staticmethod
    async def open(port: int, path: str, token: str | None):
        """A socket, or none where the node refuses it; and what the node said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        key = base64.b64encode(os.urandom(16)).decode()
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: "
                     f"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{bearer}"
                     "\r\n".encode("utf-8", "replace"))
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        except (OSError, asyncio.IncompleteReadError):
            head = b""
        if status_of(head) != 101:
            writer.transport.abort()
            return None, head
        return Socket(reader, writer), head

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its kind and content. The node's frames are neither masked nor split."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            [length] = struct.unpack(">H", await self.reader.readexactly(2))
        elif length == 127:
            [length] = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def send(self, content: bytes, kind: int = TEXT, final: bool = True, masked: bool = True):
        self.writer.write(framed(content, kind, final, masked))
        await self.writer.drain()

    async def raw(self, octets: bytes):
        self.writer.write(octets)
        await self.writer.drain()

    def abort(self):
        self.writer.transport.abort()


def framed(content: bytes, kind: int, final: bool, masked: bool, told: int | None = None) -> bytes:
    """A frame; `told` is the length that it claims, if that is another."""
    length = len(content) if told is None else told
    mark = 0x80 if masked else 0
    if length < 126:
        head = bytes([mark | length])
    elif length < 1 << 16:
        head = bytes([mark | 126]) + struct.pack(">H", length)
    else:
        head = bytes([mark | 127]) + struct.pack(">Q", length)
    # The mask's octets are zero, so the content stands as it is.
    return bytes([(0x80 if final else 0) | kind]) + head + (bytes(4) if masked else b"") + content
