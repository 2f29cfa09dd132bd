"""Acknowledgements and barriers (docs/protocol.md, section 21), for charters whose finality is 1.

For state.py, which says what an event is. A set of events here has the past of each of its events.
"""

ACK = 42
ACCEPT, LEAVE, REMOVE, SUSPEND, CHARTER, INVITE = 2, 7, 5, 6, 1, 3
SEAT_MOVE, SEAT_TRANSFER, EVIDENCE = 10, 11, 44
SUSPENDED = 2
NO_BASE = bytes(32)


class Barrier:
    def __init__(self, number, acks, members, base, finality):
        self.number, self.acks, self.members, self.base = number, acks, members, base
        ids, rows = sorted(ack.id for ack in acks), sorted(list(member) for member in members)
        encoded = finality.state.msgpack([number, ids, rows, base.digest if base else NO_BASE])
        self.digest = finality.state.H("comity/v1/barrier", encoded)
        self.holds = {e for ack in acks for e in ack.past | {ack}}


class Finality:
    def __init__(self, state):
        self.state, self.said, self.known = state, {}, {}

    # Members.

    def session(self, view, partner):
        if partner not in view.members:
            return 0
        state, acts = self.state, view.effective
        mine = [a for a in acts if a.kind in (ACCEPT, CHARTER) and state.judged(a)["author"] == partner]
        moved = [a for a in acts if a.kind == SEAT_TRANSFER and state.concerned(a) == partner]
        return max(0, len(mine) - 1) + len(moved)

    def is_by_seat(self, event):
        standing = self.state.view(event.frontier).members.get(self.state.author(event))
        return standing is not None and standing.seat == event.writer

    def has_left(self, seen, partner):
        mine = [e for e in seen if e.kind in (ACCEPT, LEAVE) and self.state.author(e) == partner]
        backs = [e for e in mine if e.kind == ACCEPT]
        return any(e.kind == LEAVE and not any(e in back.past for back in backs) for e in mine)

    def seats(self, control, partner):
        state, out = self.state, set()
        for act in control:
            if act.kind in (CHARTER, INVITE):
                listed = state.record(act)[4][3] if act.kind == CHARTER else state.list_of(act)
                if listed[2] == partner:
                    out.add(state.writers_of(listed)[0])
            elif act.kind == SEAT_MOVE and state.author(act) == partner:
                out.add(state.record(act)[0])
            elif act.kind == SEAT_TRANSFER and state.list_of(act)[2] == partner:
                out.add(state.record(act)[1])
        return out

    def has_forked(self, seen, acks, partner):
        seats = self.seats([e for e in seen if e.control], partner)
        places = [(e.lane, e.writer, e.seq) for e in seen if e.writer in seats]
        proved = [e for e in seen if e.kind == EVIDENCE and self.state.forked(e)[1] in seats]
        rounds = [(self.tell(a)["number"], self.tell(a)["author"]) for a in acks]
        rounds = [one for one in rounds if one[1][0] == partner]
        return len(places) != len(set(places)) or bool(proved) or len(rounds) != len(set(rounds))

    # An ack by its past.

    def tell(self, ack):
        """What follows from an ack's past; fails if the ack is not valid."""
        if ack.id not in self.said:
            number, named = self.state.record(ack)
            said = self.judge(ack.lane, ack.past, self.state.author(ack), number)
            assert said["base_digest"] == named and self.is_by_seat(ack)
            self.said[ack.id] = said
        return self.said[ack.id]

    def judge(self, lane, past, author, number):
        """What an ack says that has this past."""
        view = self.state.view({e for e in past if e.control})
        acks = [e for e in past if e.kind == ACK and e.lane == lane]
        me = (author, self.session(view, author))
        base = self.base(lane, past, number)
        members = self.members(lane, past, view, number, base)
        of = {self.tell(a)["author"]: a for a in acks if self.tell(a)["number"] == number - 1}
        assert all(self.tell(a)["number"] < number for a in acks if self.tell(a)["author"] == me)
        assert number == 1 or all(member in of for member in members)
        return {
            "number": number,
            "author": me,
            "base": base,
            "base_digest": base.digest if base else NO_BASE,
            "members": frozenset(members),
            "before": frozenset(of[member] for member in members if member in of),
            "entry": me not in members,
        }

    def base(self, lane, past, number):
        below = [b for b in self.certified(lane, past) if b.number <= number - 2]
        return min(below, key=lambda b: (-b.number, b.digest), default=None)

    def initial(self, lane, view):
        form, audience = self.state.lanes[lane]
        partners = audience if form != "control" else {self.state.charter[4][3][2]}
        return {(p, self.session(view, p)) for p in partners}

    def members(self, lane, past, view, number, base):
        seen = {e for e in past if e.control or e.lane == lane}
        acks = [e for e in past if e.kind == ACK and e.lane == lane]
        members = set(base.members) if base else self.initial(lane, view)
        said = [self.tell(a) for a in acks]
        above = base.number if base else 0
        members |= {s["author"] for s in said if s["entry"] and above < s["number"] < number}
        members = {
            (p, s)
            for p, s in members
            if self.session(view, p) == s and not self.has_left(seen, p) and not self.has_forked(seen, acks, p)
        }
        return self.without_forced(lane, past, view, base, members, seen)

    def without_forced(self, lane, past, view, base, members, seen):
        standing = self.standing(lane, past)
        bounding = [standing[-1].members if standing else self.initial(lane, view)]
        while base and base.number > (standing[-1].number if standing else 0):
            bounding.append(base.members)
            base = base.base
        endings = [a for a in view.effective if a.kind in (REMOVE, SUSPEND)]
        for act in sorted(endings, key=lambda a: (a.h, a.id)):
            target = self.state.concerned(act)
            gone = view.members[target].status >= SUSPENDED if target in view.members else False
            member = (target, self.session(view, target))
            if not gone or member not in members:
                continue
            knows = {
                self.state.author(e)
                for e in seen
                if e.kind != ACK and (e is act or act in e.past) and self.is_by_seat(e)
            }
            knowing = {m for m in members if m[0] != target and m[0] in knows}
            if all(3 * len(knowing & set(bound)) > 2 * len(bound) for bound in bounding):
                members = members - {member}
        return members

    # Barriers.

    def certified(self, lane, events):
        key = (lane, frozenset(e.id for e in events if e.kind == ACK and e.lane == lane))
        if key not in self.known:
            alike = {}
            for ack in events:
                if ack.kind == ACK and ack.lane == lane:
                    said = self.tell(ack)
                    if said["number"] > 1 and not said["entry"]:
                        what = (said["number"], said["members"], said["before"], said["base_digest"])
                        alike.setdefault(what, (said, set()))[1].add(said["author"])
            self.known[key] = [
                Barrier(said["number"] - 1, said["before"], said["members"], said["base"], self)
                for said, authors in alike.values()
                if said["members"] and said["members"] <= authors
            ]
        return self.known[key]

    def standing(self, lane, events):
        """The barriers that stand, the lowest first."""
        acks = [self.tell(e) for e in events if e.kind == ACK and e.lane == lane]
        stand = []
        for barrier in self.certified(lane, events):
            alike = {}
            for said in acks:
                if said["number"] == barrier.number + 2 and not said["entry"]:
                    if said["base_digest"] == barrier.digest:
                        alike.setdefault(said["members"], set()).add(said["author"])
            if any(members <= authors for members, authors in alike.items()):
                stand.append(barrier)
        top = min(stand, key=lambda b: (-b.number, b.digest), default=None)
        chain = []
        while top:
            chain.insert(0, top)
            top = top.base
        return chain

    def layers(self, lane, events):
        """The events of each layer, with the barrier that holds it; the last has none."""
        below, out = set(), []
        for barrier in self.standing(lane, events):
            out.append((barrier.holds - below, barrier))
            below |= barrier.holds
        return out + [(set(events) - below, None)]

    # What follows for a lane.

    def places(self, lane, events):
        """What each event of a lane gets of T and H, and those that are late."""
        got, late, floor = {}, set(), None
        for layer, barrier in self.layers(lane, events):
            for event in sorted((e for e in layer if e.lane == lane), key=lambda e: (e.h, e.id)):
                t, h = event.header["claimed_ms"], 1
                for parent in event.parents:
                    above, below = got.get(parent, (parent.t, parent.h))
                    t, h = max(t, above), max(h, below + 1)
                if floor and (t, h) < floor:
                    t, h = max(t, floor[0]), max(h, floor[1])
                if floor and (event.t, event.h) < floor:
                    late.add(event)
                got[event] = (t, h)
            if barrier:
                held = [got[e] for e in barrier.holds if e.lane == lane and 33 <= e.kind <= 40]
                floor = (max(t for t, _ in held), 1 + max(h for _, h in held)) if held else None
        return got, late

    def finals(self, lane, control, events):
        held = {e for barrier in self.standing(lane, events) for e in barrier.holds if e.lane == lane}
        known = {e for barrier in self.standing(control, events) for e in barrier.holds}
        return {e for e in held if all(a in known for a in e.frontier if a.kind != ACK)}
