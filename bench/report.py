"""From samples to docs/performance.md: medians, spread, ratios, and whether the targets hold.

Ratios are taken within a round (one row, everybody in turn), then the median over the rounds. This
module starts nothing and measures nothing.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contestants import CLIENTS, LIMIT, SERVERS
from harness import FOREIGN_LIMIT, Sample

BEGIN = "<!-- measured: begin, written by `python bench/run.py report` -->"
END = "<!-- measured: end -->"
HEAD = """# Performance

How fast ws4py is next to a minimal C server, to other packages and to ws4py 0.6, measured by
[`bench/`](../bench/README.md) in one run in which everybody takes turns. What travels from one
machine to another is the ratio to the C program measured next to it; microseconds do not.
"""

Case = tuple[tuple[str, int], ...]


# -- one sample ----------------------------------------------------------------------------


def problem_of(sample: Sample) -> str | None:
    """Why a sample does not count, if so."""
    if "error" in sample:
        return f"failed: {sample['error'].strip()[-120:]}"
    if sample.get("mismatch") or sample.get("errors") or sample.get("failed"):
        return "wrong or missing answers"
    if sample.get("rate") == 0:
        return "nothing finished in time"
    if sample.get("foreign", 0.0) > FOREIGN_LIMIT:
        return f"disturbed: other programs took {sample['foreign']:.2f} of a core"
    return None


def cost_of(kind: str, sample: Sample) -> float | None:
    """The figure, less is better: bytes, or microseconds per message.

    A server is judged by the CPU that it uses, a client by the time that passes.
    """
    if "per_connection" in sample:
        return float(sample["per_connection"])
    if kind == "server":
        return sample.get("srv_us_per_msg") or None
    return 1e6 / sample["rate"] if sample.get("rate") else None


def size_text(size: int) -> str:
    """Bytes for people."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and not size % factor:
            return f"{size // factor} {unit}"
    return f"{size} B"


def label(case: dict[str, int]) -> str:
    """A row for people: "100 × 1 KiB, depth 16"."""
    parts = [f"{case['n']:,}"] if "n" in case else []
    parts += [size_text(case["s"])] if "s" in case else []
    depth = f", depth {case['d']}" if case.get("d", 1) > 1 else ""
    return " × ".join(parts) + depth


# -- all samples ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """Median, smallest and largest of some rounds."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure | None:
        """``None`` for no values."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values), len(values))


class Results:
    """The samples of some files, and what can be asked about them."""

    def __init__(self, files: Iterable[Path], *, disturbed: bool = False) -> None:
        self.facts: list[dict[str, Any]] = []
        self.problems: dict[str, int] = {}
        self.total = 0
        self.keeps_disturbed = disturbed
        self.open_secs: dict[tuple[str, Case], float] = {}
        # Kind, suite and case to name to round to costs.
        self._costs: dict[tuple[str, str, Case], dict[str, dict[Any, list[float]]]] = {}
        for file in files:
            for line in file.read_text().splitlines():
                self._take(json.loads(line))

    def _take(self, record: dict[str, Any]) -> None:
        if record["kind"] == "facts":  # with these every run begins
            self.facts.append(record)
            return
        self.total += 1
        sample, name = record["sample"], record["name"]
        problem = problem_of(sample)
        if problem is not None:
            what = problem.partition(":")[0]
            text = what if what == "disturbed" else f"{name}, {record['suite']}: {what}"
            self.problems[text] = self.problems.get(text, 0) + 1
            if what != "disturbed" or not self.keeps_disturbed:
                return
        cost = cost_of(record["kind"], sample)
        if cost is None:
            return
        case = tuple(record["case"].items())
        if "open_secs" in sample:
            self.open_secs[name, case] = sample["open_secs"]
        rounds = self._costs.setdefault((record["kind"], record["suite"], case), {})
        this_round = (len(self.facts), record["rep"])
        rounds.setdefault(name, {}).setdefault(this_round, []).append(cost)

    def cases(self, kind: str, suite: str) -> list[dict[str, int]]:
        """The rows of a suite, sorted."""
        found = [dict(case) for k, s, case in self._costs if (k, s) == (kind, suite)]
        return sorted(found, key=lambda c: (c.get("d", 1), c.get("n", 0), c.get("s", 0)))

    def names(self, kind: str, suite: str) -> list[str]:
        """Who has figures in a suite, in the order of the table of contestants."""
        has = {
            n for (k, s, _), names in self._costs.items() if (k, s) == (kind, suite) for n in names
        }
        table = SERVERS if kind == "server" else CLIENTS
        return [name for name in table if name in has]

    def rounds(self, kind: str, suite: str, case: dict[str, int], name: str) -> dict[Any, float]:
        """The cost in each round."""
        rounds = self._costs.get((kind, suite, tuple(case.items())), {}).get(name, {})
        return {key: statistics.fmean(costs) for key, costs in rounds.items()}

    def figure(self, kind: str, suite: str, case: dict[str, int], name: str) -> Figure | None:
        """The cost."""
        return Figure.of(list(self.rounds(kind, suite, case, name).values()))

    def ratio(
        self, kind: str, suite: str, case: dict[str, int], name: str, other: str
    ) -> Figure | None:
        """The cost as a multiple of somebody else's in the same round."""
        mine = self.rounds(kind, suite, case, name)
        theirs = self.rounds(kind, suite, case, other)
        return Figure.of([cost / theirs[key] for key, cost in mine.items() if key in theirs])


