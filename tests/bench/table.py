"""The table: medians of each phase's runs, how Comity's stand to the others', and to the aims."""

import statistics

OURS = "comity"
# What Comity aims at by itself: at most so much.
AIMS = {
    ("cut", "lost"): 0, ("cut", "last_s"): 2,
    ("cutlong", "lost"): 0, ("cutlong", "last_s"): 2,
    ("stopb", "lost"): 0, ("stopb", "all_s"): 2,
    ("join", "join_s"): 0.5, ("join", "history_s"): 2,
    ("crowd", "lost"): 0, ("crowd", "gaps"): 0,
}
# And beside ejabberd: at most so many times its figure, for rates at least.
BESIDE = "ejabberd"
RATIOS = {("lat", "p50_ms"): 1, ("thr", "messages_per_s"): 5, ("thr", "cpu_s.*"): 1 / 3}
AT_LEAST = {("thr", "messages_per_s")}
# Phase, value, and how the row is called. A value may be one of a table: key.side.
ROWS = [
    ("lat", "p50_ms", "latency p50, ms"),
    ("lat", "p95_ms", "latency p95, ms"),
    ("lat", "p99_ms", "latency p99, ms"),
    ("lat", "wire_bytes", "link, one at a time, bytes"),
    ("lat", "wire_packets", "link, one at a time, packets"),
    ("thr", "messages_per_s", "messages per second"),
    ("thr", "lost", "lost while streaming"),
    ("thr", "wire_bytes", "link, streaming, bytes"),
    ("thr", "wire_packets", "link, streaming, packets"),
    ("thr", "cpu_s.A", "CPU s per 1,000: server A"),
    ("thr", "cpu_s.B", "CPU s per 1,000: server B"),
    ("thr", "cpu_s.users", "CPU s per 1,000: users' client"),
    ("thr", "cpu_s.*", "CPU s per 1,000: all"),
    ("thr", "disk_bytes.A", "disk per message at A, bytes"),
    ("thr", "disk_bytes.B", "disk per message at B, bytes"),
    ("start", "memory_mib.A", "memory of A at start, MiB"),
    ("start", "memory_mib.B", "memory of B at start, MiB"),
    ("thr", "memory_mib.A", "memory of A streaming, MiB"),
    ("thr", "memory_mib.B", "memory of B streaming, MiB"),
    ("cut", "lost", "cut: not shown to B's user"),
    ("cut", "first_s", "cut: first after its end, s"),
    ("cut", "node_s", "cut: all at B's server, s"),
    ("cut", "last_s", "cut: last shown after its end, s"),
    ("cut", "sent_away", "cut: user's socket ended, times"),
    ("cut-asked", "have", "cut: B's user can get"),
    ("cut-asked", "fetch_s", "cut: time to get it, s"),
    ("cutlong", "lost", "long cut: not shown to B's user"),
    ("cutlong", "first_s", "long cut: first after its end, s"),
    ("cutlong", "node_s", "long cut: all at B's server, s"),
    ("cutlong", "last_s", "long cut: last shown after its end, s"),
    ("cutlong", "sent_away", "long cut: user's socket ended, times"),
    ("cutlong-asked", "have", "long cut: B's user can get"),
    ("cutlong-asked", "fetch_s", "long cut: time to get it, s"),
    ("stopb", "lost", "B killed: lost"),
    ("stopb", "restart_s", "B killed: restart, s"),
    ("stopb", "pushed", "B killed: pushed unasked"),
    ("stopb", "all_s", "B killed: all got, from its start, s"),
    ("stopb", "have", "B killed: B's user can get"),
    ("join", "join_s", "join: first use, s"),
    ("join", "held_s", "join: all at B's server, s"),
    ("join", "history_s", "join: all history read, s"),
    ("join", "have", "join: messages read"),
    ("join", "second_join_s", "join, second user: first use, s"),
    ("join", "second_history_s", "join, second user: all read, s"),
    ("join", "second_have", "join, second user: messages read"),
    ("join", "wire_bytes", "join: link, bytes a message"),
    ("join", "cpu_s.A", "join: CPU s per 1,000, server A"),
    ("join", "cpu_s.B", "join: CPU s per 1,000, server B"),
    ("filled", "memory_mib.A", "memory of A, full room, MiB"),
    ("crowd", "users", "crowd: users with a socket"),
    ("crowd", "posts_per_s", "crowd: posts per second"),
    ("crowd", "post_p50_ms", "crowd: post answered p50, ms"),
    ("crowd", "post_p99_ms", "crowd: post answered p99, ms"),
    ("crowd", "told_p50_ms", "crowd: told to a socket p50, ms"),
    ("crowd", "told_p99_ms", "crowd: told to a socket p99, ms"),
    ("crowd", "lost", "crowd: not told"),
    ("crowd", "gaps", "crowd: gaps in sockets' numbers"),
    ("crowd", "ended", "crowd: sockets ended"),
    ("crowd", "cpu_s", "crowd: CPU s per 1,000 told"),
    ("crowd", "user_kib", "crowd: memory per user, KiB"),
]
LABEL_WIDTH, WIDTH = 38, 13


def table(records: list[dict]) -> str:
    systems = list(dict.fromkeys(record["system"] for record in records))
    others = [system for system in systems if system != OURS and OURS in systems]
    head = [*systems, *(f"/{other}" for other in others), *(["aim"] if OURS in systems else [])]
    lines = [line("", head)]
    for phase, value, label in ROWS:
        medians = {system: median(records, system, phase, value) for system in systems}
        if all(found is None for found in medians.values()):
            continue
        cells = [shown(medians[system]) for system in systems]
        ratios = [ratio(medians[OURS], medians[other]) for other in others]
        lines.append(line(label, [*cells, *ratios, aim(phase, value, medians)]))
    loads = {system: [r["load"] for r in records if r["system"] == system] for system in systems}
    lines.append(line("load average, lowest to highest",
                      [f"{min(l):.1f}-{max(l):.1f}" for l in loads.values()]))
    streams = [r for r in records if r["what"] == "thr"]
    lines += [f"{r['system']}, run {r['run']}: not in A's order" for r in streams
              if not r["order_of_a"]]
    return "\n".join(lines)


def median(records, system, phase, value):
    rows = (r for r in records if r["system"] == system and r["what"] == phase)
    found = [v for v in (pick(row, value) for row in rows) if v is not None]
    return statistics.median(found) if found else None


def pick(row, value):
    """A value, one of several by its key, or with a star the sum of all."""
    name, _, key = value.partition(".")
    if not key or name not in row:
        return row.get(name)
    return sum(row[name].values()) if key == "*" else row[name].get(key)


def ratio(ours, theirs) -> str:
    if not ours or not theirs:
        return "-"
    return f"{ours / theirs:.3g}x"


def aim(phase, value, medians) -> str:
    """What is aimed at, and whether it is met."""
    ours, limit = medians.get(OURS), AIMS.get((phase, value))
    factor, theirs = RATIOS.get((phase, value)), medians.get(BESIDE)
    if limit is None and factor and theirs:
        limit = factor * theirs
    if ours is None or limit is None:
        return ""
    met = ours >= limit if (phase, value) in AT_LEAST else ours <= limit
    return f"{shown(limit)} {'met' if met else 'missed'}"


def shown(value) -> str:
    return "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def line(label, cells) -> str:
    return label.ljust(LABEL_WIDTH) + "".join(str(cell).rjust(WIDTH) for cell in cells)
