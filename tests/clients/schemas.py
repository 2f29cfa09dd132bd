#!/usr/bin/env python3
"""Checks a running node's answers against the published shapes, with Schemathesis.

README.md explains it. `--trim SOURCE` makes mattermost-v4.yaml anew from a full description.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import environments
from scenario import Partner, equal, log_in, request

try:
    import openapi
except ImportError:  # Without a YAML reader: main() goes on where there is one.
    openapi = None

HERE = Path(__file__).resolve().parent
IMPLEMENTED = HERE / "implemented.txt"
TRIMMED = HERE / "mattermost-v4.yaml"

# The published shape is another than what the server of these clients answers, and they rely on the
# latter: an object with categories and their order, and lists.
OTHERWISE = tuple(
    f"{operation}: response_schema_conformance"
    for operation in (
        "GET /api/v4/users/{user_id}/teams/{team_id}/channels/categories",
        "PUT /api/v4/users/{user_id}/teams/{team_id}/channels/categories",
        "POST /api/v4/channels/search",
    )
)

# The same requests every time, so that what failed once fails again.
SEED = 20260101

# Per operation. With 70 operations this comes to about two minutes, most of which is making requests.
EXAMPLES = 6

# The whole of it ends here, in seconds, whatever the node does.
RUN_LIMIT_S = 240

CHECKS = "not_a_server_error,response_schema_conformance"

# It would take the token away from all that come after: so it is played last, by a token of its own.
LOG_OUT = "POST /api/v4/users/logout"


def main():
    arguments = parsed()
    try:
        interpreter = environments.python(arguments.cache, "schemas")
    except environments.NotInstalled as error:
        return refuse(str(error))
    # The YAML reader comes with Schemathesis: this program goes on inside its environment.
    if Path(sys.prefix) != interpreter.parent.parent:
        os.execv(interpreter, [str(interpreter), str(Path(__file__).resolve()), *sys.argv[1:]])
    try:
        if arguments.trim:
            return trim(arguments.trim)
        return check(arguments)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        return refuse(f"{type(error).__name__}: {error}")


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ready", type=Path, help="the JSON file that describes the running nodes")
    parser.add_argument("--spec", type=Path, default=TRIMMED, help="an OpenAPI description")
    parser.add_argument("--trim", type=Path, metavar="SOURCE", help=f"write {TRIMMED.name} and stop")
    parser.add_argument("--cache", type=Path, default=environments.default_cache())
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="per operation")
    arguments = parser.parse_args()
    arguments.cache = arguments.cache.resolve()
    if not arguments.trim and not arguments.ready:
        parser.error("--ready or --trim is missing")
    return arguments


def trim(source):
    """Writes the operations of implemented.txt, and the parts that they reach."""
    description = openapi.restricted(openapi.load(source), implemented())
    text = "# The operations of implemented.txt; made by `schemas.py --trim`.\n"
    TRIMMED.write_text(text + openapi.dumped(description))
    print(f"{TRIMMED.name}: {len(openapi.operations(description))} operations")
    return 0


def check(arguments):
    described = json.loads(arguments.ready.read_text())["nodes"][0]
    partner, user = Partner(described), described["users"][0]
    token, me = log_in(partner, user)
    description = openapi.restricted(openapi.load(arguments.spec), implemented())
    openapi.with_both_successes(description)
    openapi.with_real_ids(description, real_ids(partner, described, token, me))
    place = arguments.cache / "schemas"
    place.mkdir(parents=True, exist_ok=True)
    # Schemathesis reads settings from the directory that it runs in and those above.
    (place / "schemathesis.toml").write_text("")
    all_operations = openapi.operations(description)
    rest = [operation for operation in all_operations if operation != LOG_OUT]
    rounds = [("most", rest, token)]
    if LOG_OUT in all_operations:
        rounds.append(("log-out", [LOG_OUT], log_in(partner, user)[0]))
    begun, told = time.monotonic(), []
    for name, chosen, bearer in rounds:
        left = RUN_LIMIT_S - (time.monotonic() - begun)
        part = openapi.restricted(description, chosen)
        told += played(arguments, place, name, part, bearer, partner, left)
    told = [line for line in told if not line.startswith(OTHERWISE)]
    for line in told:
        print(line)
    failed = {line.split(": ")[0] for line in told}
    print(
        f"{len(all_operations)} operations, {len(failed)} failed, seed {arguments.seed}, "
        f"{time.monotonic() - begun:.0f} s"
    )
    return 1 if told else 0


def played(arguments, place, name, description, token, partner, limit_s):
    """Runs Schemathesis over a description and returns one line per failing operation and check."""
    spec, report = place / f"{name}.yaml", place / f"{name}.ndjson"
    spec.write_text(openapi.dumped(description))
    report.unlink(missing_ok=True)
    command = [
        *(Path(sys.prefix) / "bin" / "schemathesis", "run", spec, "--url", partner.url),
        *("--header", f"Authorization: Bearer {token}", "--checks", CHECKS),
        *("--phases", "examples,fuzzing", "--mode", "positive", "--seed", arguments.seed),
        *("--max-examples", arguments.examples, "--generation-database", "none"),
        # Random text of many kinds is slow to make and no sign of a fault.
        *("--suppress-health-check", "all", "--no-shrink", "--request-timeout", 10),
        *("--warnings", "off", "--no-color"),
        *("--report", "ndjson", "--report-ndjson-path", report),
    ]
    output = place / f"{name}.log"
    with output.open("w") as log:
        try:
            code = subprocess.run(
                [str(part) for part in command],
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=max(1, limit_s),
                env={**os.environ, "NO_PROXY": "*"},
            ).returncode
        except subprocess.TimeoutExpired:
            return [*failures(report), f"{name}: not done within {RUN_LIMIT_S} s: see {output}"]
    found = failures(report)
    if code != 0 and not found:
        found = [f"{name}: schemathesis ended with code {code}: see {output}"]
    return found


def failures(report):
    """One line per operation and check that failed, from Schemathesis's report of events."""
    told = {}
    if not report.exists():
        return []
    for line in report.read_text().splitlines():
        event = json.loads(line)
        if "NonFatalError" in event:
            label, value = event["NonFatalError"].get("label", "?"), event["NonFatalError"]
            told.setdefault((label, "error"), f"{label}: not checked: {brief(json.dumps(value))}")
        recorder = event.get("ScenarioFinished", {}).get("recorder", {})
        for case, checks in recorder.get("checks", {}).items():
            for checked in checks:
                if checked["status"] == "failure":
                    status, uri = answered(recorder, case)
                    why = checked["failure_info"]["failure"]
                    text = f"{checked['name']}: HTTP {status} of {uri}: {why['message'] or why['title']}"
                    key = (recorder["label"], checked["name"])
                    told.setdefault(key, f"{recorder['label']}: {brief(text)}")
    return [told[key] for key in sorted(told)]


