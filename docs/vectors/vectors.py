#!/usr/bin/env python3
"""Computes the test vectors of Comity's protocol, version 1.

A second, independent implementation of what docs/protocol.md says, as far as the vectors go: it
shares no code with the Rust one. What a channel's events make of it is in state.py. It needs Python 3.9 or newer and the package `cryptography`, for
Ed25519, X25519 and AES-256-GCM. SHA-2, SHA-3, HMAC are Python's own. ML-KEM-768, HKDF, HPKE and
MessagePack are written out below.

    python3 vectors.py            writes the files beside this program
    python3 vectors.py --check    compares them instead, and fails if one differs

Every input is in this file. No randomness, no clock.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

sys.dont_write_bytecode = True

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from finality import ACK
from state import CUT, EVIDENCE, State, unpack

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = "docs/vectors/vectors.py"


# --- MessagePack, canonical -------------------------------------------------------------------


def be(number, length):
    return number.to_bytes(length, "big")


def msgpack(value):
    """The one encoding of a value: shortest forms, bytes as bin, records as arrays."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, str):
        data = value.encode()
        return sized(len(data), [(31, 0xA0), (1, 0xD9), (2, 0xDA), (4, 0xDB)]) + data
    if isinstance(value, (bytes, bytearray)):
        return sized(len(value), [(1, 0xC4), (2, 0xC5), (4, 0xC6)]) + bytes(value)
    items = b"".join(msgpack(item) for item in value)
    return sized(len(value), [(15, 0x90), (2, 0xDC), (4, 0xDD)]) + items


def pack_int(value):
    assert 0 <= value < 1 << 64
    if value < 128:
        return bytes([value])
    for marker, length in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if value < 1 << (8 * length):
            return bytes([marker]) + be(value, length)


def sized(length, forms):
    for limit, marker in forms:
        if marker in (0xA0, 0x90):
            if length <= limit:
                return bytes([marker | length])
        elif length < 1 << (8 * limit):
            return bytes([marker]) + be(length, limit)


# --- Hashes, keys, signatures ----------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).digest()


def tagged(tag, parts):
    out = be(len(tag), 1) + tag.encode()
    for part in parts:
        out += be(len(part), 8) + part
    return out


def H(tag, *parts):
    return sha256(tagged(tag, parts))


def hkdf_extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(prk, info, length):
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + be(number, 1), hashlib.sha256).digest()
        out, number = out + block, number + 1
    return out[:length]


def derive(secret, tag, *parts):
    return hkdf_expand(hkdf_extract(b"", secret), tagged(tag, parts), 32)


def raw_public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ed25519_public(seed):
    return raw_public(Ed25519PrivateKey.from_private_bytes(seed))


def sign(seed, tag, digest):
    message = be(len(tag), 1) + tag.encode() + digest
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def aes_gcm(key, nonce, aad, plaintext):
    return AESGCM(key).encrypt(nonce, plaintext, aad)


# --- ML-KEM-768 (FIPS 203), X-Wing, HPKE ------------------------------------------------------

Q, K = 3329, 3
ZETAS = [pow(17, int(f"{i:07b}"[::-1], 2), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * int(f"{i:07b}"[::-1], 2) + 1, Q) for i in range(128)]


def ntt(f):
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta, i = ZETAS[i], i + 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        length //= 2
    return f


def ntt_inverse(f):
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta, i = ZETAS[i], i - 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply(f, g):
    out = []
    for i, gamma in enumerate(GAMMAS):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        out += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return out


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def dot(row, vector):
    out = [0] * 256
    for f, g in zip(row, vector):
        out = add(out, multiply(f, g))
    return out


