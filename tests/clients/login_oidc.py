#!/usr/bin/env python3
"""Logs in by OpenID Connect at two real provider processes; the story is in login_oidc.mjs.

Usage: login_oidc.py COMITY. Ends with 0 if all passed, 1 if a step failed, 3 (and NOT TESTED) where
what it needs cannot be installed."""

import os
import subprocess
import sys
from pathlib import Path

import environments

HERE = Path(__file__).resolve().parent

# Somebody is disabled and the story waits for a minute, twice where a provider is gone.
STORY_LIMIT_S = 300


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: login_oidc.py COMITY")
    try:
        modules = environments.modules(environments.default_cache(), HERE / "providers" / "oidc")
    except environments.NotInstalled as error:
        print(f"login by OpenID Connect: NOT TESTED: {error}", file=sys.stderr, flush=True)
        return 3
    told = {**os.environ, "COMITY_CLIENT_MODULES": str(modules)}
    # The node and the providers are near: no proxy stands between.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        told.pop(name, None)
    story = ["node", str(HERE / "login_oidc.mjs"), str(Path(sys.argv[1]).resolve())]
    try:
        return subprocess.run(story, env=told, timeout=STORY_LIMIT_S).returncode
    except FileNotFoundError:
        print("login by OpenID Connect: NOT TESTED: node is missing", file=sys.stderr, flush=True)
        return 3
    except subprocess.TimeoutExpired:
        print(f"login by OpenID Connect: FAILED: not within {STORY_LIMIT_S} s", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