# -- targets -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What one target looks like in one row; ``value`` is a ratio, or bytes.

    ``faster``: more is better.
    """

    where: str
    value: Figure
    met: bool
    faster: bool = False


@dataclass(frozen=True)
class Target:
    """A line of the table of targets.

    ``against``: whom the cost is compared with; of several the best counts. ``faster``: the limit
    is how many times faster we have to be, else how many times the cost we may have.
    """

    case: str
    goal: str
    kind: str
    suite: str
    rows: Callable[[dict[str, int]], bool]
    against: tuple[str, ...]
    limit: float
    faster: bool = False
    only: str | None = None

    def findings(self, results: Results, name: str) -> list[Finding]:
        """One for each row that was measured."""
        rows = [case for case in results.cases(self.kind, self.suite) if self.rows(case)]
        found = [self._finding(results, case, name) for case in rows]
        return [each for each in found if each is not None]

    def _finding(self, results: Results, case: dict[str, int], name: str) -> Finding | None:
        python = "@3.13" if name.endswith("@3.13") else ""
        ratios = []
        for other in self.against:
            peer = other + python if other + python in (*SERVERS, *CLIENTS) else other
            ratio = results.ratio(self.kind, self.suite, case, name, peer)
            if ratio is not None:
                ratios.append(ratio)
        if not ratios:
            return None
        worst = max(ratios, key=lambda ratio: ratio.median)
        if self.faster:
            worst = Figure(1 / worst.median, 1 / worst.high, 1 / worst.low, worst.count)
        met = worst.median >= self.limit if self.faster else worst.median <= self.limit
        return Finding(label(case), worst, met, self.faster)


PICOWS = ("picows-low", "picows-low+uvloop")
SMALL = (16, 128, 1024)


def echo(case: str, goal: str, rows: Any, against: Any, limit: float, **kw: Any) -> Target:
    """A target of the managed server's echo."""
    return Target(case, goal, "server", "echo", rows, against, limit, **kw)


def depth_1(case: dict[str, int]) -> bool:
    return case["d"] == 1 and case["s"] in SMALL


def depth_16(case: dict[str, int]) -> bool:
    return case["d"] == 16 and case["s"] in (16, 1024)


def middle(case: dict[str, int]) -> bool:
    return case["s"] == 16384


def large(case: dict[str, int]) -> bool:
    return case["s"] in (262144, 1048576)


def every(case: dict[str, int]) -> bool:
    return True


