"""Measures federated chat servers on this machine, in one go and by the same phases: Comity through
its users' API, ejabberd and Prosody over XMPP. Prints JSON lines and a table with ratios."""

import argparse
import asyncio
import dataclasses
import fcntl
import json
import os
import pathlib
import signal
import sys
import time

import uvloop

from comity import Comity
from lab import Lab
from phases import Phases
from table import table
from xmpp_servers import Ejabberd, Prosody

SYSTEMS = ("comity", "ejabberd", "prosody")
PHASES = ("lat", "thr", "cut", "cutlong", "stopb", "join", "crowd")
SHORT = ("lat", "thr", "join")


@dataclasses.dataclass
class Plan:
    phases: list[str]
    messages: int
    outage_messages: int
    cut_s: float
    cutlong_s: float
    join_messages: int
    join_members: int
    crowd_users: int
    crowd_pace: float


def main():
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("root is needed: every new host on this machine takes it")
    if "comity" in options.systems and not options.comity.exists():
        raise SystemExit(f"{options.comity} does not exist: build it, or name another by --comity")
    state = options.state.resolve()
    (state / "results").mkdir(parents=True, exist_ok=True)
    held = alone(state)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lab = Lab(state, options.tag)
    lab.down()
    plan = Plan(options.phases, options.messages, options.outage_messages, options.cut,
                options.cutlong, options.join_messages, options.join_members, options.crowd_users,
                options.crowd_pace)
    log = state / "results" / time.strftime("%Y%m%d-%H%M%S.jsonl")
    records: list[dict] = []

    def record(row):
        records.append(row)
        text = json.dumps(row)
        print(text, flush=True)
        with log.open("a") as file:
            file.write(text + "\n")

    memory = pathlib.Path(f"/dev/shm/comity-bench{options.tag}")
    data = memory if options.medium == "memory" else state / "data"
    try:
        lab.up()
        for name in options.systems:
            measure(made(name, lab, data, options), plan, record)
    finally:
        lab.down()
        held.close()
        if records:
            print(f"\n{table(records)}\n\n{log}")


def measure(system, plan, record):
    """One system from start to stop. That one fails does not keep the others from being measured."""
    try:
        asyncio.run(Phases(system, plan, record).run())
    except (Exception, SystemExit) as failure:
        if isinstance(failure, SystemExit) and failure.code == 1:
            raise
        record({"system": system.name, "what": "failed", "failure": f"{failure!r}", "load": 0.0})
    finally:
        system.stopped()


def made(name, lab, data, options):
    if name == "comity":
        return Comity(lab, data, options.comity.resolve())
    return {"ejabberd": Ejabberd, "prosody": Prosody}[name](lab, data)


def alone(state):
    """Two runs at once would share namespaces, and measure each other."""
    held = open(state / "lock", "w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("another run is under way") from None
    return held


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__)
    parser.add_argument("--phases", type=listed(PHASES), metavar="LIST",
                        help=f"of {','.join(PHASES)} [{','.join(SHORT)}]")
    parser.add_argument("--systems", type=listed(SYSTEMS), default=list(SYSTEMS), metavar="LIST",
                        help=f"of {','.join(SYSTEMS)} [all]")
    parser.add_argument("--messages", type=int, default=1_000,
                        help="of each streaming run [1000]")
    parser.add_argument("--outage-messages", type=int, default=5_000, metavar="N",
                        help="posted while B is cut off or down [5000]")
    parser.add_argument("--cut", type=float, default=30, metavar="S", help="[30]")
    parser.add_argument("--cutlong", type=float, default=240, metavar="S", help="[240]")
    parser.add_argument("--join-messages", type=int, metavar="N",
                        help="[10000; in a run without --phases 1000]")
    parser.add_argument("--join-members", type=int, metavar="N",
                        help="[1000; in a run without --phases 100]")
    parser.add_argument("--crowd-users", type=int, default=500, metavar="N", help="[500]")
    parser.add_argument("--crowd-pace", type=float, default=20, metavar="N",
                        help="posts a second, which all of them hear [20]")
    parser.add_argument("--full", action="store_true",
                        help="all phases, 10,000 messages")
    parser.add_argument("--medium", choices=("memory", "disk"), default="memory",
                        help="where servers keep their data [memory]")
    parser.add_argument("--comity", type=pathlib.Path, default="target/release/comity",
                        help="the program [target/release/comity]")
    parser.add_argument("--state", type=pathlib.Path, default="target/bench-users",
                        help="results and certificates [target/bench-users]")
    parser.add_argument("--tag", default="", help="in the namespaces' names, cm<tag>A and cm<tag>B")
    options = parser.parse_args()
    if options.full:
        options.phases, options.messages = list(PHASES), 10_000
    messages, members = (1_000, 100) if options.phases is None else (10_000, 1_000)
    options.phases = options.phases or list(SHORT)
    options.join_messages = options.join_messages or messages
    options.join_members = options.join_members or members
    return options


def listed(known):
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names
    return parse


if __name__ == "__main__":
    uvloop.install()
    main()
