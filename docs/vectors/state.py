"""What a channel's events make of it: authority, what stands, what is shown (docs/protocol.md,
sections 7 and 10 to 13; 21 is in finality.py). For vectors.py, which composes the events; shares no code with the
implementation either, and goes by sets where that goes by indices.

An event here has: bytes, id, kind, control (whether it is in the control lane), lane, writer, seq,
h, prev, past (a set of events), frontier (the control events among them), body, label, about (a reference), author (the user's name).
"""

from finality import ACK, Finality

REMOVED, LEFT, SUSPENDED, ACTIVE, INVITED = 4, 3, 2, 1, 0
NONE, MEMBER, ADMIN, OWNER, QUORUM, SOVEREIGN, ROOT = range(7)
CHARTER, ACCEPT, INVITE, GRANT, REMOVE, SUSPEND, LEAVE, SEALING_KEY, ENDORSE = range(1, 10)
SEAT_MOVE, SEAT_TRANSFER, INTRODUCE, RETIRE = range(10, 14)
MERGE = 16
POST, EDIT, REDACT, REACT, PIN, RECEIPT, FILE = range(33, 40)
CUT = 41
EVIDENCE = 44


def unpack(data):
    """Decodes canonical MessagePack, of which nothing is doubted here."""
    value, rest = unpack_one(data)
    assert not rest
    return value


def unpack_one(data):
    marker, rest = data[0], data[1:]

    def number(length):
        return int.from_bytes(rest[:length], "big"), rest[length:]

    def items(count, rest):
        out = []
        for _ in range(count):
            item, rest = unpack_one(rest)
            out.append(item)
        return out, rest

    if marker < 0x80:
        return marker, rest
    if marker < 0xA0:
        return items(marker & 15, rest)
    if marker < 0xC0:
        return rest[: marker & 31].decode(), rest[marker & 31 :]
    if marker in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[marker], rest
    if 0xCC <= marker <= 0xCF:
        return number(1 << (marker - 0xCC))
    forms = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}
    length, rest = number(forms[marker])
    if marker >= 0xDC:
        return items(length, rest)
    return (rest[:length] if marker < 0xD9 else rest[:length].decode()), rest[length:]


def last(acts):
    """Those in no other one's past."""
    return [a for a in acts if not any(a in other.past for other in acts)]


def by_height(event):
    return event.h, event.id


class Standing:
    """A partner's standing by a set of effective acts."""

    def __init__(self, state, partner, acts):
        mine = [a for a in acts if state.concerned(a) == partner]
        bearing = last([a for a in mine if a.kind in (CHARTER, INVITE, GRANT, REMOVE, SUSPEND, LEAVE)])
        self.admissions = last([a for a in mine if a.kind in (CHARTER, INVITE)])
        self.keys = last([a for a in mine if a.kind in (CHARTER, ACCEPT, SEALING_KEY)])
        if not self.admissions:
            self.status = None
            return
        self.admission = admission = max(self.admissions, key=by_height)
        kinds = {a.kind for a in bearing}
        self.status = INVITED
        if any(a.kind == CHARTER for a in self.admissions) or any(
            a.kind == ACCEPT and set(self.admissions) & a.past for a in mine
        ):
            self.status = ACTIVE
        for kind, status in ((SUSPEND, SUSPENDED), (LEAVE, LEFT), (REMOVE, REMOVED)):
            if kind in kinds:
                self.status = status
        roles = [4 if a.kind == CHARTER else state.role_given(a) for a in bearing if a.kind in (CHARTER, INVITE, GRANT)]
        self.role = min(roles, default=1) if self.status <= ACTIVE else 1

        since = [a for a in mine if admission in a.past]
        lists = [state.list_of(a) for a in [admission] + [a for a in since if a.kind in (INTRODUCE, SEAT_TRANSFER)]]
        self.number = max(listed[3] for listed in lists)
        writers = {w for listed in lists for w in state.writers_of(listed)}
        writers -= {state.record(a)[0] for a in since if a.kind == RETIRE}
        writers -= {state.displaced(a) for a in since if a.kind == SEAT_TRANSFER}
        assert len(writers) <= 4
        self.writers = writers

        def of_seat(act):
            if act is admission:
                return (state.list_of(act)[3], 1, *by_height(act))
            if act.kind == SEAT_MOVE:
                return (state.judged(act)["view"].members[partner].number, 1, *by_height(act))
            return (state.list_of(act)[3], 0, *by_height(act))

        seating = max(last([admission] + [a for a in since if a.kind in (SEAT_MOVE, SEAT_TRANSFER)]), key=of_seat)
        if seating is admission:
            self.seat = state.writers_of(state.list_of(admission))[0]
        else:
            self.seat = state.record(seating)[0 if seating.kind == SEAT_MOVE else 1]
        self.announcement = max(self.keys, key=by_height, default=None)

    def row(self, partner):
        ids = sorted({a.id for a in self.admissions + self.keys})
        announced = self.announcement.id if self.announcement else None
        return [partner, self.status, self.role, self.seat, sorted(self.writers), self.number, ids, announced]