def small_flood(case: dict[str, int]) -> bool:
    return case["s"] == 100


TARGETS = [
    echo("echo 16 B–1 KiB, depth 1", "≤ 1.15 × C limit", depth_1, (LIMIT,), 1.15),
    echo("", "not behind picows", depth_1, PICOWS, 1.0),
    echo("echo 16 B and 1 KiB, depth 16", "≤ 2 × C limit", depth_16, (LIMIT,), 2.0),
    echo("", "≥ 4 × picows' rate", depth_16, PICOWS, 4.0, faster=True),
    echo("echo 16 KiB", "≤ 1.2 × C limit", middle, (LIMIT,), 1.2),
    echo("echo 256 KiB and 1 MiB", "≤ 1.0 × C limit", large, (LIMIT,), 1.0),
    echo("", "ahead of picows", large, PICOWS, 1.0),
    Target(
        "receive flood 100 B",
        "≥ 2 × picows' rate",
        "server",
        "sink",
        small_flood,
        PICOWS,
        2.0,
        True,
    ),
    Target(
        "broadcast to 1,000, per delivery",
        "≤ 1.15 × C limit",
        "server",
        "broadcast",
        every,
        (LIMIT,),
        1.15,
    ),
    Target("", "ahead of picows", "server", "broadcast", every, PICOWS, 1.0),
    Target("connect, handshake, close", "≤ 1.7 × C limit", "server", "churn", every, (LIMIT,), 1.7),
    Target("", "ahead of picows", "server", "churn", every, PICOWS, 1.0),
    Target("", "ahead of socketify", "server", "churn", every, ("socketify",), 1.0),
    echo(
        "pure build, echo 16 B, 100 connections",
        "not behind websockets on uvloop",
        lambda case: case == {"n": 100, "s": 16, "d": 1},
        ("websockets+uvloop",),
        1.0,
        only="ws4py-pure",
    ),
    Target(
        "client round trips 8 B–16 KiB",
        "≥ 1.5 × websocket-client",
        "client",
        "rt",
        every,
        ("websocket-client",),
        1.5,
        True,
    ),
    Target("", "≥ 2 × websockets.sync", "client", "rt", every, ("websockets-sync",), 2.0, True),
    Target("", "≤ 1.3 × a C client's time", "client", "rt", every, (LIMIT,), 1.3),
    Target(
        "client receive flood", "≥ 1.3 × picows' rate", "client", "recv", every, PICOWS, 1.3, True
    ),
]


def idle_findings(results: Results, suite: str, limit: float, name: str) -> list[Finding]:
    """Memory at 10,000 connections."""
    figure = results.figure("server", suite, {"n": 10000}, name)
    return [Finding("10,000", figure, figure.median <= limit)] if figure else []


def growth_findings(results: Results, name: str) -> list[Finding]:
    """Cost per message at 1,000 connections over that at fewer, where it is least."""
    found = []
    for size in SMALL:
        few, some, many = (
            results.rounds("server", "echo", {"n": n, "s": size, "d": 1}, name)
            for n in (1, 100, 1000)
        )
        figure = Figure.of(
            [many[key] / min(few[key], some[key]) for key in many if key in few and key in some]
        )
        if figure is not None:
            found.append(Finding(size_text(size), figure, figure.median <= 1.5))
    return found


def bytes_findings(results: Results, name: str) -> list[Finding]:
    """Cost per byte of 1 MiB over that of a smaller message."""
    found = []
    big, small = 1 << 20, 16384
    mine, base = (
        results.rounds("server", "echo", {"n": 1, "s": s, "d": 1}, name) for s in (big, small)
    )
    figure = Figure.of([mine[key] / base[key] / (big / small) for key in mine if key in base])
    if figure is not None:
        found.append(Finding(f"1 MiB over {size_text(small)}", figure, figure.median <= 1.5))
    return found


