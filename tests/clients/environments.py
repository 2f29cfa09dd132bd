"""Installs pinned packages into a cache: a Python environment per set of pins, and npm's modules."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Registries are far and may hang: nothing to install takes longer than this, in seconds.
INSTALL_LIMIT_S = 600


class NotInstalled(Exception):
    """What was to be installed is not; the text says why and what to do."""


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "comity" / "clients"


def python(cache, name):
    """The interpreter of an environment with all of requirements-NAME.txt."""
    pins = HERE / f"requirements-{name}.txt"
    # An environment belongs to one interpreter, whose version is part of its name.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = cache / f"{name}-{version}-{digest([pins])}"

    def install():
        venv.create(place, with_pip=True)
        pip = [place / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        run([*pip, "install", "--quiet", "--no-deps", "--requirement", pins], HERE)
        run([*pip, "check"], HERE)

    return once(place, install) / "bin" / "python"


def modules(cache, home=HERE):
    """The directory whose node_modules has what package-lock.json in `home` names."""
    pins = [home / "package.json", home / "package-lock.json"]
    place = cache / f"npm-{digest(pins)}"

    def install():
        place.mkdir(parents=True)
        for pin in pins:
            shutil.copy(pin, place)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], place)

    return once(place, install)


def unpacked(cache, name, packages):
    """The directory that packages of the distribution are unpacked in: what is not installed starts
    nothing on this machine."""
    place = cache / f"{name}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"

    def install():
        place.mkdir(parents=True)
        subprocess.run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages],
            cwd=place, check=True, capture_output=True, timeout=INSTALL_LIMIT_S,
        )
        for package in place.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, place], check=True)

    try:
        return once(place, install)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotInstalled(f"{name} could not be fetched: {error}") from error


def once(place, install):
    """Runs install() unless it has been; what was left half done is thrown away."""
    done = place / ".installed"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        print(f"installing {place.name} into {place.parent}", file=sys.stderr, flush=True)
        install()
        done.touch()
    return place


def run(command, directory):
    told = " ".join(str(part) for part in command)
    try:
        ended = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_S,
        )
    except FileNotFoundError:
        raise NotInstalled(f"{command[0]} is missing: install it") from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{told}: not done in {INSTALL_LIMIT_S} s; is the registry up?") from None
    if ended.returncode != 0:
        raise NotInstalled(f"{told}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")


def digest(files):
    summed = hashlib.sha256()
    for file in files:
        summed.update(file.read_bytes())
    return summed.hexdigest()[:12]
