"""What is done to each system, the same to all of them, and what is written down of it.

A message carries its number; what B's user hears is compared with the numbers for loss and with what
A's user hears for order. Every record has the load average of its end.
"""

import asyncio
import time

from measure import Meter, load, percentile
from system import elapsed

ONE_AT_A_TIME = 200
WARM_UP = 30
RUNS = 3
# Messages on their way at once: what a client that waits for its room to show them would have.
WINDOW = 200
# Without news for so long, what is missing counts as lost.
STALL_S = 60
HEAL_STALL_S = 90
PAUSE_S = 0.005
PUSHED_S = 20
ANSWER_S = 30
CROWD_S = 30


class Phases:
    """One system's run. `record` takes each result."""

    def __init__(self, system, plan, record):
        self.system = system
        self.plan = plan
        self.record = record
        self.next = 0

    async def run(self):
        self.system.made()
        self.write("start", memory_mib=self.system.memory())
        self.alice, self.bob = await self.system.pair()
        for phase in self.plan.phases:
            await getattr(self, phase)()
        self.write("end", memory_mib=self.system.memory(), messages=self.next)
        await self.alice.close()
        await self.bob.close()

    def write(self, what: str, **values):
        self.record({"system": self.system.name, "what": what, **values,
                     "load": round(load(), 2), "at": time.strftime("%H:%M:%S")})

    async def lat(self):
        await self._one_at_a_time(WARM_UP)
        for run in range(RUNS):
            meter = Meter(self.system)
            times = await self._one_at_a_time(ONE_AT_A_TIME)
            percentiles = {f"p{p}_ms": round(percentile(times, p), 2) for p in (50, 95, 99)}
            self.write("lat", run=run, messages=len(times), **percentiles, **meter.cost(len(times)))

    async def thr(self):
        await self._stream(min(500, self.plan.messages))
        for run in range(RUNS):
            disk, meter = self.system.disk(), Meter(self.system)
            stream = await self._stream(self.plan.messages)
            cost, after = meter.cost(len(stream.at_b)), self.system.disk()
            sent = self.plan.messages
            self.write("thr", run=run, messages=sent, **judged(stream.at_b, stream.first, sent),
                       order_of_a=stream.at_b == stream.at_a[:len(stream.at_b)],
                       messages_per_s=round(len(stream.at_b) / stream.seconds, 1),
                       disk_bytes={s: round((after[s] - disk[s]) / sent, 1) for s in "AB"},
                       memory_mib=self.system.memory(), **cost)

    async def cut(self):
        await self._outage("cut", self.plan.cut_s)

    async def cutlong(self):
        await self._outage("cutlong", self.plan.cutlong_s)

    async def stopb(self):
        """B is killed while alice posts. Afterwards its user listens, and by another connection
        asks for what was missed."""
        await self._one_at_a_time(WARM_UP)
        begun = time.perf_counter()
        await self.bob.close()
        self.system.stop("B", kill=True)
        stream = await self._stream(self.plan.outage_messages, by_a=True)
        up = time.perf_counter()
        self.system.start("B")
        restart_s = elapsed(up)
        self.bob = await self.system.returned()
        pushed: dict[int, float] = {}
        self.bob.heard = lambda n: pushed.setdefault(n, elapsed(up))
        fetch = await self._fetched(stream.first, begun)
        all_s = elapsed(up)
        await asyncio.sleep(max(0.0, PUSHED_S - elapsed(up)))
        ours = [pushed[n] for n in stream.numbers() if n in pushed]
        self.write("stopb", posted=len(stream.accepted), lost=self.plan.outage_messages - fetch["have"],
                   restart_s=restart_s, pushed=len(ours), pushed_last_s=max(ours, default=None),
                   all_s=all_s, sent_away=self.bob.sent_away, **fetch)
        await self._anew()

    async def join(self):
        first, self.next = self.next, self.next + self.plan.join_messages
        begun = time.perf_counter()
        await self.system.fill(first, self.plan.join_messages, self.plan.join_members)
        self.write("filled", messages=self.plan.join_messages, members=self.plan.join_members,
                   fill_s=elapsed(begun), memory_mib=self.system.memory())
        await self.alice.close()
        await self.bob.close()
        for run in range(RUNS):
            meters = []
            result = await self.system.join(run, first, self.plan.join_messages,
                                            lambda: meters.append(Meter(self.system)))
            cost = meters[0].cost(self.plan.join_messages)
            self.write("join", run=run, messages=self.plan.join_messages, **result, **cost)

    async def crowd(self):
        await self.alice.close()
        await self.bob.close()
        result = await self.system.crowd(self.plan.crowd_users, self.plan.crowd_pace, CROWD_S)
        if result:
            self.write("crowd", **result)

    async def _outage(self, what: str, hold_s: float):
        """The cable is cut, alice posts at once, and it is healed when the time is over. Then
        nobody does anything until all is there or nothing more comes."""
        count = self.plan.outage_messages
        meter, begun = Meter(self.system), time.perf_counter()
        already = await self.system.held(self.bob)
        self.system.lab.cut()
        arrivals: list[tuple[int, float]] = []
        self.bob.heard = lambda n: arrivals.append((n, time.perf_counter()))
        try:
            stream = await self._stream(count, by_a=True, keep_bob=True)
            posted_s = elapsed(begun)
            await asyncio.sleep(max(0.0, hold_s - elapsed(begun)))
        finally:
            self.system.lab.heal()
        posted, at_a = len(stream.accepted), list(stream.at_a)
        healed, held_s = time.perf_counter(), elapsed(begun)
        holding = asyncio.create_task(self._holding(already, count))
        news, seen = time.perf_counter(), 0
        while len({n for n, _ in arrivals}) < count and elapsed(news) < HEAL_STALL_S:
            await asyncio.sleep(PAUSE_S * 10)
            if len(arrivals) > seen:
                seen, news = len(arrivals), time.perf_counter()
        ours = [(n, t) for n, t in arrivals if n in stream.numbers()]
        after = [round(t - healed, 2) for _, t in ours]
        at_b = [n for n, _ in ours]
        cost = meter.cost(count)
        try:
            node_s = await asyncio.wait_for(holding, ANSWER_S)
        except TimeoutError:
            node_s = None
        probe, self.next = self.next, self.next + 1
        self.alice.post(probe)
        await asyncio.sleep(10)
        self.write(what, held_s=held_s, posted=posted, posted_s=posted_s,
                   **judged(at_b, stream.first, count), order_of_a=at_b == at_a[:len(at_b)],
                   first_s=after[0] if after else None, last_s=after[-1] if after else None,
                   node_s=node_s,
                   sent_away=self.bob.sent_away,
                   new_message_arrives=any(n == probe for n, _ in arrivals), **cost)
        self.write(f"{what}-asked", **await self._fetched(stream.first, begun))
        await self._anew()

    async def _holding(self, already: int | None, count: int) -> float | None:
        """Seconds until B's server itself holds so many more, whatever it has told its user."""
        begun = time.perf_counter()
        if already is None:
            return None
        while await self.system.held(self.bob) < already + count:
            await asyncio.sleep(PAUSE_S * 10)
        return elapsed(begun)

    async def _fetched(self, first: int, since: float) -> dict:
        begun = time.perf_counter()
        try:
            have = await self.system.fetched(first, self.plan.outage_messages, elapsed(since))
        except (TimeoutError, OSError, RuntimeError) as failure:
            return {"have": 0, "fetch_s": elapsed(begun), "failure": repr(failure)}
        return {"have": len(have), "fetch_s": elapsed(begun)}

    async def _anew(self):
        await self.alice.close()
        await self.bob.close()
        self.alice, self.bob = await self.system.pair()

    async def _one_at_a_time(self, count: int) -> list[float]:
        """Milliseconds from handing each message to A until B's user hears it."""
        times, arrived, awaited = [], asyncio.Event(), -1

        def heard(number):
            if number == awaited:
                arrived.set()

        self.bob.heard = heard
        for _ in range(count):
            awaited, self.next = self.next, self.next + 1
            arrived.clear()
            begun = time.perf_counter()
            self.alice.post(awaited)
            async with asyncio.timeout(ANSWER_S):
                await arrived.wait()
            times.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(PAUSE_S)
        return times

    async def _stream(self, count: int, by_a: bool = False, keep_bob: bool = False):
        """Posts so many as fast as the window lets, which counts what B's user has not heard, or
        what A has not accepted."""
        stream = Stream(self.next, count)
        self.next += count
        self.alice.heard, self.alice.accepted = stream.seen_at_a, stream.taken
        if not keep_bob:
            self.bob.heard = stream.seen_at_b
        reached = stream.accepted if by_a else stream.at_b
        posted, news, seen = 0, time.perf_counter(), 0
        begun = time.perf_counter()
        while len(reached) < count and elapsed(news) < STALL_S:
            while posted < count and posted - len(reached) < WINDOW:
                self.alice.post(stream.first + posted)
                posted += 1
            await stream.progress()
            if stream.steps() > seen:
                seen, news = stream.steps(), time.perf_counter()
        stream.seconds = time.perf_counter() - begun
        if not by_a:
            # A may show its user a message after B does.
            await asyncio.sleep(PAUSE_S * 20)
        return stream


