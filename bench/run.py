"""Compare servers and clients side by side, and write docs/performance.md from it.

    python bench/run.py all [--quick] [--json FILE]    everything: about 45 minutes, --quick 10
    python bench/run.py servers|clients|idle […]       a part of it
    python bench/run.py report FILE… [--write docs/performance.md]
    python bench/run.py build | venvs [NAME…]          what the others do first, if need be

Results are lines of JSON that are appended to a file, so that a run can be cut short and several
can be put together. bench/README.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import report
from contestants import CLIENTS, ENVIRONMENTS, IDLERS, LIMIT, PROJECT, SERVERS, Contestant
from harness import Sample

SIZES = (16, 128, 1024, 16384, 262144, 1048576)
CONNECTIONS = (1, 100, 1000)
DEPTHS = (1, 16)
#: Bytes under way at once: more would measure the memory of the machine, not the servers.
MAX_FLIGHT = 32 << 20
CLIENT_SIZES = (8, 128, 1024, 16384)
#: Messages that a client asks for in the receive flood.
FLOOD = 300_000

#: Connections, size, depth of the echo rows in which everybody takes part.
HEADLINES = {
    (1, 16, 1),
    (1, 1024, 1),
    (1, 1048576, 1),
    (100, 16, 1),
    (100, 1024, 1),
    (100, 16384, 1),
    (1000, 16, 1),
    (100, 16, 16),
    (100, 1024, 16),
}


@dataclass(frozen=True)
class Case:
    """One row: ``key`` says in the results what it is, ``options`` are the load generator's."""

    suite: str
    mode: str
    key: dict[str, int]
    options: tuple[object, ...]
    headline: bool = True


# -- what is measured ----------------------------------------------------------------------


def server_cases(options: argparse.Namespace) -> Iterator[Case]:
    """All rows of the servers; with ``--quick`` those that tell most."""
    timing = ("-t", options.secs, "-w", options.warm)
    what: tuple[object, ...]
    for depth, conns, size in itertools.product(DEPTHS, CONNECTIONS, SIZES):
        headline = (conns, size, depth) in HEADLINES
        if conns * size * depth > MAX_FLIGHT or (options.quick and not headline):
            continue
        key = {"n": conns, "s": size, "d": depth}
        what = ("--mode", "echo", "-n", conns, "-s", size, "-d", depth)
        yield Case("echo", "echo", key, (*what, *timing), headline)
    # From many source addresses, because ports stay taken for a while.
    what = ("--mode", "churn", "--srcs", 16, "-n", 32)
    timing_of_churn = ("-t", options.secs * 2, "-w", options.warm)
    yield Case("churn", "echo", {"n": 32}, (*what, *timing_of_churn))
    for size in (100,) if options.quick else (100, 65536):
        flood = ("--mode", "sink", "-n", 1, "-s", size, "-t", options.secs)
        yield Case("sink", "sink", {"n": 1, "s": size}, flood, size == 100)
    fan_out = ("--mode", "broadcast", "-n", 1000, "-s", 100, "-d", 1, *timing)
    yield Case("broadcast", "broadcast", {"n": 1000, "s": 100}, fan_out)


def client_cases(options: argparse.Namespace) -> Iterator[Case]:
    """All rows of the clients."""
    for size in CLIENT_SIZES[::2] if options.quick else CLIENT_SIZES:
        load = ("--mode", "echo", "-n", 1, "-s", size, "-d", 1, "-t", options.secs, "-w", 0.15)
        yield Case("rt", "echo", {"s": size}, load)
    yield Case("recv", "echo", {"s": 100}, ("--mode", "recv", "-n", 1, "-s", 100, "-c", FLOOD))


def chosen(table: dict[str, Contestant], options: argparse.Namespace) -> list[str]:
    """The contestants that take part: those asked for, as far as their environment exists."""
    names = []
    for name, contestant in table.items():
        if options.only and name not in options.only:
            continue
        environment = contestant.environment
        if environment is not None and not harness.interpreter(environment).exists():
            print(f"{name} is left out: there is no environment {environment}", file=sys.stderr)
            continue
        names.append(name)
    return names


