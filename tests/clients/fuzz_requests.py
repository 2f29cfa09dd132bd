"""Random requests: from the published shapes and from the rest of the node's routes, then changed in
the ways in which clients, proxies and attackers get them wrong."""

import json

# What the shapes do not name, and the node answers all the same.
OTHERS = [
    "GET /api/v4/users/known", "GET /api/v4/users/me", "PUT /api/v4/users/{user_id}/patch",
    "PUT /api/v4/users/{user_id}/password", "GET /api/v4/users/{user_id}/sessions",
    "POST /api/v4/users/{user_id}/sessions/revoke", "GET /api/v4/users/{user_id}/tokens",
    "POST /api/v4/users/tokens/revoke", "GET /api/v4/users/email/{email}",
    "GET /api/v4/users/{user_id}/preferences/{category}",
    "GET /api/v4/users/{user_id}/preferences/{category}/name/{name}",
    "POST /api/v4/users/{user_id}/preferences/delete", "GET /api/v4/bots", "POST /api/v4/bots",
    "GET /api/v4/bots/{user_id}", "GET /api/v4/users/{user_id}/posts/flagged",
    "POST /api/v4/users/{user_id}/posts/{post_id}/set_unread", "POST /api/v4/posts/ids",
    "POST /api/v4/posts/ids/reactions", "GET /api/v4/posts/{post_id}/files/info",
    "GET /api/v4/posts/{post_id}/info", "POST /api/v4/posts/search", "POST /api/v4/channels/group",
    "POST /api/v4/channels/members/{user_id}/mark_read", "GET /api/v4/hooks/incoming",
    "POST /api/v4/hooks/incoming", "GET /api/v4/hooks/incoming/{hook_id}",
    "DELETE /api/v4/hooks/incoming/{hook_id}", "POST /hooks/{hook_id}",
    "DELETE /api/v4/channels/{channel_id}/members/{user_id}",
    "PUT /api/v4/channels/{channel_id}/members/{user_id}/notify_props",
    "GET /api/v4/teams/name/{team}/channels/name/{name}", "GET /api/v4/teams/{team_id}/members",
    "GET /api/comity/v1/openapi.json", "GET /api/comity/v1/posts/{post_id}",
    "GET /api/comity/v1/channels/{channel_id}", "POST /api/comity/v1/channels/{channel_id}/audience",
    "GET /api/comity/v1/console", "GET /api/comity/v1/console/health",
    "GET /api/comity/v1/console/audit", "GET /api/comity/v1/console/setup",
    "POST /api/comity/v1/console/setup", "POST /api/comity/v1/console/peers/files",
    "POST /api/comity/v1/console/channels/{channel_id}/decisions",
    "GET /api/comity/v1/partners", "GET /api/v4/files/{file_id}/link", "POST /api/v4/drafts",
    "GET /api/v4/usage/posts", "POST /api/v4/logs", "GET /", "GET /api/v4/none",
]
# Bodies of those, and of operations whose published shape says little.
BODIES = {
    "POST /api/v4/posts": {"channel_id": "channel_id", "message": "words", "root_id": "post_id",
                           "file_ids": ["file_id"], "pending_post_id": "words",
                           "props": {"comity_to": ["words"]}},
    "PUT /api/v4/users/{user_id}/preferences": [{"user_id": "user_id", "category": "category",
                                                 "name": "post_id", "value": "words"}],
    "PUT /api/v4/users/{user_id}/patch": {"email": "words", "nickname": "words", "props": {"a": "words"},
                                          "notify_props": {"mention_keys": "words"}},
    "PUT /api/v4/users/{user_id}/password": {"current_password": "words", "new_password": "words"},
    "POST /api/v4/users/{user_id}/sessions/revoke": {"session_id": "session_id"},
    "POST /api/v4/users/tokens/revoke": {"token_id": "session_id"},
    "POST /api/v4/users/{user_id}/preferences/delete": [{"category": "category", "name": "words"}],
    "POST /api/v4/bots": {"username": "words", "display_name": "words"},
    "POST /api/v4/posts/ids": ["post_id"], "POST /api/v4/posts/ids/reactions": ["post_id"],
    "POST /api/v4/posts/search": {"terms": "search", "is_or_search": True},
    "POST /api/v4/teams/{team_id}/posts/search": {"terms": "search", "is_or_search": False},
    "POST /api/v4/channels/group": ["user_id"], "POST /api/v4/channels/direct": ["user_id", "user_id"],
    "POST /api/v4/channels/members/{user_id}/mark_read": ["channel_id"],
    "POST /api/v4/hooks/incoming": {"channel_id": "channel_id", "display_name": "words"},
    "POST /hooks/{hook_id}": {"text": "words", "channel": "words", "attachments": [{"text": "words"}]},
    "PUT /api/v4/channels/{channel_id}/members/{user_id}/notify_props": {"push": "words"},
    "POST /api/comity/v1/channels/{channel_id}/audience": {"to": ["words"]},
}
# Everything of the asker's ends with these: that is no fault, and only slows the fuzzing.
SELDOM = {"POST /api/v4/users/logout": 0.02, "POST /api/v4/users/login": 0.2}
LONG = 200_000
DEEP = 20_000
WORDS = ["harbour", "berth seven", "@all", "@ann hello", "from:ann", "in:harbour", "\u202e", "\0", "é" * 40,
         "😀", "'; DROP TABLE posts; --", "<script>", "{}", "-1", "NaN", "%s%n", "../../etc/passwd", "*"]
