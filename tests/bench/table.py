"""The table: medians of each phase's runs, and how Comity's stand to the others'."""

import statistics

OURS = "comity"
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
    ("cut", "lost", "cut: lost"),
    ("cut", "first_s", "cut: first after its end, s"),
    ("cut", "last_s", "cut: last after its end, s"),
    ("cut-asked", "have", "cut: B's user can get"),
    ("cutlong", "lost", "long cut: lost"),
    ("cutlong", "first_s", "long cut: first after its end, s"),
    ("cutlong", "last_s", "long cut: last after its end, s"),
    ("cutlong-asked", "have", "long cut: B's user can get"),
    ("stopb", "restart_s", "B killed: restart, s"),
    ("stopb", "pushed", "B killed: pushed unasked"),
    ("stopb", "have", "B killed: B's user can get"),
    ("stopb", "fetch_s", "B killed: time to get it, s"),
    ("join", "join_s", "join complete, s"),
    ("join", "history_s", "join: all history read, s"),
    ("join", "have", "join: messages read"),
    ("join", "wire_bytes", "join: link, bytes a message"),
    ("join", "cpu_s.A", "join: CPU s per 1,000, server A"),
    ("join", "cpu_s.B", "join: CPU s per 1,000, server B"),
    ("filled", "memory_mib.A", "memory of A, full room, MiB"),
]
LABEL_WIDTH, WIDTH = 34, 13


def table(records: list[dict]) -> str:
    systems = list(dict.fromkeys(record["system"] for record in records))
    others = [system for system in systems if system != OURS and OURS in systems]
    head = [*systems, *(f"/{other}" for other in others)]
    lines = [line("", head)]
    for phase, value, label in ROWS:
        medians = {system: median(records, system, phase, value) for system in systems}
        if all(found is None for found in medians.values()):
            continue
        cells = [shown(medians[system]) for system in systems]
        ratios = [ratio(medians[OURS], medians[other]) for other in others]
        lines.append(line(label, cells + ratios))
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


def shown(value) -> str:
    return "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def line(label, cells) -> str:
    return label.ljust(LABEL_WIDTH) + "".join(str(cell).rjust(WIDTH) for cell in cells)
