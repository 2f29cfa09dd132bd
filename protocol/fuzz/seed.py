#!/usr/bin/env python3
"""Writes the seed corpus from docs/vectors: one small file per sample, by target.

Run it in this directory after the vectors have changed."""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent.parent / "docs" / "vectors"
COUNTS = {}


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def seed(target, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    number = COUNTS[target] = COUNTS.get(target, 0) + 1
    (folder / f"{number:03}").write_bytes(data)


def events():
    for event in vectors("events")["events"]:
        seed("header", bytes.fromhex(event["header_bytes"]))


def bodies():
    for body in vectors("bodies")["bodies"]:
        seed(body["form"], bytes.fromhex(body["bytes"]))
    for refused in vectors("refused")["refused"]:
        if refused["form"] != "stream" and len(refused["bytes"]) < 10_000:
            seed(refused["form"], bytes.fromhex(refused["bytes"]))


def proofs():
    for history in vectors("histories")["histories"]:
        for event in history["events"]:
            if event["header"]["kind"] == 44:
                seed("evidence", bytes.fromhex(event["body"]))


def partners():
    for partner in vectors("identity")["partners"]:
        seed("identity", bytes.fromhex(partner["identity"]))
        seed("certificate-list", bytes.fromhex(partner["certificates"]))


def frames():
    for frame in vectors("frames")["frames"]:
        seed("frame", bytes.fromhex(frame["frame"]))
    stream = b""
    for sent in vectors("packed")["stream"]:
        frame = bytes.fromhex(sent["frame"])
        stream += len(frame).to_bytes(2, "big") + frame
        seed("frame", frame)
        seed("stream", len(frame).to_bytes(2, "big") + frame)
    seed("stream", stream)


def peering():
    files = vectors("peering")
    for file in (files["invitation"], files["reply"]):
        seed("peering-file", bytes.fromhex(file["file"]))
        seed("signed-peering-file", bytes.fromhex(file["signed"]))
        seed("armour", file["armour"].encode())


def rows():
    """Stored rows: arrays of fixed length in MessagePack, as rows.rs says."""
    bin8 = lambda data: b"\xc4" + bytes([len(data)]) + data
    bin16 = lambda data: b"\xc5" + len(data).to_bytes(2, "big") + data
    binary = lambda data: bin8(data) if len(data) < 256 else bin16(data)
    for event in vectors("events")["events"]:
        header = bytes.fromhex(event["header_bytes"])
        body = bytes.fromhex(event["body"])
        height = event["h"]
        if height < 128:
            row = bytes([0x94, height]) + bin8(bytes.fromhex(event["signature"]))
            seed("event-row", row + binary(header) + binary(body))
    seed("log-row", b"\0\0\0\1\x93" + bin8(b"\1" * 32) + bin8(b"\2" * 32) + bin8(b"\3" * 32))
    seed("channel-note", b"\x91\xc0")
    seed("channel-note", b"\x91" + bin8(b"\1" * 32))


def requests():
    lines = [
        {"request": "status"},
        {"request": "peer_invite", "expires_in_s": 600, "addresses": ["node.alfa.example:7443"]},
        {"request": "peer_accept", "file": "-----BEGIN", "addresses": []},
        {"request": "peer_approve", "partner": "alfa", "words": ["zoo", "abandon"]},
        {"request": "channel_create", "name": "harbour"},
        {"request": "channel_share", "channel": "harbour", "partner": "alfa", "role": "contributor"},
        {"request": "channel_accept", "channel": "2bfa"},
    ]
    for line in lines:
        seed("admin-request", json.dumps(line).encode())


for part in (events, bodies, proofs, partners, frames, peering, rows, requests):
    part()
print(sum(COUNTS.values()), "samples of", len(COUNTS), "targets")
