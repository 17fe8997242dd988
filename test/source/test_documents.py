"""The documents tell the truth: their code runs.

Pages are README.md and docs/*.md. A page is one story: its blocks run in order, in one folder made
for the page, and later blocks build on earlier ones. What happens to a block stands in the line
that opens it, behind the language (which is all that GitHub looks at):

``python``
    is executed, in one namespace for all such blocks of the page.
``python file=echo.py``
    is saved under that name. A later block runs it (``$ python echo.py``), serves it
    (``$ ws4py serve echo:Echo``) or imports it. If none names it, it is run as a program.
``console`` (lines that begin with ``$ ``; the others are output) or ``sh`` (every line)
    holds commands that begin with ``ws4py`` or ``python``, perhaps behind ``echo …|``. Each has to
    exit with 0. Output lines have to occur in the real output in that order, ``…`` standing for
    anything. A command that ends in ``&`` is a server: it runs until the page ends (as soon as it
    has printed an address, the page goes on), and then has to exit with 0 on Ctrl-C.
``python norun: REASON``, ``console norun: REASON``, ``sh norun: REASON``
    is not run. Python is still compiled.

Blocks in other languages are left alone. Ports 9000 to 9099 are replaced by free ones. A page with
the comment ``<!-- needs: PACKAGE -->`` is skipped where that cannot be imported.
"""

from __future__ import annotations

import re
import shlex
import socket
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from programs import need_package
from running import ROOT, Program, environment