def target_lines(results: Results) -> list[str]:
    """The table of targets."""
    ours = ("ws4py", "ws4py@3.13")
    lines = [
        "| case | target | Python 3.11 | Python 3.13 | holds |",
        "|---|---|---|---|---|",
    ]
    for target in TARGETS:
        names = (target.only,) if target.only else ours
        found = [target.findings(results, name) for name in names]
        lines.append(target_line(target.case, target.goal, found))
    for suite, limit, case, goal in (
        ("idle", 4096, "idle connection, plain", "≤ 4 KiB resident at 10,000"),
        ("idle-deflate", 10240, "idle connection, permessage-deflate", "≤ 10 KiB at 10,000"),
    ):
        found = [idle_findings(results, suite, limit, name) for name in ours]
        lines.append(target_line(case, goal, found, unit=" B"))
    found = [growth_findings(results, name) for name in ours]
    lines.append(target_line("growing, 1 to 1,000 connections, depth 1", "≤ 1.5 ×", found))
    found = [bytes_findings(results, name) for name in ours]
    lines.append(target_line("growing, cost per byte", "≤ 1.5 ×", found))
    return lines


def target_line(case: str, goal: str, found: list[list[Finding]], unit: str = "") -> str:
    """One line: the worst row of each Python, and whether all of them hold."""
    cells = [finding_text(each, unit) for each in found]
    every_one = [finding.met for each in found for finding in each]
    if not every_one or not all(found):
        holds = "not measured"
    else:
        held = sum(every_one)
        holds = "yes" if held == len(every_one) else f"**no**: {held} of {len(every_one)} rows"
    return f"| {case} | {goal} | {' | '.join([*cells, '–'][:2])} | {holds} |"


def finding_text(found: list[Finding], unit: str) -> str:
    """The row that fares worst, with its spread."""
    if not found:
        return "–"
    worst = (min if found[0].faster else max)(found, key=lambda each: each.value.median)
    value = worst.value
    if unit:
        return f"{value.median:,.0f}{unit}"
    spread = f" ({value.low:.2f}–{value.high:.2f})" if value.count > 1 else ""
    where = f"; {worst.where}" if len(found) > 1 else ""
    return f"{value.median:.2f}{spread}{where}"


# -- the page ------------------------------------------------------------------------------


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(results: Results, kind: str, suite: str, cases: list[dict[str, int]]) -> list[str]:
    """Everybody's cost in some rows: median, multiple of the C limit, half the spread."""
    heads = [label({**case, "d": 1}) for case in cases]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(cases) + 1) + "|"]
    for name in results.names(kind, suite):
        cells = [cell(results, kind, suite, case, name) for case in cases]
        if any(each != "–" for each in cells):
            shown = f"**{name}**" if name in ("ws4py", "ws4py@3.13", "ws4py-pure") else name
            lines.append(f"| {shown} | {' | '.join(cells)} |")
    return lines


def cell(results: Results, kind: str, suite: str, case: dict[str, int], name: str) -> str:
    """One figure of a table."""
    figure = results.figure(kind, suite, case, name)
    if figure is None:
        return "–"
    text = number(figure.median)
    ratio = results.ratio(kind, suite, case, name, LIMIT)
    if name != LIMIT and ratio is not None and not suite.startswith("idle"):
        text += f" ×{number(ratio.median)}"
    if figure.count > 1:
        text += f" ±{50 * (figure.high - figure.low) / figure.median:.0f} %"
    if suite.startswith("idle"):
        text += f" ({results.open_secs[name, tuple(case.items())]:.1f} s)"
    return text