class Stream:
    """What became of so many messages from `first` on."""

    def __init__(self, first: int, count: int):
        self.first = first
        self.count = count
        self.at_a: list[int] = []
        self.at_b: list[int] = []
        self.accepted: list[int] = []
        self.seconds = 0.0
        self.news = asyncio.Event()

    def numbers(self) -> range:
        return range(self.first, self.first + self.count)

    def seen_at_a(self, number):
        self._take(self.at_a, number)

    def seen_at_b(self, number):
        self._take(self.at_b, number)

    def taken(self, number):
        self._take(self.accepted, number)

    def steps(self) -> int:
        return len(self.at_a) + len(self.at_b) + len(self.accepted)

    async def progress(self):
        """Returns when something has come, or after a second."""
        self.news.clear()
        try:
            await asyncio.wait_for(self.news.wait(), 1)
        except TimeoutError:
            pass

    def _take(self, into, number):
        if number in self.numbers():
            into.append(number)
            self.news.set()


def judged(numbers: list[int], first: int, count: int) -> dict:
    """Losses, doubles and order by number."""
    distinct = {n for n in numbers if first <= n < first + count}
    return {"lost": count - len(distinct), "doubled": len(numbers) - len(set(numbers)),
            "in_order": numbers == sorted(numbers)}