PAGES = sorted([*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
#: What may stand in front of a pipe into ours.
FEEDERS = ("echo", "printf", "cat")
SHELLS = ("console", "sh", "bash", "shell")


@dataclass
class Block:
    language: str
    code: str
    line: int
    file: str | None = None
    norun: str | None = None


def parse(text: str) -> list[Block]:
    """The fenced blocks of a page. Raises ``ValueError`` for what cannot be understood."""
    blocks = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        opening = FENCE.match(line)
        if not opening:
            continue
        body = []
        for _, inner in lines:
            if inner.strip().startswith(opening["mark"]) and not inner.strip(" `~"):
                break
            body.append(inner)
        else:
            raise ValueError(f"line {number}: the block has no end")
        code = textwrap.dedent("\n".join(body)) + "\n"
        blocks.append(describe(opening["info"].strip(), code, number))
    return blocks


def describe(info: str, code: str, line: int) -> Block:
    language, _, rest = info.partition(" ")
    block = Block(language, code, line)
    if language not in (*SHELLS, "python"):
        return block
    rest = rest.strip()
    if rest.startswith("norun:"):
        block.norun = rest.removeprefix("norun:").strip()
        if not block.norun:
            raise ValueError(f"line {line}: norun needs a reason")
    elif rest.startswith("file=") and language == "python":
        block.file = rest.removeprefix("file=")
    elif rest:
        raise ValueError(f"line {line}: {rest!r} is not understood")
    return block


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """(command, expected output lines) of a shell block. Raises ``ValueError``."""
    found: list[tuple[str, list[str]]] = []
    for line in block.code.replace("\\\n", " ").splitlines():
        if block.language == "console" and not line.startswith("$ "):
            if line.strip() and found:
                found[-1][1].append(line.strip())
            continue
        command = line.removeprefix("$ ").split(" #")[0].strip()
        if not command or command.startswith("#"):
            continue
        stages = [stage.split() for stage in command.split("|")]
        last = stages.pop()
        if last[0] not in ("ws4py", "python") or any(s[0] not in FEEDERS for s in stages):
            raise ValueError(
                f"line {block.line}: {command!r} is not ours to run; say 'norun: REASON' behind "
                f"{block.language!r}"
            )
        found.append((command, []))
    return found


def with_free_ports(text: str) -> str:
    """``text`` with each port of 9000 to 9099 replaced by one that is free now."""
    ports: dict[str, str] = {}
    held = []
    try:
        for number in sorted(set(re.findall(r"\b90\d\d\b", text))):
            holder = socket.socket()
            held.append(holder)
            holder.bind(("127.0.0.1", 0))
            ports[number] = str(holder.getsockname()[1])
    finally:
        for holder in held:
            holder.close()
    return re.sub(r"\b90\d\d\b", lambda match: ports[match[0]], text)


@dataclass
class Story:
    """A page while it runs."""

    name: str
    folder: Path
    env: dict[str, str]
    namespace: dict[str, object] = field(default_factory=dict)
    servers: list[Program] = field(default_factory=list)

    def run(self, blocks: list[Block]) -> None:
        shell = "".join(b.code for b in blocks if b.language in SHELLS and not b.norun)
        python = "".join(b.code for b in blocks if b.language == "python" and not b.file)
        self.namespace["__name__"] = "__document__"
        for block in blocks:
            if block.norun is not None:
                if block.language == "python":
                    compile(block.code, self.name, "exec")
            elif block.file:
                (self.folder / block.file).write_text(block.code, "utf-8")
                if not re.search(rf"\b{re.escape(Path(block.file).stem)}\b", shell + python):
                    self.command(f"python {block.file}", [])
            elif block.language == "python":
                # empty lines in front, so that a traceback names the line of the page
                code = compile("\n" * block.line + block.code, self.name, "exec")
                exec(code, self.namespace)
            elif block.language in SHELLS:
                for command, expected in commands(block):
                    self.command(command, expected)

    def command(self, command: str, expected: list[str]) -> None:
        if command.endswith("&"):
            server = Program(shlex.split(command[:-1]), self.folder, self.env)
            self.servers.append(server)
            server.wait_for_output(r"\b(?:ws|http)s?(?:\+unix)?://\S")
            return
        program = Program(command, self.folder, self.env)
        code = program.wait()
        assert code == 0, f"{self.name}: $ {command}\nexit code {code}\n{program.output}"
        pattern = ".*".join(
            ".*".join(re.escape(part.strip()) for part in line.split("…")) for line in expected
        )
        assert re.search(pattern, program.output, re.DOTALL), (
            f"{self.name}: $ {command}\nprinted\n{program.output}\nand the page says\n{expected}"
        )

    def end(self) -> None:
        while self.servers:
            server = self.servers.pop()
            code = server.interrupt()
            assert code == 0, f"{self.name}: $ {server.args}\nexit code {code}\n{server.output}"

    def kill(self) -> None:
        for server in self.servers:
            server.kill()


def tell(text: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run the page ``text`` and return the namespace that its Python blocks have left."""
    work = folder / "page"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))
    known = set(sys.modules)
    story = Story(name, work, environment(folder / "bin"))
    try:
        story.run(parse(with_free_ports(text)))
        story.end()
    finally:
        story.kill()
        for module in set(sys.modules) - known:
            if str(work) in str(getattr(sys.modules[module], "__file__", "")):
                del sys.modules[module]
    return story.namespace


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_the_page_runs(page, tmp_path, monkeypatch):
    text = page.read_text("utf-8")
    for package in re.findall(r"<!-- needs: (\w+) -->", text):
        need_package(package)
    tell(text, str(page), tmp_path, monkeypatch)


def test_the_blocks_of_a_page_build_on_each_other(tmp_path, monkeypatch):
    page = """
        ```python file=mine.py
        answer = 41
        ```
        ```python
        import mine
        answer = mine.answer
        ```
        ~~~text
        not ours
        ~~~
        ```python
        answer += 1
        ```
        ```console
        $ echo 3 4 | python -c "print(input()); import mine; print(mine.answer, 'and more')"
        3…4
        41 …
        ```
        ```sh norun: nobody has this program
        frobnicate
        ```
        """
    assert tell(page, "page", tmp_path, monkeypatch)["answer"] == 42
    assert "mine" not in sys.modules


def test_a_server_of_a_page_runs_until_the_page_ends(tmp_path, monkeypatch):
    page = """
        ```python file=server.py
        import signal, sys
        signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
        print("ws://127.0.0.1:9000")
        signal.pause()
        ```
        ```sh
        python server.py &
        ```
        """
    tell(page, "page", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "block",
    [
        "```python\nassert False\n```",
        "```python norun: no reason to compile\n1 +\n```",
        "```python norun:\n1\n```",
        "```python nosuchword\n1\n```",
        "```python file=lonely.py\nraise SystemExit(3)\n```",
        "```python\n1",
        "```console\n$ pip install something\n```",
        "```console\n$ rm -r x | python -c 1\n```",
        "```console\n$ python -c 'raise SystemExit(2)'\n```",
        "```console\n$ python -c 'print(1)'\n2\n```",
        "```sh\npython -c 'print(1)' &\n```",
    ],
)
def test_a_page_that_lies_fails(block, tmp_path, monkeypatch):
    with pytest.raises((AssertionError, ValueError, SyntaxError)):
        tell(block, "page", tmp_path, monkeypatch)


def test_each_port_of_a_page_becomes_one_free_port():
    first, second, again, other = with_free_ports("9000 9001 9000 19000").split()
    assert first == again != second
    assert "9000" not in (first, second)
    assert other == "19000"
