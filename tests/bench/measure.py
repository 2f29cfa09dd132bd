"""What a run costs: processor time, memory, disk and the cable, read from outside the servers."""

import os
import pathlib
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PSS_KIB = "Pss:"


class Meter:
    """Counters at one moment; `cost` tells what was added since, per message."""

    def __init__(self, system):
        self.system = system
        self.at = time.perf_counter()
        self.cable = system.lab.traffic()
        self.servers = {side: processor_s(pid) for side, pid in system.pids().items()}
        self.users = time.process_time()

    def cost(self, messages: int) -> dict:
        """Bytes and packets on the cable, and processor time of the servers and of the users'
        client, which is this process. A server that was started since counts from its start."""
        messages = max(messages, 1)
        octets, packets = self.system.lab.traffic()
        seconds = {side: max(0.0, processor_s(pid) - self.servers.get(side, 0.0))
                   for side, pid in self.system.pids().items()}
        seconds["users"] = time.process_time() - self.users
        return {
            "wall_s": round(time.perf_counter() - self.at, 3),
            "wire_bytes": round((octets - self.cable[0]) / messages, 1),
            "wire_packets": round((packets - self.cable[1]) / messages, 2),
            "cpu_s": {who: round(s * 1000 / messages, 4) for who, s in seconds.items()},
        }


def processor_s(pid: int) -> float:
    """User and system time of a process, its children and those that they have waited for."""
    ticks = 0
    for member in family(pid):
        fields = stat(member)
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def memory_mib(pid: int) -> float:
    """Proportional set size: pages that processes share are counted once."""
    kib = 0
    for member in family(pid):
        try:
            lines = pathlib.Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith(PSS_KIB))
    return round(kib / 1024, 1)


def disk_bytes(directory) -> int:
    """Sizes of all files; what a store has set aside in advance and not written is not in it."""
    total = 0
    for path in pathlib.Path(directory).rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        except FileNotFoundError:
            continue
    return total


def percentile(values, percent: float) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def family(pid: int) -> list[int]:
    """The process and all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    members = [pid]
    for member in members:
        members.extend(children.get(member, []))
    return members


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name, which may hold spaces."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
