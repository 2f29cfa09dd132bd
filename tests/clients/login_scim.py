#!/usr/bin/env python3
"""Provisioning by SCIM: scim2-tester holds a node to the specification, and a story is told on it.

Usage: login_scim.py COMITY [--cache DIR]
"""

import argparse
import subprocess
import sys
from pathlib import Path

import environments

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comity", type=Path)
    parser.add_argument("--cache", type=Path, default=environments.default_cache())
    arguments = parser.parse_args()
    try:
        python = environments.python(arguments.cache.resolve(), "scim")
    except environments.NotInstalled as error:
        print(f"scim: NOT TESTED: {' '.join(str(error).split())}", flush=True)
        return 2
    comity = str(arguments.comity.resolve())
    return subprocess.run([python, HERE / "scim_story.py", comity]).returncode


if __name__ == "__main__":
    sys.exit(main())
