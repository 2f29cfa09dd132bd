#!/usr/bin/env python3
"""Runs clients that others wrote against two running nodes; README.md explains it."""

import argparse
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import environments

HERE = Path(__file__).resolve().parent

# Each client, and what its file runs in.
CLIENTS = {
    "npm": ("client_npm.mjs", "node"),
    "mattermostdriver": ("client_mattermostdriver.py", "drivers"),
    "mattermostautodriver": ("client_mattermostautodriver.py", "drivers"),
    "mmpy_bot": ("client_mmpy_bot.py", "bot"),
}

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME")

# A whole scenario takes seconds where all is well. With several conditions that never come true it
# ends here, so that a continuous integration is not held up.
SCENARIO_LIMIT_S = 300


def main():
    arguments = parsed()
    try:
        ready = json.loads(arguments.ready.read_text())
        here, there = two_partners(ready)
    except (OSError, ValueError, KeyError) as error:
        return refuse(f"{arguments.ready}: {error}")
    arguments.logs.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}", flush=True)
    clients = arguments.only or list(CLIENTS)
    failed = [name for name in clients if not play(name, arguments, here, there)]
    print(f"{len(clients) - len(failed)} of {len(clients)} clients passed", end="")
    print(f"; failed: {', '.join(failed)}" if failed else "", flush=True)
    return 1 if failed else 0


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ready", type=Path, help="the JSON file that describes the running nodes")
    parser.add_argument("--cache", type=Path, default=environments.default_cache())
    parser.add_argument("--only", action="append", choices=CLIENTS, help="this client; repeatable")
    parser.add_argument("--seed", default=secrets.token_hex(6), help="words of an earlier run")
    parser.add_argument("--wait", type=float, default=20, metavar="S", help="for each condition")
    parser.add_argument("--logs", type=Path, help="what the clients print (default: in the cache)")
    parser.add_argument("--install-only", action="store_true", help="fill the cache and stop")
    arguments = parser.parse_args()
    arguments.cache = arguments.cache.resolve()
    arguments.logs = (arguments.logs or arguments.cache / "logs").resolve()
    if arguments.install_only:
        sys.exit(install_all(arguments))
    if not arguments.ready:
        parser.error("--ready is missing")
    return arguments


def install_all(arguments):
    try:
        for name in arguments.only or CLIENTS:
            command(name, arguments.cache)
        return 0
    except environments.NotInstalled as error:
        return refuse(str(error))


def two_partners(ready):
    nodes = ready["nodes"]
    if len(nodes) < 2:
        raise ValueError("two nodes are needed")
    for node in nodes[:2]:
        if len(node["users"]) < 2:
            raise ValueError(f"two users of {node['partner']} are needed")
        if node["team"] != nodes[0]["team"]:
            raise ValueError("the nodes name different teams")
    return nodes[:2]


def play(name, arguments, here, there):
    """Runs one client's scenario, prints its steps, and says whether all passed."""
    try:
        program = command(name, arguments.cache)
    except environments.NotInstalled as error:
        told(name, "install", False, " ".join(str(error).split()))
        return False
    case = {
        # A word of one client is no word of another.
        "seed": f"{arguments.seed}-{name}",
        "wait_s": arguments.wait,
        "team": here["team"],
        "channel": here.get("channel"),
        "here": {key: here[key] for key in ("partner", "url", "users")},
        "there": {key: there[key] for key in ("partner", "url", "users")},
    }
    log = arguments.logs / f"{name}.log"
    begun = time.monotonic()
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*program, json.dumps(case)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=surroundings(arguments.cache, name),
        )
        limit = threading.Timer(SCENARIO_LIMIT_S, process.kill)
        limit.start()
        steps = [step_told(name, line, errors) for line in process.stdout]
        code = process.wait()
        limit.cancel()
    steps = [step for step in steps if step is not None]
    if code < 0 and time.monotonic() - begun >= SCENARIO_LIMIT_S:
        told(name, "end", False, f"not within {SCENARIO_LIMIT_S} s")
    elif code not in (0, 1) or not steps:
        told(name, "end", False, f"exit code {code}; see {log}")
    passed = code == 0 and bool(steps) and all(steps)
    tail = "" if passed else f"; its output is in {log}"
    print(f"{name}: {sum(steps)} of {len(steps)} steps passed{tail}", flush=True)
    return passed


def step_told(name, line, errors):
    """Prints a step's line and returns whether it passed; what is no step goes to the log."""
    try:
        step = json.loads(line)
        told(name, step["step"], step["ok"], step["why"])
    except (ValueError, KeyError, TypeError):
        errors.write(line)
        return None
    return step["ok"]


def told(name, step, ok, why):
    print(f"{name}: {step}: {'ok' if ok else 'FAILED: ' + why}", flush=True)


def command(name, cache):
    file, inside = CLIENTS[name]
    if inside == "node":
        environments.modules(cache)
        return ["node", str(HERE / file)]
    return [str(environments.python(cache, inside)), str(HERE / file)]


def surroundings(cache, name):
    """The environment of a scenario: without proxies, for the nodes are near."""
    # Only what a program needs: mmpy_bot takes settings from variables before anything else.
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    kept["PYTHONUNBUFFERED"] = "1"
    if CLIENTS[name][1] == "node":
        kept["COMITY_CLIENT_MODULES"] = str(environments.modules(cache))
    return kept


def refuse(why):
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