def in_turn(names: list[str], repetition: int) -> list[str]:
    """The order of a round: from another start and in another direction every time.

    The C limit comes first and once more in the middle, so that everybody is near one.
    """
    rest = [name for name in names if name != LIMIT]
    if rest:
        shift = repetition * max(1, len(rest) // 3) % len(rest)
        rest = rest[shift:] + rest[:shift]
        if repetition % 2:
            rest.reverse()
    if LIMIT not in names:
        return rest
    half = (len(rest) + 1) // 2
    return [LIMIT, *rest[:half], LIMIT, *rest[half:]]


# -- running it ----------------------------------------------------------------------------


class Results:
    """The file of results, and a line on the terminal for each sample."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"results: {path}", file=sys.stderr)

    def add(self, **record: Any) -> None:
        """Append one record."""
        record["at"] = round(time.time(), 1)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def add_sample(self, kind: str, name: str, case: Case, rep: int, sample: Sample) -> None:
        """Append one sample, and show it."""
        self.add(kind=kind, name=name, suite=case.suite, case=case.key, rep=rep, sample=sample)
        cost = report.cost_of(kind, sample)
        shown = report.problem_of(sample) or (f"{cost:.3f}" if cost is not None else "no figure")
        print(f"{rep} {case.suite:<10}{report.label(case.key):<26}{name:<24}{shown}", flush=True)


def cleanest(measure: Any, pids: list[int], patience: float) -> Iterator[Sample]:
    """A sample; when other programs disturbed it, a second one as soon as there is quiet."""
    sample = harness.watched(pids, measure)
    yield sample
    if sample["foreign"] > harness.FOREIGN_LIMIT and patience > 0:
        harness.wait_for_quiet(patience)
        yield harness.watched(pids, measure)


class Servers:
    """Every contestant's servers, one process for each mode: only the measured one runs."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], harness.Server] = {}
        self._failed: dict[tuple[str, str], str] = {}

    def get(self, name: str, mode: str) -> harness.Server:
        """The server, awake. Raises ``RuntimeError`` if it does not start, now or before."""
        key = (name, mode)
        if key in self._failed:
            raise RuntimeError(self._failed[key])
        server = self._running.get(key)
        if server is None or not server.alive:
            contestant = SERVERS[name]
            fields = {"bin": harness.BIN, "mode": mode, "port": "{port}"}
            command = contestant.command.format(py=python_of(contestant), **fields)
            try:
                server = harness.Server(command, cwd=harness.HERE / "servers")
            except RuntimeError as exc:
                self._failed[key] = str(exc)
                raise
            self._running[key] = server
        server.wake()
        return server

    def drop(self, name: str, mode: str) -> None:
        """After a failure: the next ``get()`` starts a fresh one."""
        self._running.pop((name, mode)).stop()

    def stop(self) -> None:
        """End them all."""
        for server in self._running.values():
            server.stop()


def python_of(contestant: Contestant) -> str:
    """The interpreter for a command."""
    return str(harness.interpreter(contestant.environment or ""))


def run_servers(options: argparse.Namespace, results: Results) -> None:
    """All server rows, round by round: a round is one row for everybody."""
    names = chosen(SERVERS, options)
    cases = list(server_cases(options))
    servers = Servers()
    try:
        for rep, case in itertools.product(range(options.reps), cases):
            for name in in_turn(names, rep):
                if case.headline or not SERVERS[name].headline:
                    measure_server(servers, name, case, rep, options, results)
    finally:
        servers.stop()


def measure_server(
    servers: Servers,
    name: str,
    case: Case,
    rep: int,
    options: argparse.Namespace,
    results: Results,
) -> None:
    """One sample of one server, or two."""
    try:
        server = servers.get(name, case.mode)
    except RuntimeError as exc:
        results.add_sample("server", name, case, rep, {"error": str(exc)})
        return

    def measure() -> Sample:
        return harness.run_load(server.port, server.pids, case.options, spin=True)

    for sample in cleanest(measure, server.pids, options.patience):
        results.add_sample("server", name, case, rep, sample)
    server.rest()
    if report.problem_of(sample) is not None and sample["foreign"] <= harness.FOREIGN_LIMIT:
        servers.drop(name, case.mode)


def run_clients(options: argparse.Namespace, results: Results) -> None:
    """All client rows, against the C server.

    For round trips that server never sleeps, so that only the client's own waking up counts.
    """
    names = chosen(CLIENTS, options)
    command = f"{harness.BIN}/limit_server {{port}} echo"
    with_spin = harness.Server(f"{command} spin", cwd=harness.HERE)
    without = harness.Server(command, cwd=harness.HERE)
    try:
        for rep, case in itertools.product(range(options.reps), client_cases(options)):
            server, other = (with_spin, without) if case.suite == "rt" else (without, with_spin)
            other.rest()
            server.wake()
            for name in in_turn(names, rep):
                if case.suite in CLIENTS[name].modes or "echo" in CLIENTS[name].modes:
                    measure_client(server, name, case, rep, options, results)
    finally:
        with_spin.stop()
        without.stop()


def measure_client(
    server: harness.Server,
    name: str,
    case: Case,
    rep: int,
    options: argparse.Namespace,
    results: Results,
) -> None:
    """One sample of one client, or two."""
    contestant = CLIENTS[name]
    amount = options.secs if case.suite == "rt" else FLOOD
    arguments = f"{server.port} {case.suite} {case.key['s']} {amount}"
    command = contestant.command.format(py=python_of(contestant), bin=harness.BIN, args=arguments)
    words = ["taskset", "-c", harness.LOAD_CORE, *shlex.split(command)]
    if contestant.environment is None:
        words += ["--port", str(server.port), *map(str, case.options)]

    def measure() -> Sample:
        return harness.run_json(words, cwd=harness.HERE / "clients")

    for sample in cleanest(measure, server.pids, options.patience):
        results.add_sample("client", name, case, rep, sample)


def run_idle(options: argparse.Namespace, results: Results) -> None:
    """Memory of idle connections: a fresh server each time."""
    names = [name for name in chosen(SERVERS, options) if name in IDLERS]
    for count in (1000,) if options.quick else (1000, 10000):
        for name, deflate in itertools.product(names, (False, True)):
            # With compression only ours: the others are set up without.
            if deflate and not name.startswith("ws4py"):
                continue
            case = Case("idle-deflate" if deflate else "idle", "echo", {"n": count}, ())
            servers = Servers()
            try:
                sample = measure_idle(servers.get(name, "echo"), count, deflate)
            except RuntimeError as exc:
                sample = {"error": str(exc)}
            finally:
                servers.stop()
            results.add_sample("server", name, case, 0, sample)


def measure_idle(server: harness.Server, count: int, deflate: bool) -> Sample:
    """What ``count`` connections add to a server that has served a few before."""
    with harness.Held(server.port, 20, deflate=deflate):
        pass
    time.sleep(0.3)  # no event says that the server is through with them
    before = harness.resident(server.pids)
    with harness.Held(server.port, count, deflate=deflate) as held:
        time.sleep(0.3)
        after = harness.resident(server.pids)
    if held.opened < count:
        return {"error": f"only {held.opened} of {count} connections opened"}
    return {"per_connection": (after - before) / count, "open_secs": held.seconds}


# -- the command ---------------------------------------------------------------------------


def make_environments(names: list[str], *, again: bool) -> None:
    """Make the virtual environments that are missing; the project is always built anew.

    ``again``: install the other requirements too where the environment exists.
    """
    for name in names or ENVIRONMENTS:
        environment = ENVIRONMENTS[name]
        path = harness.VENVS / name
        is_new = not harness.interpreter(name).exists()
        if is_new:
            print(f"making {path}", file=sys.stderr)
            python = harness.find_python(environment.python)
            subprocess.run([python, "-m", "venv", str(path)], check=True)
        others = [each for each in environment.requirements if each != PROJECT]
        if others and (is_new or again):
            harness.pip_install(name, others)
        if PROJECT in environment.requirements:
            harness.install_project(name, environment.build)


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """What belongs to the figures: machine, versions, command, date."""
    arguments = " ".join(shlex.quote(each) for each in sys.argv[1:])
    found = [name for name in ENVIRONMENTS if harness.interpreter(name).exists()]
    return {
        "machine": harness.machine(),
        "environments": {name: harness.versions(name) for name in found},
        "command": f"python bench/run.py {arguments}",
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "secs": options.secs,
        "reps": options.reps,
    }


PARTS = {"servers": run_servers, "clients": run_clients, "idle": run_idle}


def run(options: argparse.Namespace) -> None:
    """One part or all of them."""
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench: needs two cores, one for the server and one for the load")
    harness.build()
    if not options.keep:
        make_environments([], again=False)
    harness.raise_open_files()
    results = Results(options.json)
    results.add(kind="facts", **facts(options))
    began = time.monotonic()
    for name in PARTS if options.what == "all" else [options.what]:
        PARTS[name](options, results)
    print(f"{time.monotonic() - began:.0f} s; now: python bench/run.py report {options.json}")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(description="ws4py against the limit and against its peers")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("build", help="compile the C programs")
    venvs = commands.add_parser("venvs", help="make the virtual environments, upgrade the project")
    venvs.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ENVIRONMENTS)}")
    for name in ("all", *PARTS):
        part = commands.add_parser(name)
        default = harness.BASE / time.strftime("run-%Y%m%d-%H%M%S.jsonl")
        part.add_argument("--json", type=Path, default=default, help="where results are appended")
        part.add_argument("--quick", action="store_true", help="fewer rows, two repetitions")
        part.add_argument("--only", type=lambda s: s.split(","), help="contestants: NAME,NAME,…")
        part.add_argument("--reps", type=int, help="repetitions (4; quick: 2)")
        part.add_argument("--secs", type=float, help="seconds of a sample (0.4; quick: 0.25)")
        part.add_argument("--warm", type=float, default=0.12, help="seconds before it")
        part.add_argument(
            "--patience", type=float, default=2.0, help="seconds to wait for a quiet machine"
        )
        part.add_argument(
            "--keep", action="store_true", help="leave the environments, and ws4py in them, alone"
        )
    shown = commands.add_parser("report", help="results as Markdown")
    shown.add_argument("files", nargs="+", type=Path)
    shown.add_argument("--write", type=Path, metavar="PAGE", help="into the marked part of a page")
    shown.add_argument(
        "--disturbed", action="store_true", help="let disturbed samples count, to try it out"
    )
    return parser


def main() -> None:
    """Do what the command line says."""
    options = make_parser().parse_args()
    if options.what == "build":
        harness.build()
    elif options.what == "venvs":
        make_environments(options.names, again=True)
    elif options.what == "report":
        report.main(options.files, options.write, disturbed=options.disturbed)
    else:
        options.reps = options.reps or (2 if options.quick else 4)
        options.secs = options.secs or (0.25 if options.quick else 0.4)
        run(options)


if __name__ == "__main__":
    main()