def answered(recorder, case):
    interaction = recorder.get("interactions", {}).get(case, {})
    response = interaction.get("response") or {}
    return response.get("status_code"), interaction.get("request", {}).get("uri")


def brief(text):
    return " ".join(text.split())[:300]


def real_ids(partner, described, token, me):
    """What the node holds, so that requests with ids are answered with more than 404."""

    def ask(method, path, body=None):
        status, _, answer = request(partner, method, "/api/v4" + path, body, token)
        equal(status // 100, 2, f"the first digit of the status of {method} {path}")
        return answer

    team = ask("GET", f"/teams/name/{described['team']}")
    channels = ask("GET", f"/users/me/teams/{team['id']}/channels")
    shared = sorted((c for c in channels if c.get("shared")), key=lambda c: c["name"])
    channel = (shared or channels)[0]
    posts = [
        ask("POST", "/posts", {"channel_id": channel["id"], "message": f"checking shapes {number}"})
        for number in (1, 2)
    ]
    file_id = uploaded(partner, channel["id"], token)
    return {
        "user_id": me["id"],
        "username": me["username"],
        "team_id": team["id"],
        "name": team["name"],
        "channel_id": channel["id"],
        "channel_name": channel["name"],
        "post_id": posts[0]["id"],
        "file_id": file_id,
        "emoji_name": "thumbsup",
        # What is deleted is not there for the others.
        "DELETE /api/v4/posts/{post_id}": {"post_id": posts[1]["id"]},
    }


def uploaded(partner, channel_id, token):
    line = "comity-part"
    body = (
        f'--{line}\r\nContent-Disposition: form-data; name="channel_id"\r\n\r\n{channel_id}\r\n'
        f'--{line}\r\nContent-Disposition: form-data; name="files"; filename="shapes.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\nshapes\r\n--{line}--\r\n"
    ).encode()
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={line}",
    }
    asked = urllib.request.Request(partner.url + "/api/v4/files", body, headers, method="POST")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)["file_infos"][0]["id"]


def implemented():
    lines = (line.strip() for line in IMPLEMENTED.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def refuse(why):
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