def sections(results: Results) -> list[str]:
    """All tables."""
    lines = []
    rows = results.cases("server", "echo")
    for depth in sorted({case["d"] for case in rows}):
        lines += ["", f"### Echo, {depth} message{'s' * (depth > 1)} in flight per connection", ""]
        lines += ["µs of server CPU per message; columns are connections × size."]
        for conns in sorted({case["n"] for case in rows if case["d"] == depth}):
            some = [case for case in rows if (case["d"], case["n"]) == (depth, conns)]
            lines += ["", *table(results, "server", "echo", some)]
    for kind, suite, title, note in (
        ("server", "sink", "Receive flood", "µs of server CPU per message, one connection."),
        ("server", "broadcast", "Broadcast", "µs of server CPU per delivery."),
        ("server", "churn", "Connect, handshake, close", "µs of server CPU each, 32 at a time."),
        ("server", "idle", "Idle connections", IDLE),
        ("server", "idle-deflate", "Idle connections with permessage-deflate", IDLE),
        ("client", "rt", "Client round trips", "µs for each, against the C server."),
        ("client", "recv", "Client receive flood", "µs for each message, from the C server."),
    ):
        some = results.cases(kind, suite)
        if some:
            lines += ["", f"### {title}", "", note, "", *table(results, kind, suite, some)]
    return lines


IDLE = (
    "Bytes of resident memory that each adds to the server, after one message of 128 B "
    "(with permessage-deflate: none), and the seconds that opening all of them took."
)


def origin(results: Results) -> list[str]:
    """Machine, versions, date, command, and what was left out."""
    lines = []
    for facts in results.facts:
        machine = facts["machine"]
        changed = " and changes on top" if machine["changed"] else ""
        lines += [
            f"* {facts['date']}, commit {machine['commit']}{changed}: `{facts['command']}`",
            f"* {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"{machine['kernel']}, {machine['compiler']}",
            f"* samples of {facts['secs']:g} s, {facts['reps']} repetitions",
        ]
        for name, versions in facts["environments"].items():
            lines.append(f"* {name}: {version_text(versions)}")
    left_out = "; ".join(f"{what}: {count}" for what, count in sorted(results.problems.items()))
    lines.append(f"* samples: {results.total}; left out: {left_out or 'none'}")
    return list(dict.fromkeys(lines))


#: What takes part; an environment holds more than that.
TOLD = {
    "Python", "aiohttp", "build", "gevent", "picows", "socketify", "uvloop", "websocket-client",
    "websockets", "ws4py", "wsaccel", "wsproto",
}  # fmt: skip


def version_text(versions: dict[str, str]) -> str:
    """The versions of an environment on one line."""
    if "error" in versions:
        return versions["error"]
    told = {name: version for name, version in versions.items() if name in TOLD}
    python = told.pop("Python", "?")
    build = told.pop("build", "")
    packages = [f"{name} {version}" for name, version in sorted(told.items())]
    return ", ".join([f"Python {python}", *packages, *([build] if build else [])])


def measured(results: Results) -> str:
    """The part of the page that is written by this program."""
    lines = [
        BEGIN,
        "",
        "## Targets",
        "",
        "Ratios of server CPU per message, or of a client's time: median of the rounds and, in",
        "brackets, smallest and largest. Of several rows the one that fares worst is shown.",
        '"picows" is the better of its low-level API on asyncio and on uvloop, on the same Python.',
        "",
        *target_lines(results),
        "",
        "## Everybody",
        "",
        f"Median, multiple of the {LIMIT} in the same round, half the range of the rounds.",
        *sections(results),
        "",
        "## Where this comes from",
        "",
        *origin(results),
        "",
        END,
    ]
    return "\n".join(lines) + "\n"


def main(files: list[Path], page: Path | None, *, disturbed: bool) -> None:
    """Print the measured part, or put it into the page between its marks.

    ``disturbed``: let samples count that other programs disturbed, to see what a report looks like.
    What else is on the page stays; a page that does not exist is begun.
    """
    text = measured(Results(files, disturbed=disturbed))
    if page is None:
        print(text, end="")
        return
    before = page.read_text() if page.exists() else f"{HEAD}\n{BEGIN}\n{END}\n"
    if BEGIN not in before or END not in before:
        raise SystemExit(f"bench: {page} lacks the marks {BEGIN} and {END}")
    head, _, rest = before.partition(BEGIN)
    page.write_text(head + text + rest.partition(END)[2].lstrip("\n"))