class View:
    def __init__(self, members, effective, forks):
        self.members, self.effective, self.forks = members, effective, forks

    def active(self):
        return {p for p, standing in self.members.items() if standing.status == ACTIVE}

    def get(self, partner, *statuses):
        standing = self.members.get(partner)
        return standing if standing and standing.status in statuses else None


class State:
    """`H` and `msgpack` are those of vectors.py; `lanes` gives form and audience by lane id."""

    def __init__(self, channel, charter, lanes, H, msgpack):
        self.channel, self.charter, self.lanes = channel, charter, lanes
        self.H, self.msgpack = H, msgpack
        self.records, self.judgements, self.views = {}, {}, {}
        self.finality = Finality(self)

    # Acts.

    def record(self, act):
        if act.id not in self.records:
            self.records[act.id] = unpack(act.body)
        return self.records[act.id]

    def list_of(self, act):
        record = self.record(act)
        return {CHARTER: lambda: record[4][3], INVITE: lambda: record[0][3],
                INTRODUCE: lambda: record[0][3], SEAT_TRANSFER: lambda: record[0]}[act.kind]()  # fmt: skip

    def writers_of(self, listed):
        return [self.H("comity/v1/writer", node[0]) for node in listed[4]]

    def role_given(self, act):
        return self.record(act)[1]

    def concerned(self, act):
        """The partner that an act targets, or else its author."""
        if act.kind == INVITE or act.kind == SEAT_TRANSFER:
            return self.list_of(act)[2]
        if act.kind in (GRANT, REMOVE, SUSPEND):
            return self.record(act)[0]
        return self.judged(act)["author"]

    def displaced(self, act):
        """The writer that a seat transfer displaces."""
        standing = self.judged(act)["view"].members.get(self.concerned(act))
        seat = standing.seat if standing else None
        return seat if seat != self.record(act)[1] else None

    def proposal(self, kind, subject, role):
        return self.H("comity/v1/proposal", self.channel, bytes([kind]), subject, bytes([role]))

    def proposed(self, act):
        record = self.record(act)
        if act.kind == INVITE:
            return self.proposal(INVITE, self.msgpack(record[0]), record[1])
        return self.proposal(act.kind, record[0], record[1] if act.kind == GRANT else 0)

    # Judgement.

    def judged(self, act):
        if act.id not in self.judgements:
            self.judgements[act.id] = self.judge(act)
        return self.judgements[act.id]

    def author_in(self, view, act):
        if act.kind == CHARTER:
            return self.record(act)[4][3][2]
        seats = [p for p in sorted(view.members) if act.writer == view.members[p].seat]
        writers = [p for p in sorted(view.members) if act.writer in view.members[p].writers]
        by_seat = act.kind < 32 and act.kind != MERGE or act.kind == ACK
        authors = seats if by_seat else writers
        if act.kind == SEAT_TRANSFER:
            authors = seats + writers
        if authors:
            return authors[0]
        raise AssertionError("an event without an author")

    def judge(self, act):
        view = self.view(act.frontier)
        author = self.author_in(view, act)
        out = {"view": view, "author": author, "revokes": False, "above": None, "k": 0, "counting": []}
        me = view.get(author, ACTIVE)
        r, record = me.role if me else 0, self.record(act)

        def result(rank, **more):
            return {**out, "rank": rank, **more}

        kind = act.kind
        if kind == CHARTER:
            return result(NONE if view.members else SOVEREIGN)
        if kind == ACCEPT:
            return result(MEMBER if view.get(author, INVITED) else NONE)
        if kind == LEAVE:
            return result(SOVEREIGN if me else NONE, revokes=True)
        if kind == EVIDENCE:
            return result(SOVEREIGN)
        if kind in (SEALING_KEY, MERGE):
            return result(MEMBER if me else NONE)
        if kind == ENDORSE:
            return result(MEMBER if r == 4 else NONE)
        if kind == SEAT_MOVE:
            return result(MEMBER if me and record[0] in me.writers else NONE)
        if kind == INTRODUCE:
            listed = self.list_of(act)
            good = me and listed[2] == author and listed[3] > me.number
            return result(MEMBER if good and len(me.writers | set(self.writers_of(listed))) <= 4 else NONE)
        if kind == RETIRE:
            return result(SOVEREIGN if me and record[0] in me.writers and record[0] != me.seat else NONE)
        if kind == SEAT_TRANSFER:
            listed = self.list_of(act)
            t = view.members[listed[2]]
            gone = {t.seat} - {record[1]}
            good = listed[3] > t.number and len((t.writers - gone) | set(self.writers_of(listed))) <= 4
            return result(ROOT if good else NONE, revokes=True)

        target = self.list_of(act)[2] if kind == INVITE else record[0]
        t = view.members.get(target)
        present = view.get(target, INVITED, ACTIVE)
        if kind == GRANT:
            out["revokes"] = bool(t and record[1] < t.role)
            if target == author:
                return {**out, "revokes": True, "rank": SOVEREIGN if me and record[1] < r else NONE}
            out["above"] = max(t.role, record[1]) if present else None
        elif kind == INVITE:
            out["above"] = None if present else record[1]
        else:
            out["revokes"], out["above"] = True, t.role if t else None
        return self.rank_by_quorum_or_role(act, out, r, target)

    def rank_by_quorum_or_role(self, act, out, r, target):
        owners = {p for p in out["view"].active() if out["view"].members[p].role == 4}
        if out["revokes"]:
            owners -= {target}
        n, asked = len(owners), self.charter[8]
        k = max(1, min(n, asked) if asked else n // 2 + 1)
        out["k"], out["counting"] = k, [e for e in act.past if self.counts(e, act, owners)]
        endorsers = {self.judged(e)["author"] for e in out["counting"]}
        if out["above"] is not None and r == 4 and len(endorsers) >= k:
            return {**out, "rank": QUORUM}
        if out["above"] is not None and r > out["above"] and r in (3, 4):
            return {**out, "rank": ADMIN if r == 3 else OWNER, "by_role": True}
        return {**out, "rank": NONE}

    def counts(self, endorse, act, owners):
        if endorse.kind != ENDORSE or endorse.id not in self.record(act)[-1]:
            return False
        judged = self.judged(endorse)
        spent = any(
            other.kind in (INVITE, GRANT, REMOVE, SUSPEND)
            and self.judged(other)["rank"] == QUORUM
            and endorse in self.judged(other)["counting"]
            for other in act.past
        )
        named = self.record(endorse)[0] == self.proposed(act)
        if self.is_void(endorse, self.view(act.frontier).forks):
            return False
        return judged["rank"] != NONE and named and judged["author"] in owners and not spent

    # Effect.

    def view(self, events):
        key = frozenset(e.id for e in events)
        if key not in self.views:
            self.views[key] = self.fold(sorted(events, key=by_height))
        return self.views[key]

    def forked(self, evidence):
        """Lane, writer and position that an evidence event proves to be forked."""
        header = unpack(self.record(evidence)[0][0])
        return header[3], header[4], header[5]

    def forks(self, acts):
        """The earliest proved position of each writer."""
        forks = {}
        for act in acts:
            if act.kind == EVIDENCE:
                _, writer, seq = self.forked(act)
                forks[writer] = min(seq, forks.get(writer, seq))
        return forks

    def is_void(self, act, forks):
        if act.kind in (CHARTER, EVIDENCE):
            return False
        return act.writer in forks and act.seq >= forks[act.writer]

    def fold(self, acts):
        """The acts of each layer, on those of the layers below that have effect."""
        effective, upto = [], []
        control = next((lane for lane, (form, _) in self.lanes.items() if form == "control"))
        for layer, _ in self.finality.layers(control, acts):
            layer = [a for a in acts if a in layer and a.kind != ACK]
            upto += layer
            effective = effective + self.effective_of(layer, self.forks(upto), effective)
        return self.viewed(effective, self.forks(acts))

    def effective_of(self, acts, forks, given):
        acts = [a for a in acts if not self.is_void(a, forks)]

        def revoking(events):
            return [a for a in events if self.judged(a)["revokes"] and self.judged(a)["rank"] != NONE]

        def passed(strikers):
            return self.fold_pass(acts, forks, given, revoking(given) + strikers)

        effective = passed(revoking(acts))
        for _ in range(15):
            further = passed(revoking(passed(revoking(effective))))
            if further == effective:
                break
            effective = further
        return effective

    def viewed(self, effective, forks):
        partners = {self.concerned(a) for a in effective}
        standings = {p: Standing(self, p, effective) for p in partners}
        members = {p: s for p, s in standings.items() if s.status is not None}
        assert len(members) <= 64
        return View(members, effective, forks)

    def fold_pass(self, acts, forks, given, strikers):
        done = []
        for act in acts:
            if act.kind == EVIDENCE or self.takes_effect(act, given + done, forks, strikers):
                done.append(act)
        return done

    def takes_effect(self, act, done, forks, strikers):
        judged = self.judged(act)
        if judged["rank"] == NONE:
            return False
        basis = [a for a in done if a in act.past]

        def role(partner):
            standing = Standing(self, partner, basis)
            return standing.role if standing.status == ACTIVE else 0

        if judged["rank"] in (ADMIN, OWNER):
            if role(judged["author"]) < 3 or role(judged["author"]) <= judged["above"]:
                return False
        if judged["rank"] == QUORUM:
            backing = {
                self.judged(e)["author"]
                for e in judged["counting"]
                if not self.is_void(e, forks) and not any(self.strikes(x, act, e) for x in strikers)
            }
            if role(judged["author"]) != 4 or sum(role(p) == 4 for p in backing) < judged["k"]:
                return False
        return not any(self.hits(x, act) for x in strikers)

    def outranks(self, x, act):
        mine, other = self.judged(act)["rank"], self.judged(x)["rank"]
        return other > mine if self.judged(act)["revokes"] else other >= mine

    def concurrent(self, x, event):
        return x is not event and x not in event.past and event not in x.past

    def hits(self, x, act):
        judged = self.judged(act)
        if not self.concurrent(x, act) or not self.outranks(x, act):
            return False
        if x.kind == SEAT_TRANSFER:
            return self.displaced(x) == act.writer
        if self.judged(x)["author"] == judged["author"] or self.concerned(x) != judged["author"]:
            return False
        return x.kind in (REMOVE, SUSPEND, LEAVE) or judged["rank"] in (ADMIN, OWNER, QUORUM)

    def strikes(self, x, act, endorse):
        endorser = self.judged(endorse)["author"]
        if not self.concurrent(x, endorse) or not self.outranks(x, act):
            return False
        if x.kind == SEAT_TRANSFER:
            return self.displaced(x) == endorse.writer
        return self.concerned(x) == endorser and self.judged(x)["author"] != endorser

    # What stands, and what is about what.

    def endings(self, view):
        """(act, partner, the writer in scope or None for all of the partner's)."""
        out = []
        for act in view.effective:
            if act.kind in (REMOVE, SUSPEND, LEAVE):
                out.append((act, self.concerned(act), None))
            elif act.kind == SEAT_TRANSFER and self.displaced(act):
                out.append((act, self.concerned(act), self.displaced(act)))
        return out

    def author(self, event):
        return self.author_in(self.view(event.frontier), event)

    def readers(self, lane, members):
        form, audience = self.lanes[lane]
        return audience | members if form == "open" and self.charter[6] == 2 else audience

    def log(self, event):
        out = [event]
        while out[0].prev:
            out.insert(0, out[0].prev)
        return out

    def standing_events(self, events, lane, view):
        """Those events of a lane that stand: what a barrier holds by that alone, the rest in the light
        of the present view."""
        standing = set()
        for layer, barrier in self.finality.layers(lane, events):
            seen, by = events, view
            if barrier:
                seen, by = barrier.holds, self.view({e for e in barrier.holds if e.control})
            standing |= self.standing_in(seen, lane, by, layer, standing)
        return standing

    def standing_in(self, events, lane, view, layer, given):
        """Those events of a layer that stand, where those below are decided."""
        events = [e for e in events if e.lane == lane]
        authors = {e.id: self.author(self.log(e)[0]) for e in events}
        endings = [e for e in self.endings(view) if e[1] in self.lanes[lane][1]]
        heads = [e for e in events if not any(other.prev is e for other in events)]
        cuts = {act.id: self.cut_events(act, partner, heads, view) for act, partner, _ in endings}

        def in_scope(event, partner, writer):
            return authors[event.id] == partner and writer in (None, event.writer)

        def stands(event, standing):
            above = [v for v in standing if event in v.past]
            for act, partner, writer in endings:
                if not in_scope(event, partner, writer) or act in event.frontier:
                    continue
                if not any(
                    not in_scope(v, partner, writer) and (act not in v.frontier or v in cuts[act.id])
                    for v in above
                ):
                    return False
            author = authors[event.id]
            return author in view.members or any(authors[v.id] != author for v in above)

        standing = set()
        while True:
            more = {e for e in events if e in layer and stands(e, given | standing)}
            if more == standing:
                return standing
            standing = more

    def marked(self, events, lane):
        """Those events of a lane that bear the mark of a fork."""
        proofs = {}
        for event in events:
            if event.kind == EVIDENCE:
                of, writer, seq = self.forked(event)
                known = proofs.setdefault((of, writer), [seq, set()])
                known[0] = min(seq, known[0])
                known[1].add(event)
        marked = set()
        for (of, writer), (seq, evidence) in proofs.items():
            own = [e for e in events if e.lane == lane and e.writer == writer]
            if of == lane:
                marked |= {e for e in own if e.seq >= seq}
            elif self.bears_on(of, lane):
                signs = evidence | {e for e in events if (e.lane, e.writer) == (of, writer) and e.seq >= seq}
                author = {e.id: self.author(self.log(e)[0]) for e in events if e.lane == lane}
                marked |= {
                    e
                    for e in own
                    if not any(
                        v.lane == lane and author[v.id] != author[e.id] and e in v.past and not signs & v.past
                        for v in events
                    )
                }
        return marked

    def bears_on(self, of, lane):
        """Whether all who read a lane, now and later, read another."""
        (wide, readers), (form, audience) = self.lanes[of], self.lanes[lane]
        if wide == "control":
            return True
        if self.charter[6] == 2 and (wide == "open" or form == "open"):
            return wide == "open"
        return audience <= readers

    def cut_events(self, act, partner, heads, view):
        """The events that belong to some writer's cut for an ending."""
        out = set()
        for head in heads:
            row = [e for e in self.log(head) if act in e.frontier]
            frontier = row[0].frontier if row else set()
            if any(
                a.kind == INVITE and a in view.effective and self.concerned(a) == partner and act in a.past
                for a in frontier
            ):
                continue
            for event in row:
                if event.kind != CUT or event.frontier != frontier:
                    break
                out.add(event)
        return out

    def target(self, event, events):
        """What an event is about, if that has effect."""
        if not event.about:
            return None
        lane, writer, seq, id = event.about
        named = [e for e in events if (e.id, e.writer, e.seq, e.lane) == (id, writer, seq, lane or event.lane)]
        below = {e for parent in event.parents for e in parent.past | {parent}}
        if not named or named[0] not in below:
            return None
        target = named[0]
        members = self.view(event.frontier).active()
        audience, readers = self.lanes[event.lane][1], self.readers(target.lane, members)
        own = (self.author(target), target.author) == (self.author(event), event.author)
        fits = {
            POST: target.kind == POST and audience <= readers,
            EDIT: target.kind == POST and own and audience == readers & members,
            REDACT: target.kind in (POST, FILE) and own and audience == readers & members,
            REACT: target.kind == POST and audience <= readers,
            PIN: target.kind == POST and audience <= readers,
            RECEIPT: target.kind == POST and audience <= readers,
            FILE: target.kind == POST and audience <= readers,
        }  # fmt: skip
        return target if fits.get(event.kind) and dominates(event.label, target.label) else None


def dominates(c, p):
    if p is None:
        return True
    if c is None or c[:2] != p[:2]:
        return False

    def kept(category):
        tag, form, values = category
        same = [set(other[2]) for other in c[2] if other[:2] == [tag, form]]
        if form == 1:
            return any(other >= set(values) for other in same)
        return form == 3 or any(other and other <= set(values) for other in same)

    return all(kept(category) for category in p[2])