def sample_matrix(rho, transposed):
    def sample(i, j):
        stream, out = hashlib.shake_128(rho + bytes([j, i])).digest(1344), []
        for at in range(0, len(stream), 3):
            a, b, c = stream[at : at + 3]
            out += [x for x in (a + 256 * (b % 16), b // 16 + 16 * c) if x < Q]
        return out[:256]

    return [[sample(j, i) if transposed else sample(i, j) for j in range(K)] for i in range(K)]


def sample_noise(seed, number):
    data = hashlib.shake_256(seed + bytes([number])).digest(128)
    bits = [(byte >> bit) & 1 for byte in data for bit in range(8)]
    return [(sum(bits[4 * i : 4 * i + 2]) - sum(bits[4 * i + 2 : 4 * i + 4])) % Q for i in range(256)]


def encode_poly(f, width):
    number = sum(x << (width * i) for i, x in enumerate(f))
    return number.to_bytes(32 * width, "little")


def decode_poly(data, width):
    number = int.from_bytes(data, "little")
    return [(number >> (width * i)) & ((1 << width) - 1) for i in range(256)]


def compress(f, width):
    return [((x << width) + Q // 2) // Q % (1 << width) for x in f]


def ml_kem_public(d):
    """The encapsulation key of the seed d (its other half, z, is for decapsulating only)."""
    expanded = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = expanded[:32], expanded[32:]
    matrix = sample_matrix(rho, False)
    secret = [ntt(sample_noise(sigma, i)) for i in range(K)]
    noise = [ntt(sample_noise(sigma, K + i)) for i in range(K)]
    public = [add(dot(row, secret), e) for row, e in zip(matrix, noise)]
    return b"".join(encode_poly(f, 12) for f in public) + rho


def ml_kem_encapsulate(public, message):
    """Shared secret and ciphertext for a given message of 32 bytes."""
    expanded = hashlib.sha3_512(message + hashlib.sha3_256(public).digest()).digest()
    shared, seed = expanded[:32], expanded[32:]
    t = [decode_poly(public[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    matrix = sample_matrix(public[-32:], True)
    y = [ntt(sample_noise(seed, i)) for i in range(K)]
    e1 = [sample_noise(seed, K + i) for i in range(K)]
    e2 = sample_noise(seed, 2 * K)
    u = [add(ntt_inverse(dot(row, y)), e) for row, e in zip(matrix, e1)]
    bits = [(Q + 1) // 2 * bit for bit in decode_poly(message, 1)]
    v = add(add(ntt_inverse(dot(t, y)), e2), bits)
    return shared, b"".join(encode_poly(compress(f, 10), 10) for f in u) + encode_poly(compress(v, 4), 4)


def x_wing_expand(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    return expanded[:32], expanded[32:64], X25519PrivateKey.from_private_bytes(expanded[64:])


def x_wing_public(seed):
    d, _, x = x_wing_expand(seed)
    return ml_kem_public(d) + raw_public(x)


def x_wing_encapsulate(public, randomness):
    shared_m, ciphertext_m = ml_kem_encapsulate(public[:1184], randomness[:32])
    ephemeral = X25519PrivateKey.from_private_bytes(randomness[32:])
    ciphertext_x = raw_public(ephemeral)
    shared_x = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[1184:]))
    label = b"\\.//^\\"
    shared = hashlib.sha3_256(shared_m + shared_x + ciphertext_x + public[1184:] + label).digest()
    return shared, ciphertext_m + ciphertext_x


def hpke_seal(public, info, plaintext, randomness):
    """HPKE (RFC 9180), base mode, X-Wing with HKDF-SHA256 and AES-256-GCM, one message."""
    shared, encapsulation = x_wing_encapsulate(public, randomness)
    suite = b"HPKE" + be(0x647A, 2) + be(0x0001, 2) + be(0x0002, 2)

    def extract(salt, label, ikm):
        return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)

    def expand(prk, label, context, length):
        return hkdf_expand(prk, be(length, 2) + b"HPKE-v1" + suite + label + context, length)

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    return encapsulation + aes_gcm(key, nonce, b"", plaintext)


def cross_check_ml_kem():
    """Compares with the package's own ML-KEM, where this version of it has one."""
    try:
        from cryptography.hazmat.primitives.asymmetric import mlkem

        seed = sha256(b"cross-check") + sha256(b"z")
        private = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed)
    except Exception:
        return "not compared: this version of the package has no ML-KEM"
    public = ml_kem_public(seed[:32])
    assert private.public_key().public_bytes_raw() == public
    shared, ciphertext = ml_kem_encapsulate(public, sha256(b"m"))
    assert private.decapsulate(ciphertext) == shared
    return "agrees with the package's"


# --- Identities -------------------------------------------------------------------------------

ROLES = {"observer": 1, "contributor": 2, "admin": 3, "owner": 4}


def seed(text):
    return sha256(b"comity vectors: " + text.encode())


class Partner:
    def __init__(self, name):
        self.name = name
        self.root_seed, self.next_root_seed = seed(name + " root"), seed(name + " next root")
        self.signing_seed = seed(name + " signing")
        self.tls_pin = seed(name + " tls pin")
        self.node_name = name + "-1"
        self.validity = (1767225600000, 1798761600000)
        self.root = ed25519_public(self.root_seed)
        self.next_root = H("comity/v1/next-root", ed25519_public(self.next_root_seed))
        self.id = H("comity/v1/partner", self.root, self.next_root)
        self.signing = ed25519_public(self.signing_seed)
        self.writer = H("comity/v1/writer", self.signing)
        self.possession_digest = H(
            "comity/v1/possession", self.id, self.signing, self.tls_pin, self.node_name.encode()
        )
        self.possession = sign(self.signing_seed, "comity/v1/possession", self.possession_digest)
        self.certificate = [self.signing, self.tls_pin, self.node_name, *self.validity, self.possession]
        self.list = self.listing(1, [self])
        self.identity = self.identity_with(self.list)
        self.list_digest = H("comity/v1/certificates", self.name.encode(), msgpack(self.list))
        self.root_signature = self.identity[4]
        self.sealing_seed = seed(name + " sealing 1")

    def listing(self, number, nodes):
        return [1, 1, self.id, number, [node.certificate for node in nodes]]

    def identity_with(self, listed):
        digest = H("comity/v1/certificates", self.name.encode(), msgpack(listed))
        signature = sign(self.root_seed, "comity/v1/certificates", digest)
        return [self.name, self.root, self.next_root, listed, signature]

    def vector(self):
        public = x_wing_public(self.sealing_seed)
        return {
            "name": self.name,
            "root_seed": self.root_seed,
            "next_root_seed": self.next_root_seed,
            "signing_seed": self.signing_seed,
            "tls_pin": self.tls_pin,
            "node_name": self.node_name,
            "not_before_ms": self.validity[0],
            "not_after_ms": self.validity[1],
            "sealing_seed": self.sealing_seed,
            "root_key": self.root,
            "next_root": self.next_root,
            "partner": self.id,
            "signing_key": self.signing,
            "writer": self.writer,
            "possession_digest": self.possession_digest,
            "possession": self.possession,
            "certificates": msgpack(self.list),
            "certificates_digest": self.list_digest,
            "root_signature": self.root_signature,
            "identity": msgpack(self.identity),
            "sealing_key": public,
            "sealing_key_id": H("comity/v1/sealing-key", public),
        }


class FurtherNode:
    """A partner's second node."""

    def __init__(self, partner):
        name = partner.name + "-2"
        self.signing_seed = seed(name + " signing")
        signing, tls_pin = ed25519_public(self.signing_seed), seed(name + " tls pin")
        self.writer = H("comity/v1/writer", signing)
        digest = H("comity/v1/possession", partner.id, signing, tls_pin, name.encode())
        possession = sign(self.signing_seed, "comity/v1/possession", digest)
        self.certificate = [signing, tls_pin, name, *partner.validity, possession]


# --- Events -----------------------------------------------------------------------------------

KINDS = {
    "charter": 1, "accept": 2, "invite": 3, "grant": 4, "remove": 5, "suspend": 6, "leave": 7,
    "sealing-key": 8, "endorse": 9, "seat-move": 10, "seat-transfer": 11, "introduce": 12,
    "retire": 13, "merge": 16, "key": 32, "post": 33, "edit": 34, "redact": 35, "react": 36,
    "pin": 37, "receipt": 38, "file": 39, "cut": CUT, "ack": ACK, "evidence": EVIDENCE,
}  # fmt: skip
FIELDS = [
    "version", "suite", "channel", "lane", "writer", "seq", "prev", "deps", "control_heads",
    "claimed_ms", "kind", "precedence", "author", "about", "label", "key_event", "body_len",
    "commitment", "body_hash",
]  # fmt: skip


def lane_id(channel, form, partners):
    return H("comity/v1/lane", channel, form.encode(), *sorted(p.id for p in partners))


class Event:
    """A composed event, and what its past makes of its time and height."""

    def __init__(self, header, body, signer, prev, deps, heads, inputs, control):
        self.control = header["lane"] == control
        self.header, self.body, self.inputs = header, body, inputs
        self.prev = prev
        self.parents = parents = ([prev] if prev else []) + deps
        self.past = {event for near in parents + heads for event in near.past | {near}}
        self.frontier = {event for event in self.past if event.control}
        self.author, self.about, self.label = header["author"], header["about"], header["label"]
        self.signing_seed = signer.signing_seed
        self.bytes = msgpack([header[field] for field in FIELDS])
        self.id = H("comity/v1/event", self.bytes)
        self.signature = sign(signer.signing_seed, "comity/v1/event-signature", self.id)
        self.lane, self.writer, self.seq = header["lane"], header["writer"], header["seq"]
        self.kind = header["kind"]
        self.t = max([header["claimed_ms"]] + [parent.t for parent in parents])
        self.h = 1 + max([0] + [parent.h for parent in parents])

    def reference(self, lane, control_lane=None):
        named = None if self.lane in (lane, control_lane) else self.lane
        return [named, self.writer, self.seq, self.id]

    def timeline_key(self):
        return (self.t, self.h, self.writer, self.lane, self.seq, self.id)

    def vector(self, name):
        out = {"name": name, "signing_seed": self.signing_seed}
        out["header"] = {field: self.header[field] for field in FIELDS}
        out.update(self.inputs)
        out["body"] = self.body
        out["header_bytes"] = self.bytes
        out["associated_data"] = self.bytes[:-34]
        out["id"] = self.id
        out["signature"] = self.signature
        out["t"], out["h"] = self.t, self.h
        return out


class World:
    def __init__(self):
        self.partners = {name: Partner(name) for name in ("alfa", "bravo", "charlie", "delta")}
        self.nodes = {f"{name}-2": FurtherNode(partner) for name, partner in self.partners.items()}
        self.lanes, self.state = {}, None
        self.events, self.names = [], []
        self.clock = 1767225600000
        self.charter = None
        self.channel = None
        self.secrets = {}

    def found(self, by, nonce="charter nonce", history=1, quorum=0):
        creator = self.partners[by]
        self.charter = [
            1, 1, "operations", seed(nonce), creator.identity,
            x_wing_public(creator.sealing_seed), history, 1, quorum, None, None, None, 0,
        ]  # fmt: skip
        body = msgpack(self.charter)
        self.channel = H("comity/v1/channel", body)
        self.control = self.lane("control", [])
        self.state = State(self.channel, self.charter, self.lanes, H, msgpack)
        return self.event("charter", by, "charter", self.control, body=body)

    def lane(self, form, names):
        partners = [self.partners[name] for name in names]
        id = lane_id(self.channel, form, partners)
        self.lanes[id] = (form, {p.id for p in partners})
        return id

    def signer(self, by):
        return self.partners.get(by) or self.nodes[by]

    def head(self, lane, writer):
        log = [e for e in self.events if e.lane == lane and e.writer == writer]
        return log[-1] if log else None

    def named(self, name):
        return self.events[self.names.index(name)]

    def event(self, name, by, kind, lane, body=None, deps=(), heads=(), about=None, seal=None, **more):
        signer = self.signer(by)
        prev = self.head(lane, signer.writer)
        self.clock += 1000
        deps, heads = [self.named(d) for d in deps], [self.named(h) for h in heads]
        header = {
            "version": 1, "suite": 1, "channel": self.channel, "lane": lane,
            "writer": signer.writer, "seq": prev.seq + 1 if prev else 1,
            "prev": prev.id if prev else None,
            "deps": sorted((d.reference(lane) for d in deps), key=msgpack),
            "control_heads": sorted((h.reference(lane, self.control) for h in heads), key=msgpack),
            "claimed_ms": more.pop("claimed_ms", self.clock), "kind": KINDS[kind],
            "precedence": more.pop("precedence", 0), "author": more.pop("author", None),
            "about": self.named(about).reference(lane) if about else None,
            "label": more.pop("label", None), "key_event": None, "body_len": 0,
            "commitment": None, "body_hash": None,
        }  # fmt: skip
        inputs = more.pop("inputs", {})
        assert not more
        if seal:
            body, sealing = self.seal(header, *seal)
            inputs = {"sealing": sealing}
        header["body_len"], header["body_hash"] = len(body), H("comity/v1/body", body)
        event = Event(header, body, signer, prev, deps, heads, inputs, self.control)
        self.events.append(event)
        self.names.append(name)
        return event

    def evidence(self, name, by, of, **more):
        """Evidence that the signer of an event signed another one for its position."""
        event = self.named(of)
        twin = msgpack([{**event.header, "claimed_ms": 7}[field] for field in FIELDS])
        digest = H("comity/v1/event", twin)
        pairs = [(event.id, [event.bytes, event.signature])]
        pairs.append((digest, [twin, sign(event.signing_seed, "comity/v1/event-signature", digest)]))
        body = msgpack([signed for _, signed in sorted(pairs)])
        return self.event(name, by, "evidence", event.lane, body=body, **more)

    def ack(self, name, by, lane, number, **more):
        """An ack, with the base that its past gives it."""
        signer = self.signer(by)
        near = [self.head(lane, signer.writer)] if self.head(lane, signer.writer) else []
        near += [self.named(n) for n in (*more.get("deps", ()), *more.get("heads", ()))]
        past = {e for one in near for e in one.past | {one}}
        base = self.state.finality.base(lane, past, number)
        body = msgpack([number, base.digest if base else bytes(32)])
        event = self.event(name, by, "ack", lane, body=body, **more)
        self.state.finality.tell(event)
        return event

    def seal(self, header, key_event, plaintext):
        """Seals a body, filling in what the header says of it."""
        opened = self.named(key_event)
        secret = self.secrets[key_event]
        position = (header["lane"], header["writer"], be(header["seq"], 8))
        salt = H("comity/v1/test", b"salt", *position)[:16]
        commitment = H("comity/v1/plaintext", salt, plaintext)
        header["key_event"], header["commitment"] = opened.id, commitment
        header["body_len"] = 16 + len(plaintext) + 16
        header["body_hash"] = bytes(32)
        associated = msgpack([header[field] for field in FIELDS])[:-34]
        key = derive(secret, "comity/v1/event-key", *position)
        sealed = aes_gcm(key, commitment[:12], associated, salt + plaintext)
        return sealed, {
            "secret": secret,
            "salt": salt,
            "plaintext": plaintext,
            "event_key": key,
            "nonce": commitment[:12],
        }

    def key_event(self, name, by, lane, readers, secret=None, parts=(), last=True, **more):
        """One key event, wrapping a secret to each of the readers named."""
        writer = self.signer(by).writer
        prev = self.head(lane, writer)
        seq = prev.seq + 1 if prev else 1
        secret = secret or seed("epoch " + name)
        self.secrets[name] = secret
        wraps, inputs = [], []
        for reader in sorted((self.partners[r] for r in readers), key=lambda p: p.id):
            public = x_wing_public(reader.sealing_seed)
            key_id = H("comity/v1/sealing-key", public)
            info = H(
                "comity/v1/wrap", b"\x01", self.channel, lane, writer, be(seq, 8),
                reader.id, key_id,
            )  # fmt: skip
            randomness = seed(f"{name} {reader.name} 1") + seed(f"{name} {reader.name} 2")
            wrap = hpke_seal(public, info, secret, randomness)
            wraps.append([reader.id, key_id, wrap])
            inputs.append({
                "partner": reader.id,
                "sealing_seed": reader.sealing_seed,
                "randomness": randomness,
                "info": info,
                "wrap": wrap,
            })  # fmt: skip
        commitment = H("comity/v1/epoch-commitment", secret)
        parts = [self.named(part).id for part in parts] if last else None
        form, audience = self.lanes[lane]
        audience = sorted(audience) if form == "directed" else None
        body = msgpack([audience, parts, commitment, wraps])
        epoch = {
            "secret": secret, "commitment": commitment, "audience": audience, "parts": parts,
            "wraps": inputs,
        }  # fmt: skip
        return self.event(name, by, "key", lane, body=body, inputs={"epoch": epoch}, **more)


def message(text):
    return msgpack([text])


STRICTER = [
    "COMITY-DEMO", "RESTRICTED", [["REL TO", 2, ["ALFA"]], ["CODE", 1, ["X"]]], "bravo", 1767225600001,
]  # fmt: skip
LABEL = [
    "COMITY-DEMO", "RESTRICTED",
    [["REL TO", 2, ["ALFA", "BRAVO"]], ["EXERCISE", 3, []]],
    "alfa", 1767225600000,
]  # fmt: skip


def history(world):
    """A tiny history: members come and go, keys change, messages answer one another."""
    p = world.partners
    world.found("alfa")
    c = world.control

    def invite(name, whom, role, **more):
        body = msgpack([p[whom].identity, ROLES[role], []])
        world.event(name, "alfa", "invite", c, body=body, **more)

    def accept(name, whom, **more):
        body = msgpack([x_wing_public(p[whom].sealing_seed)])
        world.event(name, whom, "accept", c, body=body, **more)

    invite("invite bravo", "bravo", "contributor")
    invite("invite charlie", "charlie", "contributor")
    accept("bravo accepts", "bravo", deps=["invite charlie"])

    two = world.lane("open", ["alfa", "bravo"])
    world.key_event("alfa's key", "alfa", two, ["alfa", "bravo"], heads=["bravo accepts"])
    world.event("post", "alfa", "post", two, author="anna", seal=("alfa's key", message("Bridge is open.")))
    world.key_event("bravo's key", "bravo", two, ["alfa", "bravo"], deps=["post"])
    world.event(
        "reply", "bravo", "post", two, author="bo.larsen", about="post", precedence=3, label=LABEL,
        seal=("bravo's key", message("Zwölf Lkw unterwegs → ok?")), claimed_ms=0,
    )  # fmt: skip
    world.event(
        "reaction", "alfa", "react", two, author="anna", about="reply", deps=["reply"],
        seal=("alfa's key", msgpack(["+1", False])),
    )  # fmt: skip
    world.event(
        "edit", "alfa", "edit", two, author="anna", about="post",
        seal=("alfa's key", message("Bridge is open again.")),
    )  # fmt: skip

    accept("charlie accepts", "charlie", deps=["bravo accepts"])
    three = world.lane("open", ["alfa", "bravo", "charlie"])
    world.key_event(
        "charlie's key", "charlie", three, ["alfa", "bravo", "charlie"], heads=["charlie accepts"]
    )
    world.event(
        "charlie's post", "charlie", "post", three, author="chen",
        seal=("charlie's key", message("Charlie here.")), precedence=1,
    )  # fmt: skip
    world.key_event("alfa's second key", "alfa", three, ["alfa", "bravo", "charlie"], deps=["charlie's post"])
    world.event(
        "post to three", "alfa", "post", three, author="anna",
        seal=("alfa's second key", message("Wrong room.")),
    )  # fmt: skip

    world.event("bravo an admin", "alfa", "grant", c, body=msgpack([p["bravo"].id, 3, []]), deps=["charlie accepts"])
    world.event("charlie leaves", "charlie", "leave", c, body=msgpack([]), deps=["bravo an admin"])
    invite("invite delta", "delta", "observer", deps=["charlie leaves"])
    world.event("delta suspended", "bravo", "suspend", c, body=msgpack([p["delta"].id, []]), deps=["invite delta"])
    world.event("delta removed", "alfa", "remove", c, body=msgpack([p["delta"].id, []]), deps=["delta suspended"])
    world.event(
        "redaction", "alfa", "redact", two, author="anna", about="post to three",
        deps=["post to three"], heads=["delta removed"], seal=("alfa's key", msgpack(["wrong room"])),
    )  # fmt: skip

    p["bravo"].sealing_seed = seed("bravo sealing 2")
    body = msgpack([x_wing_public(p["bravo"].sealing_seed)])
    world.event("bravo's new key", "bravo", "sealing-key", c, body=body, deps=["delta removed"])
    secret = seed("epoch in two parts")
    world.key_event(
        "part one", "bravo", two, ["alfa"], secret=secret, last=False,
        deps=["redaction"], heads=["bravo's new key"],
    )  # fmt: skip
    world.key_event("part two", "bravo", two, ["bravo"], secret=secret, parts=["part one"])
    world.event(
        "last post", "bravo", "post", two, author="bo.larsen", precedence=2,
        seal=("part two", message("")),
    )  # fmt: skip
    return {"control": c, "two": two, "three": three}


def control_acts(world):
    """Ways to write control events: invite(name, by, whom, role, …) and so on."""
    p, c = world.partners, world.control

    def invite(name, by, whom, role, endorsed=(), **more):
        ids = sorted(world.named(e).id for e in endorsed)
        world.event(name, by, "invite", c, body=msgpack([p[whom].identity, ROLES[role], ids]), **more)

    def accept(name, whom, **more):
        world.event(name, whom, "accept", c, body=msgpack([x_wing_public(p[whom].sealing_seed)]), **more)

    def endorse(name, by, kind, subject, role=0, **more):
        proposal = H("comity/v1/proposal", world.channel, be(KINDS[kind], 1), subject, be(role, 1))
        world.event(name, by, "endorse", c, body=msgpack([proposal]), **more)

    return invite, accept, endorse


def coalition(world):
    """Owners by quorum, several writers, directed lanes, a root's transfer, a removal, a return."""
    p = world.partners
    world.found("alfa", nonce="coalition nonce", quorum=2)
    c = world.control
    invite, accept, endorse = control_acts(world)
    write = world.event

    # Bravo becomes an owner by a quorum of one, since there is one owner.
    endorse("alfa for bravo", "alfa", "invite", msgpack(p["bravo"].identity), 4)
    invite("invite bravo", "alfa", "bravo", "owner", ["alfa for bravo"])
    accept("bravo accepts", "bravo", deps=["invite bravo"])

    two = world.lane("open", ["alfa", "bravo"])
    world.key_event("alfa's key", "alfa", two, ["alfa", "bravo"], heads=["bravo accepts"])
    write("labelled post", "alfa", "post", two, author="anna", label=LABEL,
          seal=("alfa's key", message("Convoy leaves at six.")))
    world.key_event("bravo's key", "bravo", two, ["alfa", "bravo"], deps=["labelled post"])
    write("reply that dominates", "bravo", "post", two, author="bo.larsen", about="labelled post",
          label=STRICTER, seal=("bravo's key", message("Copied.")))
    write("reply without a label", "bravo", "post", two, author="bo.larsen", about="labelled post",
          seal=("bravo's key", message("Which route?")))

    # Charlie joins; what is said of the older post goes to its readers alone.
    invite("invite charlie", "alfa", "charlie", "contributor", deps=["bravo accepts"])
    accept("charlie accepts", "charlie", deps=["invite charlie"])
    pair = world.lane("directed", ["alfa", "bravo"])
    world.key_event("alfa's directed key", "alfa", pair, ["alfa", "bravo"],
                    deps=["reply without a label"], heads=["charlie accepts"])
    write("edit for the older readers", "alfa", "edit", pair, author="anna", about="labelled post",
          label=LABEL, seal=("alfa's directed key", message("Convoy leaves at seven.")))
    write("edit by another user", "alfa", "edit", pair, author="arne", about="labelled post",
          label=LABEL, seal=("alfa's directed key", message("Convoy stays.")))
    world.key_event("bravo's directed key", "bravo", pair, ["alfa", "bravo"], deps=["edit by another user"])
    write("reaction", "bravo", "react", pair, author="bo.larsen", about="labelled post", label=LABEL,
          seal=("bravo's directed key", msgpack(["+1", False])))

    aside = world.lane("directed", ["alfa", "charlie"])
    world.key_event("alfa's key aside", "alfa", aside, ["alfa", "charlie"], heads=["charlie accepts"])
    write("post aside", "alfa", "post", aside, author="anna", seal=("alfa's key aside", message("Between us.")))
    world.key_event("charlie's key aside", "charlie", aside, ["alfa", "charlie"], deps=["post aside"])
    aside_body = {"author": "chen", "about": "post aside"}
    write("receipt", "charlie", "receipt", aside, seal=("charlie's key aside", msgpack([2])), **aside_body)
    write("pin", "charlie", "pin", aside, seal=("charlie's key aside", msgpack([False])), **aside_body)
    file = ["plan.pdf", "application/pdf", 1100000, seed("file key"), [seed("chunk 1"), seed("chunk 2")]]
    write("file", "charlie", "file", aside, seal=("charlie's key aside", msgpack(file)), **aside_body)
    write("withdrawn file", "charlie", "redact", aside, author="chen", about="file",
          seal=("charlie's key aside", msgpack(["old plan"])))

    three = world.lane("open", ["alfa", "bravo", "charlie"])
    everybody = ["alfa", "bravo", "charlie"]
    world.key_event("alfa's key for three", "alfa", three, everybody, heads=["charlie accepts"])
    write("post to three", "alfa", "post", three, author="anna",
          seal=("alfa's key for three", message("All stations.")))

    # Bravo's second writer, and its seat.
    listed = p["bravo"].listing(2, [p["bravo"], world.nodes["bravo-2"]])
    write("second writer", "bravo", "introduce", c, body=msgpack([p["bravo"].identity_with(listed)]),
          deps=["charlie accepts"])
    world.key_event("second writer's key", "bravo-2", three, everybody, heads=["second writer"])
    write("second writer's post", "bravo-2", "post", three, author="bo.larsen", precedence=2,
          deps=["post to three"], about="post to three",
          seal=("second writer's key", message("From the ship.")))
    write("seat moves", "bravo", "seat-move", c, body=msgpack([world.nodes["bravo-2"].writer]))
    p["bravo"].sealing_seed = seed("bravo sealing 2")
    write("bravo's new key", "bravo-2", "sealing-key", c, deps=["seat moves"],
          body=msgpack([x_wing_public(p["bravo"].sealing_seed)]))
    invite("invite delta", "alfa", "delta", "contributor", deps=["seat moves"])
    invite("invite in vain", "charlie", "delta", "observer", deps=["seat moves"])
    write("merge", "bravo", "merge", c, body=msgpack([]),
          deps=["bravo's new key", "invite delta", "invite in vain"])

    # Charlie's root moves its seat. What the old node said without knowing stands as far as cited.
    world.key_event("charlie's key", "charlie", three, everybody,
                    deps=["second writer's post"], heads=["merge"])
    write("charlie's post", "charlie", "post", three, author="chen",
          seal=("charlie's key", message("Node is acting up.")))
    charlie, second = p["charlie"], world.nodes["charlie-2"]
    listed = charlie.listing(2, [second])
    after = world.named("merge").id
    digest = H("comity/v1/seat-transfer", world.channel, msgpack(listed), second.writer, after)
    signature = sign(charlie.root_seed, "comity/v1/seat-transfer", digest)
    write("seat transfer", "alfa", "seat-transfer", c, deps=["merge"],
          body=msgpack([listed, second.writer, after, signature]))
    write("cut in three", "alfa", "cut", three, body=msgpack([]), deps=["charlie's post"], heads=["seat transfer"])
    write("charlie's late post", "charlie", "post", three, author="chen",
          seal=("charlie's key", message("Was I replaced?")))
    write("cut of the second writer", "bravo-2", "cut", three, body=msgpack([]),
          deps=["cut in three"])
    write("cut aside", "alfa", "cut", aside, body=msgpack([]), deps=["withdrawn file"], heads=["seat transfer"])
    write("first event is a cut", "charlie-2", "cut", three, body=msgpack([]), deps=["cut of the second writer"])
    world.key_event("new seat's key", "charlie-2", three, everybody)
    write("new seat's post", "charlie-2", "post", three, author="chen", about="charlie's post",
          seal=("new seat's key", message("New node.")))

    # Delta is made an owner by a quorum of two, and removed by one.
    accept("delta accepts", "delta", deps=["seat transfer"])
    endorse("alfa for delta", "alfa", "grant", p["delta"].id, 4, deps=["delta accepts"])
    endorse("bravo for delta", "bravo-2", "grant", p["delta"].id, 4, deps=["delta accepts"])

    def listing(*names):
        return sorted(world.named(name).id for name in names)

    both = listing("alfa for delta", "bravo for delta")
    write("delta an owner", "bravo-2", "grant", c, body=msgpack([p["delta"].id, 4, both]), deps=["alfa for delta"])
    four, everybody = world.lane("open", ["alfa", "bravo", "charlie", "delta"]), [*everybody, "delta"]
    world.key_event("delta's key", "delta", four, everybody, heads=["delta an owner"])
    write("delta's post", "delta", "post", four, author="dora", seal=("delta's key", message("Hello.")))
    world.key_event("alfa's key for four", "alfa", four, everybody, heads=["delta an owner"])
    write("answer to delta", "alfa", "post", four, author="anna", about="delta's post", deps=["delta's post"],
          seal=("alfa's key for four", message("Welcome.")))
    endorse("alfa against delta", "alfa", "remove", p["delta"].id, deps=["delta an owner"])
    endorse("bravo against delta", "bravo-2", "remove", p["delta"].id, deps=["alfa against delta"])
    write("delta removed", "alfa", "remove", c, deps=["bravo against delta"],
          body=msgpack([p["delta"].id, listing("alfa against delta", "bravo against delta")]))
    write("struck grant", "delta", "grant", c, body=msgpack([p["charlie"].id, 3, []]), deps=["bravo against delta"])
    write("seen before the cut", "delta", "post", four, author="dora",
          seal=("delta's key", message("Still here.")))
    write("seen after the cut", "delta", "post", four, author="dora", deps=["answer to delta"],
          seal=("delta's key", message("And still here.")))
    write("cut in four", "alfa", "cut", four, body=msgpack([]), deps=["seen before the cut"],
          heads=["delta removed", "struck grant"])
    write("late redaction", "delta", "redact", four, author="dora", about="delta's post",
          seal=("delta's key", msgpack([""])))

    # Delta returns, as a contributor.
    invite("invite delta again", "alfa", "delta", "contributor", deps=["struck grant"])
    accept("delta accepts again", "delta", deps=["invite delta again"])
    world.key_event("delta's key again", "delta", four, everybody, deps=["cut in four"],
                    heads=["delta accepts again"])
    write("delta's post again", "delta", "post", four, author="dora",
          seal=("delta's key again", message("Thank you.")), claimed_ms=0)
    world.key_event("alfa's key again", "alfa", four, everybody, deps=["delta's post again"])
    write("end of time", "alfa", "post", four, author="anna", about="delta's post again",
          seal=("alfa's key again", message("Clocks lie.")), claimed_ms=(1 << 64) - 1)
    write("after the end of time", "alfa", "post", four, author="anna",
          seal=("alfa's key again", message("They do.")))
    lanes = {"control": c, "two": two, "pair": pair, "aside": aside, "three": three, "four": four}
    return lanes, [
        "reply without a label", "reaction", "withdrawn file", "second writer's post", "merge",
        "charlie's post", "seat transfer", "charlie's late post", "cut aside", "new seat's post",
        "delta an owner", "delta removed", "struck grant", "seen after the cut", "cut in four",
        "late redaction", "delta accepts again", "after the end of time",
    ]  # fmt: skip


def whole_history(world):
    """A channel whose history is for all: who joins reads the older lanes, by keys that are given."""
    world.found("alfa", nonce="whole history nonce", history=2)
    c = world.control
    invite, accept, _ = control_acts(world)
    write = world.event
    invite("invite bravo", "alfa", "bravo", "contributor")
    accept("bravo accepts", "bravo", deps=["invite bravo"])
    two = world.lane("open", ["alfa", "bravo"])
    world.key_event("bravo's key", "bravo", two, ["alfa", "bravo"], heads=["bravo accepts"])
    write("older post", "bravo", "post", two, author="bo.larsen", seal=("bravo's key", message("Before.")))
    write("older post withdrawn", "bravo", "post", two, author="bo.larsen",
          seal=("bravo's key", message("Wrong.")))
    pair = world.lane("directed", ["alfa", "bravo"])
    world.key_event("bravo's directed key", "bravo", pair, ["alfa", "bravo"], deps=["older post withdrawn"])
    invite("invite charlie", "alfa", "charlie", "contributor", deps=["bravo accepts"])
    accept("charlie accepts", "charlie", deps=["invite charlie"])
    everybody = ["alfa", "bravo", "charlie"]
    three = world.lane("open", everybody)
    world.key_event("charlie's key", "charlie", three, everybody, deps=["older post withdrawn"],
                    heads=["charlie accepts"])
    write("reaction to the older post", "charlie", "react", three, author="chen", about="older post",
          seal=("charlie's key", msgpack(["+1", False])))
    world.key_event("bravo's key for three", "bravo", three, everybody,
                    deps=["reaction to the older post"])
    write("edit for all", "bravo", "edit", three, author="bo.larsen", about="older post",
          seal=("bravo's key for three", message("Before, and after.")))
    write("redaction for all", "bravo", "redact", three, author="bo.larsen", about="older post withdrawn",
          seal=("bravo's key for three", msgpack(["wrong"])))
    world.key_event("bravo's second directed key", "bravo", pair, ["alfa", "bravo"],
                    deps=["redaction for all"])
    write("edit for too few", "bravo", "edit", pair, author="bo.larsen", about="older post",
          seal=("bravo's second directed key", message("Before!")))
    lanes = {"control": c, "two": two, "pair": pair, "three": three}
    return lanes, ["bravo's directed key", "reaction to the older post", "edit for too few"]


def disputes(world):
    """Control acts that meet: what strikes what, and of acts that would undo each other, none."""
    p = world.partners
    world.found("alfa", nonce="disputes nonce", quorum=2)
    c = world.control
    invite, accept, endorse = control_acts(world)

    def act(name, by, kind, *fields, deps=()):
        world.event(name, by, kind, c, body=msgpack(list(fields)), deps=deps)

    def ids(*names):
        return sorted(world.named(name).id for name in names)

    endorse("alfa for bravo", "alfa", "invite", msgpack(p["bravo"].identity), 4)
    invite("invite bravo", "alfa", "bravo", "owner", ["alfa for bravo"])
    invite("invite charlie", "alfa", "charlie", "admin")
    invite("invite delta", "alfa", "delta", "contributor")
    accept("bravo accepts", "bravo", deps=["invite delta"])
    accept("charlie accepts", "charlie", deps=["bravo accepts"])
    accept("delta accepts", "delta", deps=["charlie accepts"])

    # An admin acts while an owner lowers it, and after: the one is struck, the other has no rank.
    act("charlie lowered", "alfa", "grant", p["charlie"].id, 2, [], deps=["delta accepts"])
    act("charlie suspends delta", "charlie", "suspend", p["delta"].id, [], deps=["delta accepts"])
    act("charlie too late", "charlie", "remove", p["delta"].id, [], deps=["charlie lowered"])
    act("charlie an admin again", "alfa", "grant", p["charlie"].id, 3, [], deps=["charlie too late"])

    # Charlie an owner by a quorum. Endorsements that counted are spent.
    act("delta an admin", "bravo", "grant", p["delta"].id, 3, [], deps=["charlie an admin again"])
    endorse("alfa for charlie", "alfa", "grant", p["charlie"].id, 4, deps=["delta an admin"])
    endorse("bravo for charlie", "bravo", "grant", p["charlie"].id, 4, deps=["alfa for charlie"])
    both = ids("alfa for charlie", "bravo for charlie")
    act("charlie an owner", "alfa", "grant", p["charlie"].id, 4, both, deps=["bravo for charlie"])
    act("spent endorsements", "bravo", "grant", p["charlie"].id, 4, both, deps=["charlie an owner"])

    # Bravo is removed while its endorsement is to make delta an owner: it is struck.
    endorse("alfa against bravo", "alfa", "remove", p["bravo"].id, deps=["spent endorsements"])
    endorse("charlie against bravo", "charlie", "remove", p["bravo"].id, deps=["alfa against bravo"])
    act("bravo removed", "alfa", "remove", p["bravo"].id, ids("alfa against bravo", "charlie against bravo"),
        deps=["charlie against bravo"])
    endorse("bravo for delta", "bravo", "grant", p["delta"].id, 4, deps=["charlie against bravo"])
    endorse("charlie for delta", "charlie", "grant", p["delta"].id, 4, deps=["bravo for delta"])
    act("a struck endorsement", "charlie", "grant", p["delta"].id, 4, ids("bravo for delta", "charlie for delta"))

    # A suspension, a return; a writer that is introduced and retired; a root over its seat.
    act("delta suspended", "charlie", "suspend", p["delta"].id, [], deps=["bravo removed"])
    invite("invite delta again", "charlie", "delta", "observer")
    accept("delta accepts again", "delta", deps=["invite delta again"])
    delta, second = p["delta"], world.nodes["delta-2"]
    further = delta.identity_with(delta.listing(2, [delta, second]))
    act("second writer", "delta", "introduce", further)
    act("second list of that number", "delta", "introduce", further)
    act("second writer retired", "delta", "retire", second.writer)
    act("the seat cannot retire", "delta", "retire", delta.writer)

    def transfer(name, by, partner, number, seat, after, deps):
        listed = partner.listing(number, [seat])
        after = world.named(after).id
        digest = H("comity/v1/seat-transfer", world.channel, msgpack(listed), seat.writer, after)
        signature = sign(partner.root_seed, "comity/v1/seat-transfer", digest)
        act(name, by, "seat-transfer", listed, seat.writer, after, signature, deps=deps)

    transfer("charlie's seat", "alfa", p["charlie"], 3, world.nodes["charlie-2"], "delta suspended",
             ["the seat cannot retire"])
    act("by the old seat", "charlie", "grant", p["delta"].id, 3, [], deps=["the seat cannot retire"])
    transfer("an old transfer", "alfa", p["charlie"], 2, p["charlie"], "delta suspended", [])
    act("by the new seat", "charlie-2", "grant", p["delta"].id, 2, [], deps=["an old transfer", "by the old seat"])

    # Two owners remove each other. Neither outranks the other: both are removed.
    endorse("alfa against charlie", "alfa", "remove", p["charlie"].id, deps=["by the new seat"])
    endorse("charlie against alfa", "charlie-2", "remove", p["alfa"].id)
    act("charlie removed", "alfa", "remove", p["charlie"].id, ids("alfa against charlie"))
    act("alfa removed", "charlie-2", "remove", p["alfa"].id, ids("charlie against alfa"))
    act("delta leaves", "delta", "leave", deps=["charlie removed", "alfa removed"])
    return {"control": c}, [name for name in world.names[3:]]


def forks(world):
    """What evidence proves, voids and marks. The second event of a position is in the evidence alone."""
    p = world.partners
    world.found("alfa", nonce="forks nonce", quorum=2)
    c = world.control
    invite, accept, endorse = control_acts(world)

    def act(name, by, kind, *fields, deps=()):
        world.event(name, by, kind, c, body=msgpack(list(fields)), deps=deps)

    def say(name, by, lane, key, deps=(), heads=(), **more):
        seal = (key, message(name))
        world.event(name, by, "post", lane, author="anna", deps=deps, heads=heads, seal=seal, **more)

    endorse("alfa for bravo", "alfa", "invite", msgpack(p["bravo"].identity), 4)
    invite("invite bravo", "alfa", "bravo", "owner", ["alfa for bravo"])
    invite("invite charlie", "alfa", "charlie", "contributor")
    invite("invite delta", "alfa", "delta", "contributor")
    accept("bravo accepts", "bravo", deps=["invite delta"])
    accept("charlie accepts", "charlie", deps=["bravo accepts"])
    accept("delta accepts", "delta", deps=["charlie accepts"])
    four = world.lane("open", ["alfa", "bravo", "charlie", "delta"])
    pair = world.lane("directed", ["alfa", "bravo"])
    members = ["alfa", "bravo", "charlie", "delta"]

    # Bravo writes in both lanes; alfa has seen the first of two in the narrower one.
    world.key_event("bravo's key", "bravo", four, members, heads=["delta accepts"])
    say("bravo to all", "bravo", four, "bravo's key")
    world.key_event("bravo's key for alfa", "bravo", pair, ["alfa", "bravo"], deps=["bravo to all"])
    say("bravo to alfa", "bravo", pair, "bravo's key for alfa")
    world.key_event("alfa's key for bravo", "alfa", pair, ["alfa", "bravo"], deps=["bravo to alfa"])
    say("bravo to alfa again", "bravo", pair, "bravo's key for alfa")

    # A quorum of alfa and bravo makes charlie an owner; with the proof one of them is left.
    endorse("alfa for charlie", "alfa", "grant", p["charlie"].id, 4, deps=["delta accepts"])
    endorse("bravo for charlie", "bravo", "grant", p["charlie"].id, 4, deps=["alfa for charlie"])
    both = sorted(world.named(name).id for name in ("alfa for charlie", "bravo for charlie"))
    act("charlie an owner", "alfa", "grant", p["charlie"].id, 4, both, deps=["bravo for charlie"])
    act("delta an observer", "bravo", "grant", p["delta"].id, 1, [], deps=["charlie an owner"])
    world.evidence("a later fork", "delta", "delta an observer", deps=["delta an observer"])
    world.evidence("an earlier fork", "charlie", "bravo for charlie", deps=["delta an observer"])
    act("charlie lowered", "alfa", "grant", p["charlie"].id, 1, [], deps=["a later fork", "an earlier fork"])

    # Who was proved a forker writes on, and forks the lane of all too.
    say("bravo goes on", "bravo", four, "bravo's key")
    world.key_event("alfa's key", "alfa", four, members, deps=["bravo goes on"], heads=["charlie lowered"])
    world.evidence("a fork in the open lane", "delta", "bravo to all", deps=["alfa's key"])
    say("alfa to all", "alfa", four, "alfa's key", deps=["a fork in the open lane"])
    moments = ["bravo to alfa again", "delta an observer", "a later fork", "an earlier fork",
               "charlie lowered", "bravo goes on", "alfa to all"]  # fmt: skip
    return {"control": c, "four": four, "pair": pair}, moments


def acknowledged(world):
    """Barriers of two lanes, and what comes too late for them."""
    p = world.partners
    world.found("alfa", nonce="acknowledged nonce")
    c = world.control
    invite, accept, _ = control_acts(world)

    def say(name, by, key, deps=(), **more):
        world.event(name, by, "post", trio, author="anna", deps=deps, seal=(key, message(name)), **more)

    def rounds(lane, names, numbers, after):
        """Each cites the last one's ack, and so all before it."""
        for number in numbers:
            for name in names:
                ack = f"{name} {number} {'control' if lane == c else 'trio'}"
                own = world.head(lane, p[name].writer)
                world.ack(ack, name, lane, number, deps=[] if own is world.named(after) else [after])
                after = ack
        return after

    invite("invite bravo", "alfa", "bravo", "admin")
    invite("invite charlie", "alfa", "charlie", "contributor")
    invite("invite delta", "alfa", "delta", "admin")
    accept("bravo accepts", "bravo", deps=["invite delta"])
    accept("charlie accepts", "charlie", deps=["bravo accepts"])
    accept("delta accepts", "delta", deps=["charlie accepts"])
    listed = p["bravo"].listing(2, [p["bravo"], world.nodes["bravo-2"]])
    body = msgpack([p["bravo"].identity_with(listed)])
    world.event("bravo's second node", "bravo", "introduce", c, body=body, deps=["delta accepts"])
    trio = world.lane("directed", ["alfa", "bravo", "charlie"])
    readers = ["alfa", "bravo", "charlie"]

    # A slow node of bravo writes, unheard. Three acknowledge what the others say.
    world.key_event("the slow node's key", "bravo-2", trio, readers, heads=["bravo's second node"])
    world.key_event("charlie's key", "charlie", trio, readers, heads=["bravo's second node"])
    say("charlie to three", "charlie", "charlie's key")
    after = rounds(trio, readers[:1], [1], "charlie to three")
    after = rounds(trio, readers[1:], [1], after)
    after = rounds(trio, readers, [2, 3], after)

    # The founder's set grows by those who enter. Delta has heard nothing and removes charlie.
    world.event("charlie merges", "charlie", "merge", c, body=msgpack([]), deps=["bravo's second node"])
    rounds(c, readers, [1, 2, 3], "charlie merges")
    removal = msgpack([p["charlie"].id, []])
    world.event("remove charlie", "delta", "remove", c, body=removal, deps=["bravo's second node"])
    say("the slow node to three", "bravo-2", "the slow node's key", claimed_ms=5)
    say("charlie again", "charlie", "charlie's key")
    moments = ["alfa 3 trio", "charlie 3 trio", "charlie merges", "charlie 3 control", "remove charlie",
               "the slow node to three", "charlie again"]  # fmt: skip
    return {"control": c, "trio": trio}, moments


def given_key(world, key_event, recipient):
    """A secret that one reader gives to another."""
    partner, opened = world.partners[recipient], world.named(key_event)
    public = x_wing_public(partner.sealing_seed)
    key_id = H("comity/v1/sealing-key", public)
    parts = (b"\x01", world.channel, opened.lane, opened.id, partner.id, key_id)
    info = H("comity/v1/given-key", *parts)
    randomness = seed("given 1") + seed("given 2")
    secret = world.secrets[key_event]
    return {
        "channel": world.channel,
        "lane": opened.lane,
        "key_event": opened.id,
        "commitment": H("comity/v1/epoch-commitment", secret),
        "secret": secret,
        "recipient": partner.id,
        "sealing_seed": partner.sealing_seed,
        "sealing_key": key_id,
        "randomness": randomness,
        "info": info,
        "sealed": hpke_seal(public, info, secret, randomness),
    }


# --- Digests ----------------------------------------------------------------------------------


def heads(world, events, lane):
    latest = {}
    for event in events:
        if event.lane == lane:
            latest[event.writer] = [event.writer, event.seq, event.id]
    return sorted(latest.values())


def moment(world, lanes, upto):
    """The digests once the history has come to an event, as whoever holds just that computes them."""
    events = world.events[: world.names.index(upto) + 1]
    state = world.state
    view = state.view({e for e in events if e.control})
    active = view.active()
    # Nodes compare the lanes that all present members read.
    joined = {"timeline": b"", "state": b""}
    out = []
    for name, lane in sorted(lanes.items(), key=lambda item: item[1]):
        of_lane = [e for e in events if e.lane == lane]
        if not of_lane:
            continue
        messages = [e for e in of_lane if 33 <= e.kind <= 39]
        redacted, flagged = [], []
        if name == "control":
            rows = sorted(standing.row(partner) for partner, standing in view.members.items())
            content = [rows, sorted(act.id for act in view.effective)]
            common = True
        else:
            standing = state.standing_events(events, lane, view)
            flagged = [e for e in messages if e not in standing]
            redactions = [e for e in messages if e.kind == 35 and e in standing]
            redacted = {state.target(e, events) for e in redactions} - {None}
            marked = state.marked(events, lane)
            forked = [e for e in messages if e in marked]
            content = [sorted(e.id for e in some) for some in (redacted, flagged, forked)]
            common = active <= state.readers(lane, active)
        places, late = state.finality.places(lane, events)
        standing = [e for e in messages if e not in redacted and e not in flagged]
        shown = sorted(standing, key=lambda e: places[e] + e.timeline_key()[2:])
        listed = heads(world, events, lane)
        digests = {
            "timeline": H("comity/v1/timeline", b"".join(e.id for e in shown)),
            "state_bytes": msgpack(content),
            "state": H("comity/v1/state", msgpack(content)),
        }
        for kind in joined:
            if common and (kind == "state" or name != "control"):
                joined[kind] += world.channel + lane + digests[kind]
        out.append({
            "name": name,
            "lane": lane,
            **digests,
            "barriers": [{"number": b.number, "digest": b.digest} for b in state.finality.standing(lane, events)],
            "late": sorted(e.id for e in messages if e in late),
            "final": sorted(e.id for e in state.finality.finals(lane, world.control, events)),
            "heads": [{"writer": w, "seq": s, "id": i} for w, s, i in listed],
            "heads_digest": H("comity/v1/heads", msgpack(listed)),
        })  # fmt: skip
    return {
        "upto": upto,
        "lanes": out,
        "node_timeline": H("comity/v1/lanes", joined["timeline"]),
        "node_state": H("comity/v1/lanes", joined["state"]),
    }


# --- Frames -----------------------------------------------------------------------------------


def frame(number, contents):
    return bytes([number]) + msgpack(contents)


def difference(time, before):
    """A claimed time by its difference d to the one before: 2d, or -2d - 1 where d is negative."""
    d = (time - before) % (1 << 64)
    d -= 1 << 64 if d >= 1 << 63 else 0
    return 2 * d if d >= 0 else -2 * d - 1


class Packer:
    """The sending end of one stream."""

    def __init__(self):
        self.contexts = {}

    def pack(self, event):
        h = event.header
        log = (h["channel"], h["lane"], h["writer"])
        number = self.contexts.setdefault(log, [len(self.contexts), None, None, None, None])[0]
        _, seq, last, known, before = self.contexts[log]
        follows = seq is not None and seq + 1 == h["seq"] and last == h["prev"]
        known = known if follows else None
        start = None if follows else [h["channel"], h["lane"], h["writer"], h["seq"], h["prev"]]
        key = event.id if h["kind"] == 32 else h["key_event"] or known
        self.contexts[log] = [number, h["seq"], event.id, key, h["claimed_ms"]]
        claimed = difference(h["claimed_ms"], before) if follows else h["claimed_ms"]
        return [
            number, start, event.signature, claimed, h["kind"], h["precedence"], h["author"],
            h["deps"], h["control_heads"], h["about"], h["label"],
            None if h["key_event"] == known else h["key_event"], h["commitment"], event.body,
        ]  # fmt: skip


def frames(world, lanes, moments, given):
    """A frame of every type, as fields and as bytes."""
    two, c, channel = lanes["two"], lanes["control"], world.channel
    alfa, bravo = world.partners["alfa"], world.partners["bravo"]
    have = [{"channel": channel, "lane": x["lane"], "digest": x["heads_digest"]} for x in moments[-1]["lanes"]]
    told = [{"writer": w, "seq": s, "id": i} for w, s, i in heads(world, world.events, two)]
    in_control = {"channel": channel, "lane": c, "writer": alfa.writer}
    in_two = {"channel": channel, "lane": two, "writer": bravo.writer}
    in_given = {field: given[field] for field in ("channel", "lane", "sealing_key")}
    of_file = {"channel": channel, "lane": two, "file": H("comity/v1/test", b"file")}
    post = Packer().pack(world.named("post"))
    listed = [
        ("hello", 1, {"version": 1, "partner": alfa.id}),
        ("have", 2, {"lanes": have}),
        ("have, empty", 2, {"lanes": []}),
        ("ask-heads", 3, {"channel": channel, "lane": two}),
        ("heads, all", 4, {"channel": channel, "lane": two, "all": True, "logs": told}),
        ("heads, an advert", 4, {"channel": channel, "lane": two, "all": False, "logs": told[:1]}),
        ("want", 5, {**in_control, "from": 1, "to": 2048}),
        ("want, high positions", 5, {**in_two, "from": 70000, "to": (1 << 64) - 1}),
        ("events", 6, {"events": ["post"]}),
        ("range-end", 7, {**in_control, "to": 300}),
        ("refused, no such lane", 8, {"channel": channel, "lane": two, "reason": 1}),
        ("refused, later", 8, {"channel": channel, "lane": two, "reason": 2}),
        ("lane, open", 9, {"channel": channel, "form": 2, "audience": sorted([alfa.id, bravo.id])}),
        ("lane, directed", 9, {"channel": channel, "form": 3, "audience": [alfa.id]}),
        ("ask-keys", 10, {"channel": channel, "lane": two, "key_events": sorted(
            world.named(name).id for name in ("alfa's key", "bravo's key"))}),
        ("keys", 11, {**in_given, "keys": [{"key_event": given["key_event"], "sealed": given["sealed"]}]}),
        ("keys, none held", 11, {**in_given, "keys": []}),
        ("ask-piece", 12, {**of_file, "chunk": 0, "offset": 0}),
        ("ask-piece, the last of all", 12, {**of_file, "chunk": 1023, "offset": 1048576}),
        ("piece", 13, {**of_file, "chunk": 1, "offset": 131072, "bytes": b"sealed"}),
        ("piece, nothing for you", 13, {**of_file, "chunk": 1, "offset": 131072, "bytes": b""}),
        ("ephemeral", 14, {"channel": channel, "signs": [
            {"user": "bo.larsen", "activity": 1, "root": world.named("post").id},
            {"user": "bo.larsen", "activity": 1, "root": None}, {"user": "anna", "activity": 5, "root": None}]}),
    ]

    def contents(value):
        if isinstance(value, dict):
            return [contents(item) for item in value.values()]
        if isinstance(value, list):
            return [post if item == "post" else contents(item) for item in value]
        return value

    return [{"name": name, "type": number, **fields, "frame": frame(number, contents(fields))} for name, number, fields in listed]


PACKED = [
    "alfa's key", "post", "bravo's key", "reply", "reaction", "charter", "invite bravo", "redaction",
    "part one", "part two", "last post", "charlie's key", "charlie's post", "bravo accepts",
]  # fmt: skip


# Of the coalition: times that go on, go back to 0 and forward to the last; a directed lane; cuts.
PACKED_COALITION = [
    "alfa's key aside", "post aside", "charlie's key aside", "receipt", "pin", "cut aside",
    "seat transfer", "delta accepts", "alfa for delta", "delta's key", "delta's post",
    "seen before the cut", "seen after the cut", "late redaction", "delta's key again",
    "delta's post again", "alfa's key again", "end of time", "after the end of time",
    "second writer", "seat moves", "merge", "charlie's post", "charlie's late post",
]  # fmt: skip


def packed_stream(world, names):
    packer = Packer()
    packed = [packer.pack(world.named(name)) for name in names]
    return [
        {
            "event": name,
            "log": item[0],
            "opens": item[1] is not None,
            "claimed": item[3],
            "key_event_travels": item[11] is not None,
            "packed": msgpack(item),
            "frame": frame(6, [[item]]),
        }
        for name, item in zip(names, packed)
    ]


# --- Bodies -----------------------------------------------------------------------------------


def bodies(world):
    """A body of every form, of version 1 and reserved."""
    bravo = world.partners["bravo"]
    one, two = world.events[0], world.events[1]
    twin = World.evidence(world, "twin", "alfa", world.names[1]).body
    world.events.pop(), world.names.pop()
    a, b, x = H("comity/v1/test", b"a"), H("comity/v1/test", b"b"), H("comity/v1/test", b"x")
    full = [
        1, 1, "name.with-all_3", x, bravo.identity, x_wing_public(bravo.sealing_seed), 1, 2, 64,
        "policy", LABEL, 365, 1 << 40,
    ]  # fmt: skip
    samples = [
        ("charter", world.charter),
        ("charter", full),
        ("sealing-key", [x_wing_public(bravo.sealing_seed)]),
        ("invite", [bravo.identity, 2, []]),
        ("invite", [bravo.identity, 4, sorted([a, b])]),
        ("grant", [bravo.id, 3, []]),
        ("remove", [bravo.id, []]),
        ("empty", []),
        ("endorse", [x]),
        ("key", [None, [], x, [[bravo.id, a, bytes(range(256)) * 4 + bytes(144)]]]),
        ("key", [sorted([bravo.id, one.id]), [b], x, [[bravo.id, a, bytes(1168)]]]),
        ("key", [None, None, x, [[bravo.id, a, bytes(1168)]]]),
        ("ack", [7, x]),
        ("floor", [3, x]),
        ("message", ["text \u202e with *any* Unicode: e\u0301, \U0001f600"]),
        ("message", [""]),
        ("redact", ["a reason"]),
        ("react", ["\U0001f44d", True]),
        ("writer", [bravo.writer]),
        ("certificates", [bravo.identity]),
        ("seat-transfer", [bravo.list, bravo.writer, x, bravo.root_signature]),
        ("retention", [30]),
        ("pin", [False]),
        ("receipt", [2]),
        ("file", ["plan.pdf", "application/pdf", 1100000, x, [a, b]]),
        ("roster", [[["anna", "", False], ["bo.larsen", "Bo Larsen", True]]]),
    ]
    out = [{"form": form, "bytes": msgpack(value)} for form, value in samples]
    return out + [{"form": "evidence", "bytes": twin}]


# --- Chunks -----------------------------------------------------------------------------------


def chunks():
    """Last chunks of files, as they are sealed."""
    key = seed("file key")

    def one(size, chunk):
        count = -(-size // (1 << 20))
        index = count - 1
        assert len(chunk) == size - index * (1 << 20)
        aad = be(index, 8) + be(count, 8) + be(size, 8)
        sealed = aes_gcm(derive(key, "comity/v1/file-chunk", be(index, 8)), bytes(12), aad, chunk)
        return {
            "key": key, "size": size, "index": index, "chunk": chunk, "sealed": sealed,
            "hash": H("comity/v1/chunk", sealed),
        }  # fmt: skip

    return [one(11, b"a file, all"), one((1 << 20) + 3, b"end"), one((1023 << 20) + 1, b"\x00")]


# --- Peering ----------------------------------------------------------------------------------


def armour(tag, data):
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "".join(line + "\r\n" for line in [f"-----BEGIN {tag}-----", *lines, f"-----END {tag}-----"])


def peering(world):
    words = (HERE / "bip-39-english.txt").read_text().split()
    assert len(words) == 2048

    def one(partner, answers, nonce, addresses, ceiling, tag):
        contents = [1, answers, nonce, partner.identity, addresses, 1767830400000, ceiling]
        data = msgpack(contents)
        digest = H("comity/v1/peering-file", data)
        signature = sign(partner.signing_seed, "comity/v1/peering-file", digest)
        signed = msgpack([data, partner.writer, signature])
        return {
            "signing_seed": partner.signing_seed,
            "answers": answers,
            "nonce": nonce,
            "identity": msgpack(partner.identity),
            "addresses": addresses,
            "expires_at_ms": 1767830400000,
            "label_ceiling": ceiling,
            "file": data,
            "digest": digest,
            "signer": partner.writer,
            "signature": signature,
            "signed": signed,
            "hash": H("comity/v1/peering-file", signed),
            "armour": armour(tag, signed),
        }

    alfa, bravo = world.partners["alfa"], world.partners["bravo"]
    invitation = one(alfa, None, seed("invitation"), ["node.alfa.example:7443"], None, "COMITY INVITATION")
    addresses = ["192.0.2.7:7443", "[2001:db8::7]:7443"]
    reply = one(bravo, invitation["hash"], seed("reply"), addresses, LABEL, "COMITY REPLY")
    digest = H("comity/v1/peering-words", invitation["signed"], reply["signed"])
    number = int.from_bytes(digest, "big") >> (256 - 132)
    indices = [(number >> (11 * (11 - i))) & 2047 for i in range(12)]
    return {
        "invitation": invitation,
        "reply": reply,
        "words_digest": digest,
        "indices": indices,
        "words": [words[index] for index in indices],
    }


# --- What must be refused ---------------------------------------------------------------------


def refused(world):
    event = world.named("reply")
    header = [event.header[field] for field in FIELDS]
    out = []

    def bad(form, why, data):
        out.append({"form": form, "why": why, "bytes": data})

    def with_field(name, value):
        changed = list(header)
        changed[FIELDS.index(name)] = value
        return msgpack(changed)

    def replaced(data, old, new):
        assert data.count(old) == 1, (old.hex(), data.count(old))
        return data.replace(old, new)

    raw = event.bytes
    bad("header", "a byte after the end", raw + b"\0")
    bad("header", "a byte too few", raw[:-1])
    bad("header", "no bytes", b"")
    bad("header", "version in two bytes", raw[:3] + b"\xcc\x01" + raw[4:])
    bad("header", "an array of 32-bit length", b"\xdd" + be(19, 4) + raw[3:])
    bad("header", "18 fields", msgpack(header[:-1]))
    bad("header", "20 fields", msgpack(header + [None]))
    as_map = b"\xde" + be(19, 2) + b"".join(msgpack(f) + msgpack(v) for f, v in zip(FIELDS, header))
    bad("header", "a map instead of an array", as_map)
    wide = replaced(raw, msgpack(event.writer), b"\xc5" + be(32, 2) + event.writer)
    bad("header", "an id as bin 16", wide)
    as_text = replaced(raw, msgpack(event.writer), b"\xd9\x20" + b"w" * 32)
    bad("header", "an id as text", as_text)
    as_list = replaced(raw, msgpack(event.writer), b"\xdc" + be(32, 2) + bytes(32))
    bad("header", "an id as an array of integers", as_list)
    bad("header", "an id of 31 bytes", with_field("writer", event.writer[:31]))
    bad("header", "an id of 33 bytes", with_field("writer", event.writer + b"\0"))
    bad("header", "a name as bin", with_field("author", b"bo.larsen"))
    bad("header", "a name as str 8 that fits a fixstr", replaced(raw, msgpack("bo.larsen"), b"\xd9\x09bo.larsen"))
    bad("header", "seq as a float", replaced(raw, msgpack(event.writer) + b"\x02", msgpack(event.writer) + b"\xca" + b"\x40\0\0\0"))
    bad("header", "seq as a signed integer", replaced(raw, msgpack(event.writer) + b"\x02", msgpack(event.writer) + b"\xd0\x02"))
    negative = replaced(raw, b"\x90\x90\x00\x21", b"\x90\x90\xff\x21")
    bad("header", "a negative claimed time", negative)
    bad("header", "version 2", with_field("version", 2))
    bad("header", "suite 2", with_field("suite", 2))
    bad("header", "position 0", with_field("seq", 0))
    bad("header", "position 1 with prev", with_field("seq", 1))
    bad("header", "position 2 without prev", with_field("prev", None))
    bad("header", "kind 0", with_field("kind", 0))
    bad("header", "kind 17", with_field("kind", 17))
    bad("header", "kind 45", with_field("kind", 45))
    bad("header", "precedence 4", with_field("precedence", 4))
    bad("header", "a post without an author", with_field("author", None))
    of_key = [world.named("alfa's key").header[field] for field in FIELDS]
    bad("header", "a key event with an author", msgpack(of_key[:12] + ["anna"] + of_key[13:]))
    bad("header", "a public kind with a key event", with_field("kind", 32))
    bad("header", "a cut with an author", msgpack(of_key[:10] + [CUT, 0, "anna"] + of_key[13:]))
    bad("header", "a merge with an author", msgpack(of_key[:10] + [16, 0, "anna"] + of_key[13:]))
    bad("header", "a receipt without an author", msgpack(
        [38 if f == "kind" else None if f == "author" else x for f, x in zip(FIELDS, header)]))
    bad("header", "a sealed kind without a key event", with_field("key_event", None))
    bad("header", "a sealed kind without a commitment", with_field("commitment", None))
    bad("header", "a body over 64 KiB", with_field("body_len", 65537))
    for name, text in (("empty", ""), ("with a blank", "bo larsen"), ("with '@'", "bo@x"), ("with ':'", "bo:x"),
                       ("with a control character", "bo\x7f"), ("of 65 bytes", "a" * 65)):
        bad("header", f"a user name {name}", with_field("author", text))

    def ref(number, lane=None):
        return [lane, H("comity/v1/test", b"w", be(number, 1)), 1, H("comity/v1/test", b"i", be(number, 1))]

    refs = sorted((ref(n) for n in range(33)), key=msgpack)
    many = sorted((ref(n) for n in range(65)), key=msgpack)
    bad("header", "65 deps", with_field("deps", many))
    bad("header", "unsorted deps", with_field("deps", [refs[1], refs[0]]))
    bad("header", "a dep twice", with_field("deps", [refs[0], refs[0]]))
    bad("header", "a dep that names its own lane", with_field("deps", [ref(1, event.lane)]))
    bad("header", "33 control heads", with_field("control_heads", refs))
    bad("header", "unsorted control heads", with_field("control_heads", [refs[1], refs[0]]))
    bad("header", "a control head that names a lane", with_field("control_heads", [ref(1, world.control)]))
    bad("header", "a reference of 3 elements", with_field("about", event.header["about"][:3]))

    def label(at, value):
        changed = list(LABEL)
        changed[at] = value
        return with_field("label", changed)

    bad("header", "a label's policy over 64 bytes", label(0, "p" * 65))
    bad("header", "17 categories", label(2, [["t", 1, []]] * 17))
    bad("header", "a category of form 0", label(2, [["t", 0, []]]))
    bad("header", "a category of form 4", label(2, [["t", 4, []]]))
    bad("header", "unsorted values", label(2, [["t", 1, ["b", "a"]]]))
    bad("header", "65 values", label(2, [["t", 1, [f"{n:02}" for n in range(65)]]]))
    tags = [["t", 1, [f"{n:02}" + "v" * 62 for n in range(64)]]] * 4
    bad("header", "over 16 KiB", label(2, tags))

    # Bodies.
    charter = world.charter
    def of_charter(at, value):
        changed = list(charter)
        changed[at] = value
        return msgpack(changed)

    bad("charter", "a byte after the end", msgpack(charter) + b"\0")
    bad("charter", "version 2", of_charter(0, 2))
    bad("charter", "suite 2", of_charter(1, 2))
    for why, name in (("empty", ""), ("with an upper-case letter", "Ops"), ("beginning with '-'", "-ops"),
                      ("with a blank", "o ps"), ("of 65 bytes", "a" * 65), ("not ASCII", "é")):
        bad("charter", f"a name {why}", of_charter(2, name))
    bad("charter", "a sealing key of 1,215 bytes", of_charter(5, charter[5][:-1]))
    bad("charter", "history rule 0", of_charter(6, 0))
    bad("charter", "history rule 3", of_charter(6, 3))
    bad("charter", "finality rule 3", of_charter(7, 3))
    bad("charter", "a quorum of 65", of_charter(8, 65))
    bad("charter", "a label policy of 65 bytes", of_charter(9, "p" * 65))
    bravo = world.partners["bravo"]
    bad("invite", "role 0", msgpack([bravo.identity, 0, []]))
    bad("invite", "role 5", msgpack([bravo.identity, 5, []]))
    bad("invite", "two fields", msgpack([bravo.identity, 2]))
    bad("grant", "a role as text", msgpack([bravo.id, "2", []]))
    bad("remove", "three fields", msgpack([bravo.id, [], None]))
    bad("empty", "nil", b"\xc0")
    bad("empty", "one field", b"\x91\xc0")
    bad("sealing-key", "1,217 bytes", msgpack([bytes(1217)]))
    x, wrap = bytes(32), [bravo.id, bytes(32), bytes(1168)]
    other = [world.partners["alfa"].id, bytes(32), bytes(1168)]
    pair = sorted([wrap, other])
    first, second = [[e.bytes, e.signature] for e in world.events[:2]]
    twin = World.evidence(world, "twin", "alfa", world.names[1]).body
    world.events.pop(), world.names.pop()
    pairs = unpack(twin)
    bad("evidence", "of two positions", msgpack([first, second]))
    bad("evidence", "out of order", msgpack(pairs[::-1]))
    bad("evidence", "one event twice", msgpack([pairs[0], pairs[0]]))
    bad("evidence", "one header", msgpack(pairs[:1]))
    bad("evidence", "a signature of 63 bytes", msgpack([pairs[0], [pairs[1][0], pairs[1][1][:63]]]))
    bad("evidence", "a byte after a header", msgpack([pairs[0], [pairs[1][0] + b"\xc0", pairs[1][1]]]))
    bad("evidence", "headers of lists", msgpack([[[], x], [[], x]]))
    bad("key", "no wrap", msgpack([None, [], x, []]))
    bad("key", "33 wraps", msgpack([None, [], x, [[be(n, 32), x, bytes(1168)] for n in range(33)]]))
    bad("key", "unsorted wraps", msgpack([None, [], x, [pair[1], pair[0]]]))
    bad("key", "a partner twice", msgpack([None, [], x, [wrap, wrap]]))
    bad("key", "a wrap of 1,167 bytes", msgpack([None, [], x, [[bravo.id, x, bytes(1167)]]]))
    bad("key", "two earlier parts", msgpack([None, [x, x], x, [wrap]]))
    bad("key", "an unsorted audience", msgpack([[pair[1][0], pair[0][0]], [], x, [wrap]]))
    bad("key", "an audience of 65", msgpack([[be(n, 32) for n in range(65)], [], x, [wrap]]))
    bad("key", "an empty audience", msgpack([[], [], x, [wrap]]))
    bad("key", "a partner twice in the audience", msgpack([[bravo.id, bravo.id], [], x, [wrap]]))
    ids = [be(n, 32) for n in range(65)]
    for form, fields in (("invite", [bravo.identity, 2]), ("grant", [bravo.id, 3]), ("remove", [bravo.id])):
        bad(form, "unsorted endorsements", msgpack(fields + [[ids[1], ids[0]]]))
        bad(form, "an endorsement twice", msgpack(fields + [[ids[1], ids[1]]]))
        bad(form, "65 endorsements", msgpack(fields + [ids]))
        bad(form, "no list of endorsements", msgpack(fields + [None]))
    bad("endorse", "a proposal of 31 bytes", msgpack([bytes(31)]))
    bad("endorse", "two proposals", msgpack([x, x]))
    bad("writer", "nil", msgpack([None]))
    bad("certificates", "a list without its identity", msgpack([bravo.list]))
    bad("seat-transfer", "no event after which it stands", msgpack([bravo.list, bravo.writer, bravo.root_signature]))
    bad("seat-transfer", "a signature of 63 bytes", msgpack([bravo.list, bravo.writer, x, bravo.root_signature[1:]]))
    bad("pin", "withdrawn as an integer", msgpack([0]))
    bad("receipt", "state 0", msgpack([0]))
    bad("receipt", "state 3", msgpack([3]))
    bad("file", "no key", msgpack(["plan.pdf", "application/pdf", 1, [x]]))
    bad("file", "a key of 31 bytes", msgpack(["plan.pdf", "application/pdf", 1, bytes(31), [x]]))
    bad("file", "a chunk's hash of 33 bytes", msgpack(["plan.pdf", "application/pdf", 1, x, [bytes(33)]]))
    bad("file", "no size", msgpack(["plan.pdf", "application/pdf", x, [x]]))
    bad("message", "bin instead of text", msgpack([b"text"]))
    bad("message", "text that is not UTF-8", b"\x91\xa1\xff")
    bad("message", "a bare text", msgpack("text"))
    of_file = ["plan.pdf", "application/pdf", 1100000, x, [x, x]]
    bad("file", "no name", msgpack([""] + of_file[1:]))
    bad("file", "a name of 256 bytes", msgpack(["a" * 256] + of_file[1:]))
    bad("file", "a media type of 128 bytes", msgpack(["a", "a" * 128] + of_file[2:]))
    bad("file", "a chunk too few", msgpack(of_file[:4] + [[x]]))
    bad("file", "a chunk too many", msgpack(of_file[:4] + [[x, x, x]]))
    bad("file", "a chunk of an empty file", msgpack(["a", "", 0, x, [x]]))
    for why, users in (
        ("no users", []), ("users that are not sorted", [["b", "", True], ["a", "", True]]),
        ("a user twice", [["a", "", True], ["a", "", False]]), ("a user name of no bytes", [["", "", True]]),
        ("a display name of 257 bytes", [["a", "a" * 257, True]]),
        ("201 users", [[f"user{number}", "", True] for number in range(100, 301)]),
    ):  # fmt: skip
        bad("roster", why, msgpack([users]))
    bad("react", "no bytes", msgpack(["", False]))
    bad("react", "65 bytes", msgpack(["a" * 65, False]))
    bad("react", "withdrawn as an integer", msgpack(["a", 0]))

    # Identities.
    name, root, next_root, nodes, signature = bravo.identity
    bad("identity", "a byte after the end", msgpack(bravo.identity) + b"\0")
    bad("identity", "another name", msgpack(["Bravo", root, next_root, nodes, signature]))
    bad("identity", "another next root", msgpack([name, root, bytes(32), nodes, signature]))
    bad("identity", "a list with another number", msgpack([name, root, next_root, nodes[:3] + [2] + nodes[4:], signature]))
    bad("identity", "another root's signature", msgpack([name, root, next_root, nodes, bravo.possession]))

    def resigned(nodes):
        changed = [1, 1, bravo.id, 1, nodes]
        digest = H("comity/v1/certificates", name.encode(), msgpack(changed))
        return msgpack([name, root, next_root, changed, sign(bravo.root_seed, "comity/v1/certificates", digest)])

    node = nodes[4][0]
    alfas = world.partners["alfa"].list[4][0]
    bad("identity", "no node", resigned([]))
    bad("identity", "five nodes", resigned([node] * 5))
    bad("identity", "another partner's node", resigned([alfas]))
    bad("identity", "a node whose name was changed", resigned([node[:2] + ["other"] + node[3:]]))

    # Frames.
    channel, lane = world.channel, world.control
    entry = [channel, lane, bytes(32)]
    low, high = [bytes(32), 1, bytes(32)], [bytes([1] * 32), 1, bytes(32)]
    hello = frame(1, [1, bravo.id])
    bad("frame", "no bytes", b"")
    bad("frame", "type 0", bytes([0]) + hello[1:])
    bad("frame", "type 64", bytes([64]) + hello[1:])
    bad("frame", "hello with a byte after the end", hello + b"\0")
    bad("frame", "hello without a partner", frame(1, [1]))
    bad("frame", "hello as a map", bytes([1, 0x82]) + msgpack("version") + b"\x01" + msgpack("partner") + msgpack(bravo.id))
    bad("frame", "have with a lane twice", frame(2, [[entry, entry]]))
    bad("frame", "have, unsorted", frame(2, [[[channel, bytes([1] * 32), bytes(32)], [channel, bytes(32), bytes(32)]]]))
    bad("frame", "heads, unsorted", frame(4, [channel, lane, True, [high, low]]))
    bad("frame", "heads with 'all' as an integer", frame(4, [channel, lane, 1, []]))
    bad("frame", "want with a position in nine bytes", bytes([5]) + msgpack([channel, lane, bytes(32), 1, 1])[:-1] + b"\xcf" + be(1, 8))
    bad("frame", "refused without a reason", frame(8, [channel, lane]))
    for why, form, audience in (
        ("form 0", 0, ids[:1]), ("form 1", 1, ids[:1]), ("form 4", 4, ids[:1]), ("no audience", 2, []),
        ("an unsorted audience", 3, [ids[1], ids[0]]), ("a partner twice", 3, [ids[0], ids[0]]),
        ("65 partners", 2, ids), ("an audience that is nil", 2, None),
    ):  # fmt: skip
        bad("frame", f"lane with {why}", frame(9, [channel, form, audience]))
    for why, asked in (("none", []), ("unsorted", [ids[1], ids[0]]), ("one twice", [ids[0], ids[0]]), ("33", ids[:33])):
        bad("frame", f"ask-keys, {why}", frame(10, [channel, lane, asked]))
    keys = [[id, bytes(1168)] for id in ids[:33]]
    for why, given in (
        ("unsorted", [keys[1], keys[0]]), ("one twice", [keys[0], keys[0]]), ("33", keys),
        ("sealed in 1,167 bytes", [[ids[0], bytes(1167)]]), ("nil", None),
    ):  # fmt: skip
        bad("frame", f"keys, {why}", frame(11, [channel, lane, x, given]))
    bad("frame", "keys without the sealing key", frame(11, [channel, lane, []]))
    bad("frame", "ask-piece of chunk 1,024", frame(12, [channel, lane, bytes(32), 1024, 0]))
    bad("frame", "ask-piece within a piece", frame(12, [channel, lane, bytes(32), 0, 131071]))
    for why, signs in (
        ("no signs", []), ("257 signs", [["anna", 2, None]] * 257), ("activity 0", [["anna", 0, None]]),
        ("activity 6", [["anna", 6, None]]), ("online in a thread", [["anna", 2, bytes(32)]]),
        ("a user name with a colon", [["anna:bravo", 2, None]]),
    ):  # fmt: skip
        bad("frame", f"ephemeral with {why}", frame(14, [channel, signs]))
    bad("frame", "ask-piece beyond a chunk", frame(12, [channel, lane, bytes(32), 0, 1179648]))
    packed = Packer().pack(world.named("post"))
    bad("frame", "a packed event of 13 fields", frame(6, [[packed[:-1]]]))
    bad("frame", "a packed event with its body as an array", frame(6, [[packed[:-1] + [[0, 1]]]]))
    bad("stream", "a log that was not opened", frame(6, [[[packed[0], None] + packed[2:]]]))
    bad("stream", "a log number of 4,096", frame(6, [[[4096] + packed[1:]]]))
    bad("stream", "an unknown kind", frame(6, [[packed[:4] + [45] + packed[5:]]]))
    return out


# --- Files ------------------------------------------------------------------------------------


def primitives():
    parts = [[], [b""], [b"", b""], [b"ab", b"c"], [b"a", b"bc"], [bytes(300)]]
    hashes = [{"tag": "comity/v1/test", "parts": p, "hash": H("comity/v1/test", *p)} for p in parts]
    secret = bytes(range(32))
    derived = [
        {"secret": secret, "tag": "comity/v1/test", "parts": p, "key": derive(secret, "comity/v1/test", *p)}
        for p in ([], [b"lane", b""])
    ]
    key, digest = seed("signing"), H("comity/v1/test", b"digest")
    signed = [{
        "seed": key, "public": ed25519_public(key), "tag": "comity/v1/test", "digest": digest,
        "signature": sign(key, "comity/v1/test", digest),
    }]  # fmt: skip
    return {"hash": hashes, "derive": derived, "sign": signed}


def lanes_vector(world):
    p = world.partners
    sets = [("control", []), ("open", ["alfa"]), ("open", ["alfa", "bravo", "charlie"]), ("directed", ["bravo", "alfa"])]
    out = []
    for form, names in sets:
        members = [p[name] for name in names]
        out.append({"form": form, "partners": [m.id for m in members], "lane": lane_id(world.channel, form, members)})
    return out


def history_vector(name, world, lanes, moments):
    """A further history with its digests; of each message that is about another, whether it is so."""
    events = []
    for event_name, event in zip(world.names, world.events):
        vector = event.vector(event_name)
        if event.about:
            vector["about_has_effect"] = world.state.target(event, world.events) is not None
        events.append(vector)
    return {
        "name": name,
        "channel": world.channel,
        "events": events,
        "moments": [moment(world, lanes, upto) for upto in moments],
    }


def documents():
    world = World()
    lanes = history(world)
    people = [Partner(name).vector() for name in world.partners]
    moments = [moment(world, lanes, upto) for upto in ("edit", "post to three", "last post")]
    events = [event.vector(name) for name, event in zip(world.names, world.events)]
    further = {"coalition": coalition, "whole history": whole_history, "disputes": disputes, "forks": forks, "acknowledged": acknowledged}
    worlds = {name: World() for name in further}
    told = {name: tell(worlds[name]) for name, tell in further.items()}
    given = given_key(worlds["whole history"], "bravo's key", "charlie")
    return {
        "primitives": primitives(),
        "identity": {"partners": people},
        "channel": {"charter": msgpack(world.charter), "channel": world.channel, "lanes": lanes_vector(world)},
        "events": {"events": events},
        "digests": {"channel": world.channel, "moments": moments},
        "histories": {"histories": [
            history_vector(name, worlds[name], *told[name]) for name in further
        ]},
        "given": {"given": [given]},
        "bodies": {"bodies": bodies(world)},
        "chunks": {"chunks": chunks()},
        "frames": {"frames": frames(world, lanes, moments, given)},
        "packed": {
            "stream": packed_stream(world, PACKED),
            "coalition": packed_stream(worlds["coalition"], PACKED_COALITION),
        },
        "peering": peering(world),
        "refused": {"refused": refused(world)},
    }


def plain(value):
    """Bytes as lower-case hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def main():
    print("ML-KEM-768", cross_check_ml_kem())
    differ = []
    for name, document in documents().items():
        text = json.dumps({"source": SOURCE, **plain(document)}, indent=1, ensure_ascii=False) + "\n"
        path = HERE / f"{name}.json"
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            differ.append(path.name)
    if differ:
        sys.exit("these files differ: " + ", ".join(differ))


if __name__ == "__main__":
    main()
