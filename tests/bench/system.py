"""What the phases ask of a pair of servers and of its users, whatever protocol they speak."""

import pathlib
import shutil
import signal
import subprocess
import time

from measure import disk_bytes, memory_mib

TEXT = "Pilot aboard at berth seven; tide turning, two tugs alongside, wind southwest four"
# A space after eight digits, and the text: 91 bytes.
BODY_BYTES = 91
STOP_S = 20


class User:
    """Somebody at one server. `heard` is called with the number of every message that the server
    shows, `accepted` with that of each of one's own that the server has taken."""

    def __init__(self):
        self.heard = lambda number: None
        self.accepted = lambda number: None
        # How often the server ended its connection.
        self.sent_away = 0

    def post(self, number: int):
        """Begins to post a message and does not wait."""
        raise NotImplementedError

    async def close(self):
        raise NotImplementedError


class System:
    """A pair of servers, one at each side, and the room or channel between them."""

    name = ""

    def __init__(self, lab, directory: pathlib.Path):
        self.lab = lab
        self.directory = directory / self.name
        self.processes: dict[str, subprocess.Popen] = {}

    def start(self, side: str, fresh: bool = False):
        raise NotImplementedError

    async def pair(self) -> tuple[User, User]:
        """One user at A and one at B, both in the room."""
        raise NotImplementedError

    async def returned(self) -> User:
        """The user at B, connected anew after B was down, having done nothing else."""
        raise NotImplementedError

    async def fetched(self, first: int, count: int, seconds: float) -> set[int]:
        """Which of these messages, made in the last so many seconds, the user at B can get by
        asking."""
        raise NotImplementedError

    async def held(self, user: User) -> int | None:
        """How many messages of the room the user's server holds; none where it does not tell."""
        return None

    async def fill(self, first: int, count: int, members: int):
        """Makes a second room at A with so many messages and members."""
        raise NotImplementedError

    async def join(self, run: int, first: int, count: int, meter) -> dict:
        """A user of a fresh B joins that room and gets all of it. Calls `meter` when it begins and
        returns `join_s`, `history_s` and `have`, and the same of a second fresh user there, with
        `second_` before; `held_s` where the server tells when it holds all itself."""
        raise NotImplementedError

    async def crowd(self, users: int, pace: float, seconds: float) -> dict | None:
        """So many users of one server hear so many posts a second; none where that is not measured.
        What `pair` gave is gone afterwards."""
        return None

    def made(self):
        """Empties the directory and starts both."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        for side in "AB":
            self.start(side, fresh=True)

    def place(self, side: str) -> pathlib.Path:
        return self.directory / side

    def data(self, side: str) -> pathlib.Path:
        """The directory of what a server keeps, without logs."""
        return self.place(side) / "data"

    def stop(self, side: str, kill: bool = False):
        process = self.processes.pop(side, None)
        if process is None:
            return
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stopped(self):
        for side in list(self.processes):
            self.stop(side)

    def pids(self) -> dict[str, int]:
        return {side: process.pid for side, process in self.processes.items()}

    def memory(self) -> dict[str, float]:
        return {side: memory_mib(pid) for side, pid in self.pids().items()}

    def disk(self) -> dict[str, int]:
        return {side: disk_bytes(self.data(side)) for side in "AB"}


def body(number: int) -> str:
    """A message: its number, by which loss and order are judged, and the same text always."""
    made = f"{number:08d} {TEXT}"
    assert len(made) == BODY_BYTES
    return made


def elapsed(since: float) -> float:
    return round(time.perf_counter() - since, 3)
