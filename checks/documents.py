"""A pytest plugin that runs what the documentation shows: ``pytest -p checks.documents README.md …``.

Every fenced block of a Markdown file names its language, and that decides what is done with it:

- ``python`` runs, and so do ``>>>`` examples, whose output is compared.
- ``console`` runs every line that starts with ``$ ``; what is printed must be what stands below it, where
  ``...`` stands for anything.
- ``json`` and ``toml`` are parsed.
- ``sh`` and ``text`` are only read: an installation, a release, a grammar, a picture.
- ``{toctree}`` and the like are Sphinx's.

A ``python`` block below ``<!-- file: chat.py -->`` is a file of this name for the blocks behind it, and does not run.
The servers of a page stand in `page_servers`.

In the docstrings of Python files, ``>>>`` examples and ``.. code-block:: python`` run. The blocks of one
document share one temporary folder, in which the examples/ of the repository lie too, and one namespace.
"""

import doctest
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from sybil import Document, Example, Region, Sybil
from sybil.parsers import markdown, rest
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from checks.members import ROOT
from checks.page_servers import end_servers, on_servers

COMMAND_TIMEOUT: Final = 60
READ_ONLY: Final = {"sh", "text"}
DIRECTIVES: Final = {"{eval-rst}", "{glossary}", "{toctree}"}
"""What of Sphinx stands in a fenced block; none of them shows code."""

_NAMED: Final = re.compile(r"<!-- file: (?P<name>[\w.]+) -->\n\Z")


def transcript(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", "").partition("\n")
        yield command, output


def matches(expected: str, printed: str) -> bool:
    """Whether this was printed, where ``...`` stands for anything and space at a line's end for nothing."""
    lines = [line.rstrip() for line in expected.rstrip().splitlines()]
    pattern = ".*?".join(re.escape(piece) for piece in "\n".join(lines).split("..."))
    tidy = "\n".join(line.rstrip() for line in printed.rstrip().splitlines())
    return re.fullmatch(pattern, tidy, flags=re.DOTALL) is not None


def run_console(example: Example) -> str | None:
    """Run a console block; says what was wrong."""
    commands = list(transcript(example.parsed))
    if not commands:
        return "a console block without a line that starts with '$ '"
    for command, expected in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        if not matches(expected, done.stdout):
            return f"$ {command}\nshould print\n{expected}\nand prints\n{done.stdout}"
        if done.returncode and not expected.replace("...", "").strip():
            return f"$ {command}\nends with {done.returncode}, of which the block shows nothing:\n{done.stdout}"
    return None


def parse(example: Example, parser: Callable[[str], Any]) -> None:
    """Parse a block of data; the parser raises where it is wrong."""
    parser(example.parsed)


def refuse(example: Example) -> str:
    """Say what is wrong with a block whose language has no meaning here."""
    language = example.region.lexemes["language"]
    return f"{language!r}: a fenced block is python, console, json, toml, {' or '.join(sorted(READ_ONLY))}"


def fenced_blocks(document: Document) -> Iterable[Region]:
    """The fenced blocks of a Markdown document, python apart, which Sybil's own parser takes."""
    evaluators: dict[str, Callable[[Example], str | None]] = {
        "console": run_console,
        "json": partial(parse, parser=json.loads),
        "toml": partial(parse, parser=tomllib.loads),
    }
    lexer = RawFencedCodeBlockLexer(re.compile(r"[ \t]*(?P<language>[^\n]*?)[ \t]*$\n", re.MULTILINE))
    for region in lexer(document):
        language = region.lexemes["language"]
        if language != "python" and language not in READ_ONLY | DIRECTIVES:
            region.parsed = region.lexemes["source"]
            region.evaluator = evaluators.get(language, refuse)
            yield region


def python_blocks(document: Document) -> Iterable[Region]:
    """The blocks of Python, of which those with the name of a file are written and not run."""
    for region in markdown.PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)(document):
        if named := _NAMED.search(document.text, 0, region.start):
            region.evaluator = partial(write, name=named["name"])
        yield region


def write(example: Example, name: str) -> None:
    """Write a block to a file of its document's folder."""
    Path(name).write_text(example.parsed, encoding="utf-8")


def enter(namespace: dict[str, Any]) -> None:
    """Give a document a folder of its own."""
    namespace["_left"], folder = Path.cwd(), tempfile.mkdtemp(prefix="backscroll-docs-")
    if (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", Path(folder, "examples"))
    os.chdir(folder)


def leave(namespace: dict[str, Any]) -> None:
    """Take the folder away again."""
    end_servers(namespace)
    folder = Path.cwd()
    os.chdir(namespace["_left"])
    shutil.rmtree(folder)


pytest_collect_file = (
    Sybil(
        [on_servers(python_blocks), markdown.SkipParser(), on_servers(fenced_blocks)],
        path=str(ROOT),
        patterns=["*.md"],
        setup=enter,
        teardown=leave,
    )
    + Sybil(
        [rest.PythonCodeBlockParser(), rest.DocTestParser(doctest.ELLIPSIS), rest.SkipParser()],
        path=str(ROOT),
        patterns=["*.py"],
        setup=enter,
        teardown=leave,
    )
).pytest()