NUMBERS = [0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 2**64, 1e308, 0.5, 199, 200, 10**30]


class Maker:
    """Makes requests from a random generator and a pool of what there is by kind."""

    def __init__(self, random, description, pool):
        self.random = random
        self.description = description
        self.pool = pool
        self.operations = [(f"{method.upper()} {path}", operation)
                           for path, item in description["paths"].items()
                           for method, operation in item.items() if method in ("get", "put", "post", "delete")]
        self.operations += [(name, {}) for name in OTHERS]

    def request(self, token: str) -> tuple[str, list[bytes], bool]:
        """The operation, the pieces to send, and whether they are a whole request that has to be
        answered."""
        random = self.random
        name, operation = random.choice(self.operations)
        while random.random() > SELDOM.get(name, 1):
            name, operation = random.choice(self.operations)
        method, _, path = name.partition(" ")
        path = "/".join(self.part(part) for part in path.split("/"))
        path += self.query(operation)
        headers = {"Host": "localhost", "Connection": "close", "Authorization": f"Bearer {token}"}
        body = b""
        if name == "POST /api/v4/files":
            headers["Content-Type"], body = self.upload()
        elif method in ("POST", "PUT"):
            headers["Content-Type"], body = "application/json", self.body(name, operation)
        if random.random() < 0.08:
            path = self.odd_path(path)
        if random.random() < 0.03:
            method = random.choice(["PATCH", "HEAD", "OPTIONS", "TRACE", "DELETE", "PUT", "x" * 300])
        lines = [f"{key}: {value}" for key, value in headers.items()]
        if random.random() < 0.12:
            lines = self.odd_headers(lines, token)
        return self.sent(name, method, path, lines, body)

    def sent(self, name, method, path, lines, body):
        """Mostly as it should be; else with a wrong length, in parts, or cut off."""
        how, random = self.random.random(), self.random
        start = f"{method} {path} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        length = f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() if body or how < 0.5 else b"\r\n\r\n"
        if not body or how < 0.9:
            return name, [start + head + length + body], True
        if how < 0.92:
            cut = random.randrange(len(body))
            return name, [start + head + length + body[:cut]], False
        if how < 0.94:
            at = [body[i:i + max(1, len(body) // 4)] for i in range(0, len(body), max(1, len(body) // 4))]
            return name, [start + head + length, *at], True
        if how < 0.96:
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
            return name, [start + head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"], True
        wrong = random.choice([b"\r\nContent-Length: -1", b"\r\nContent-Length: 99999999999999999999",
                               b"\r\nContent-Length: 3\r\nContent-Length: 4", b"\r\nContent-Length: 70000000",
                               b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
                               b"\r\nTransfer-Encoding: gzip, chunked", b"\r\nExpect: 100-continue"])
        return name, [start + head + wrong + b"\r\n\r\n" + body], False

    def part(self, part: str) -> str:
        return quoted(self.value(part[1:-1])) if part.startswith("{") else part

    def value(self, kind: str) -> str:
        """Of a kind; now and then of another, or nothing at all of the sort."""
        random = self.random
        kind = {"channel_name": "name", "team_name": "team", "username": "username"}.get(kind, kind)
        how = random.random()
        if how < 0.75 and self.pool.get(kind):
            return random.choice(self.pool[kind])
        if how < 0.88:
            return random.choice(self.pool[random.choice(sorted(self.pool))] or ["me"])
        if how < 0.92:
            return "".join(random.choice("ybndrfg8ejkmcpqxot1uwisza345h769") for _ in range(26))
        if how < 0.94:
            return random.choice("a\u00e9/%") * random.choice([1, 25, 27, 5_000])
        return random.choice(WORDS)

    def query(self, operation) -> str:
        parts = []
        for parameter in operation.get("parameters", []):
            if parameter.get("in") == "query" and self.random.random() < 0.4:
                given = self.of_shape(parameter.get("schema", {}), parameter["name"])
                given = given if isinstance(given, str) else json.dumps(given)
                parts.append(f"{parameter['name']}={quoted(given)}")
        if self.random.random() < 0.05:
            parts += [self.random.choice(["page=-1", "per_page=99999999999", "page=18446744073709551615",
                                          "since=-5", "since=1", "a" * LONG, "%ff=%00", "page=0&page=1"])]
        return "?" + "&".join(parts) if parts else ""

    def body(self, name, operation) -> bytes:
        random = self.random
        if name in BODIES and random.random() < 0.8:
            value = self.of_pattern(BODIES[name])
        else:
            content = operation.get("requestBody", {}).get("content", {})
            value = self.of_shape(content.get("application/json", {}).get("schema", {}), "body")
        if random.random() < 0.35:
            value = self.changed(value)
        text = json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
        return self.broken(text) if random.random() < 0.12 else text

    def of_pattern(self, pattern):
        if isinstance(pattern, dict):
            return {key: self.of_pattern(value) for key, value in pattern.items()
                    if self.random.random() < 0.85}
        if isinstance(pattern, list):
            return [self.of_pattern(one) for one in pattern for _ in range(self.random.choice([1, 1, 1, 0, 3]))]
        if not isinstance(pattern, str):
            return pattern
        if pattern == "words":
            return self.words()
        return self.words() if pattern == "search" and self.random.random() < 0.5 else self.value(pattern)

    def of_shape(self, shape, name, depth=0):
        random = self.random
        if "$ref" in shape:
            _, _, kind, called = shape["$ref"].split("/")
            shape = self.description["components"][kind][called]
        if shape.get("enum"):
            return random.choice(shape["enum"])
        kind = shape.get("type", "object" if "properties" in shape else "string")
        if depth > 6:
            return None
        if kind == "object":
            return {key: self.of_shape(value, key, depth + 1)
                    for key, value in shape.get("properties", {}).items() if random.random() < 0.8}
        if kind == "array":
            singular = {"user_ids": "user_id", "file_ids": "file_id", "body": "user_id"}.get(name, name)
            return [self.of_shape(shape.get("items", {}), singular, depth + 1)
                    for _ in range(random.choice([0, 1, 1, 2, 5]))]
        if kind in ("integer", "number"):
            return random.choice([0, 1, 20, 60, *NUMBERS])
        if kind == "boolean":
            return random.random() < 0.5
        return self.value(name) if name.endswith("id") or name in self.pool else self.words()

    def words(self) -> str:
        random = self.random
        if random.random() < 0.02:
            return "w" * random.choice([16_383, 16_384, LONG])
        return " ".join(random.choice(WORDS) for _ in range(random.choice([0, 1, 2, 4])))

    def changed(self, value):
        """The same with one thing in it that is otherwise."""
        random = self.random
        if isinstance(value, dict) and value and random.random() < 0.85:
            key = random.choice(sorted(value))
            if random.random() < 0.15:
                return {**value, random.choice(WORDS): value[key]}
            return {**value, key: self.changed(value[key])}
        if isinstance(value, list) and value and random.random() < 0.85:
            at = random.randrange(len(value))
            if random.random() < 0.1:
                return value * random.choice([50, 2_000])
            return [*value[:at], self.changed(value[at]), *value[at + 1:]]
        return random.choice([None, True, "", "me", [], {}, [[]], {"": {}}, *NUMBERS, *WORDS, "x" * LONG,
                              ["a"] * 5_000, {str(n): n for n in range(2_000)}, "\ud800"])

    def broken(self, text: bytes) -> bytes:
        """What is no JSON, or not in UTF-8."""
        random = self.random
        at = random.randrange(len(text) + 1)
        return random.choice([text[:at], text[:at] + b"\xff\xfe\xc0" + text[at:], b"[" * DEEP,
                              b'{"a":' * DEEP + b"1" + b"}" * DEEP, b"\xef\xbb\xbf" + text, b"NaN",
                              text + text, b"\0" * 64, b" " * LONG + text, b'{"message":"\\ud800"}',
                              b"x" * ((1 << 20) + 1), b""])

    def upload(self) -> tuple[str, bytes]:
        random = self.random
        line = random.choice(["part", "part", "part", "p" * 300, "a b", ""])
        name = random.choice(["a.txt", "../../a", "a\0b", "é.png", "x" * 2_000, 'a";b', ""])
        channel = self.value("channel_id")
        content = random.choice([b"text", b"\x89PNG\r\n\x1a\n" + bytes(40), b"GIF89a" + b"\xff" * 20,
                                 b"\xff\xd8\xff\xe0" + bytes(30), b"", b"<svg onload=x>", b"\0" * LONG])
        body = (f"--{line}\r\nContent-Disposition: form-data; name=\"channel_id\"\r\n\r\n{channel}\r\n--{line}\r\n"
                f"Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n"
                "Content-Type: text/plain\r\n\r\n").encode() + content + f"\r\n--{line}--\r\n".encode()
        if random.random() < 0.3:
            body = random.choice([body[:len(body) // 2], body.replace(b"\r\n", b"\n"), body * 30,
                                  body.replace(b"name=", b""), b"--" + line.encode()])
        kind = random.choice(["multipart/form-data; boundary=" + line] * 4 + ["multipart/form-data", "text/plain"])
        return kind, body

    def odd_path(self, path: str) -> str:
        random = self.random
        at = random.randrange(1, len(path) + 1)
        return random.choice([path[:at] + odd + path[at:] for odd in (
            "/../", "/..%2f", "%2e%2e/", "//", ";a=b", "%00", "%ff", "/./", "%2F", "?", "#", "\\", "%", "%zz",
            "\udcff", "é")] + [path + "/", path.upper(), "http://localhost" + path, "*", "/" + "a/" * 3_000,
                                "/api/v4" + path, path.replace("/api/v4", "/api/v4/..")])

    def odd_headers(self, lines: list[str], token: str) -> list[str]:
        random = self.random
        other = self.value("session_id")
        rest = [line for line in lines if not line.startswith("Authorization")]
        return random.choice([
            rest, [*rest, "Authorization: Bearer"], [*rest, f"Authorization: Bearer {other}"],
            [*rest, f"Authorization: Basic {token}"], [*lines, f"Authorization: Bearer {other}"],
            [*rest, f"Cookie: MMAUTHTOKEN={token}"], [*rest, f"Cookie: MMAUTHTOKEN={other}; MMUSERID={other}"],
            [*lines, "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https"], [*lines, "X: " + "h" * 20_000],
            [*lines, *(f"X-{n}: {n}" for n in range(150))], [*lines, "X-HTTP-Method-Override: DELETE"],
            [*lines, "Range: bytes=" + random.choice(["0-", "-5", "5-2", "0-0,2-3", "x", "99999999999-"])],
            [*lines, "If-Modified-Since: never"], [*lines, "Content-Type: text/xml"], [*lines, "Bad\udcff: \udcff"],
            [*lines, "no colon"], lines[1:], [*lines, "Host: evil"], [*lines, "Upgrade: websocket"],
            [*lines, "Content-Encoding: gzip"], [*lines, "Accept-Encoding: gzip, br, zstd"],
        ])

    def frame_text(self) -> bytes:
        """What a client says on a socket, or something like it."""
        random = self.random
        actions = ["ping", "user_typing", "get_statuses", "get_statuses_by_ids", "presence", "authentication_challenge",
                   "user_update_active_status", "posted_notify_ack", "subscribe", "", "x" * 1_000]
        asked = {"seq": random.choice([1, 2, 0, *NUMBERS]), "action": random.choice(actions),
                 "data": {"channel_id": self.value("channel_id"), "parent_id": self.value("post_id"),
                          "user_ids": [self.value("user_id") for _ in range(random.choice([0, 1, 30]))],
                          "token": self.value("session_id")}}
        value = self.changed(asked) if random.random() < 0.4 else asked
        text = json.dumps(value).encode()
        return self.broken(text) if random.random() < 0.2 else text


def quoted(text: str) -> str:
    """As a path wants it: what would end it or a line is escaped, the rest is left as it is."""
    kept = []
    for octet in text.encode("utf-8", "surrogatepass"):
        kept.append(chr(octet) if chr(octet).isalnum() and octet < 128 or octet in b"-_.~!$'()*,:@" else f"%{octet:02X}")
    return "".join(kept)
