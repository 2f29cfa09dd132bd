"""Many users of one node, all with a socket open, while one of them posts at an even pace.

The node is measured and not the client: processes of their own hold the sockets and look at no more
of a frame than its number and which post it tells; one of them holds a small sample, and only its
times count. Times are of the one clock that all processes of a machine share.
"""

import asyncio
import base64
import json
import os
import pathlib
import re
import struct
import sys
import time

from measure import memory_mib, percentile, processor_s

SAMPLE = 20
DRAINS = 3
# Sockets that are opened at a time: each tells all others that somebody came online.
OPENING = 20
READY_S = 180
SETTLE_S = 3
PATIENCE_S = 30
POSTED = re.compile(rb'\\"message\\":\\"(\d{8}) ')
SEQ = re.compile(rb'"seq":(\d+)}$')


class Listener(asyncio.Protocol):
    """One user's socket: checks that its numbers have no gap, and notes which posts it was told."""

    def __init__(self, token: str, port: int, is_timed: bool):
        self.token, self.port, self.is_timed = token, port, is_timed
        self.rest, self.is_open = b"", False
        self.awaited, self.gaps, self.bytes = 0, 0, 0
        self.posts: list[int] = []
        self.times: list[int] = []
        self.ready = asyncio.get_running_loop().create_future()
        self.has_ended = False

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(f"GET /api/v4/websocket HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
                        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                        f"Authorization: Bearer {self.token}\r\n\r\n".encode())

    def data_received(self, octets):
        now = time.monotonic_ns() if self.is_timed else 0
        self.bytes += len(octets)
        text = self.rest + octets
        if not self.is_open:
            head, end, text = text.partition(b"\r\n\r\n")
            if not end:
                self.rest = head
                return
            self.is_open = b" 101 " in head
            if not self.is_open:
                raise SystemExit(f"no socket: {head[:200]!r}")
        at = 0
        while (frame := self.frame(text, at)) is not None:
            kind, begin, at = frame
            if kind == 1:
                self.told(text[begin:at], now)
            elif kind == 9:
                self.transport.write(b"\x8a\x80\0\0\0\0")
        self.rest = text[at:]

    def frame(self, text, at):
        """Kind, begin and end of the frame that begins there, once all of it has come."""
        if len(text) < at + 2:
            return None
        length, begin = text[at + 1] & 0x7F, at + 2
        if length > 125:
            size, form = (2, ">H") if length == 126 else (8, ">Q")
            if len(text) < begin + size:
                return None
            [length], begin = struct.unpack_from(form, text, begin), begin + size
        return (text[at] & 0x0F, begin, begin + length) if len(text) >= begin + length else None

    def told(self, frame, now):
        number = int(SEQ.search(frame).group(1))
        self.gaps += number != self.awaited
        self.awaited = number + 1
        if not self.ready.done():
            self.ready.set_result(True)
        if found := POSTED.search(frame):
            self.posts.append(int(found.group(1)))
            self.times.append(now)

    def connection_lost(self, error):
        self.has_ended = True


async def held():
    """What a process of its own does: opens the sockets that it is told of, and reports on them."""
    asked = json.loads(sys.stdin.readline())
    loop, listeners = asyncio.get_running_loop(), []
    for begin in range(0, len(asked["tokens"]), OPENING):
        opened = [Listener(token, asked["port"], asked["timed"]) for token in asked["tokens"][begin:begin + OPENING]]
        for listener in opened:
            await loop.create_connection(lambda listener=listener: listener, "127.0.0.1", asked["port"])
        await asyncio.gather(*(listener.ready for listener in opened))
        listeners += opened
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps({
        "posts": [listener.posts for listener in listeners],
        "times": [listener.times for listener in listeners] if asked["timed"] else [],
        "gaps": sum(listener.gaps for listener in listeners), "ended": sum(listener.has_ended for listener in listeners),
        "events": sum(listener.awaited for listener in listeners), "bytes": sum(listener.bytes for listener in listeners),
        "cpu_s": time.process_time()}), flush=True)


class Holder:
    """The process that holds some of the sockets, in the node's namespace."""

    def __init__(self, lab, side):
        self.command = ["ip", "netns", "exec", lab.names[side], sys.executable, str(pathlib.Path(__file__).resolve())]

    async def open(self, port, tokens, is_timed):
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 28)
        self.process.stdin.write(json.dumps({"port": port, "tokens": tokens, "timed": is_timed}).encode() + b"\n")
        answer = await asyncio.wait_for(self.process.stdout.readline(), READY_S)
        if answer.strip() != b"ready":
            raise SystemExit(f"sockets are not open: {answer!r}")
        return self

    async def report(self) -> dict:
        self.process.stdin.write(b"\n")
        answer = json.loads(await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_S))
        await self.process.wait()
        return answer


async def crowd(lab, side, pid, port, tokens, post, pace: float, seconds: float) -> dict:
    """Opens a socket for each token and posts so many times a second. `post` makes one post with
    that number and returns when it is answered."""
    before_mib, sample = memory_mib(pid), tokens[:SAMPLE]
    shares = [tokens[SAMPLE:][number::DRAINS] for number in range(DRAINS)]
    holders = [await Holder(lab, side).open(port, share, False) for share in shares if share]
    timed = await Holder(lab, side).open(port, sample, True)
    await asyncio.sleep(SETTLE_S)
    open_mib, cpu, begun = memory_mib(pid), processor_s(pid), time.monotonic()
    sent, answered, under_way = {}, [], set()

    async def one(number):
        sent[number] = time.monotonic_ns()
        await post(number)
        answered.append((time.monotonic_ns() - sent[number]) / 1e6)

    count = int(pace * seconds)
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / pace - time.monotonic()))
        task = asyncio.create_task(one(number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    posted_s = time.monotonic() - begun
    await asyncio.sleep(SETTLE_S)
    cpu, after_mib = processor_s(pid) - cpu, memory_mib(pid)
    reports = [await holder.report() for holder in (timed, *holders)]
    took = [(at - sent[number]) / 1e6 for posts, times in zip(reports[0]["posts"], reports[0]["times"])
            for number, at in zip(posts, times)]
    told = [posts for report in reports for posts in report["posts"]]
    deliveries = sum(len(posts) for posts in told)
    return {
        "users": len(tokens), "posts": count, "posts_per_s": round(count / posted_s, 1),
        **{f"post_p{p}_ms": round(percentile(answered, p), 2) for p in (50, 99)},
        **{f"told_p{p}_ms": round(percentile(took, p), 2) for p in (50, 99)},
        "lost": sum(count - len(set(posts)) for posts in told),
        "doubled": sum(len(posts) - len(set(posts)) for posts in told),
        "gaps": sum(report["gaps"] for report in reports), "ended": sum(report["ended"] for report in reports),
        "deliveries": deliveries, "cpu_s": round(cpu * 1000 / max(1, deliveries), 4),
        "users_cpu_s": round(sum(report["cpu_s"] for report in reports), 2),
        "wall_s": round(posted_s, 2),
        "bytes_told": round(sum(report["bytes"] for report in reports) / max(1, deliveries)),
        "memory_mib": {"before": before_mib, "open": open_mib, "after": after_mib},
        "user_kib": round((open_mib - before_mib) * 1024 / len(tokens), 1),
        "user_after_kib": round((after_mib - before_mib) * 1024 / len(tokens), 1),
    }


if __name__ == "__main__":
    import uvloop
    uvloop.install()
    asyncio.run(held())
