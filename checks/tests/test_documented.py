"""Every hook, option, clause, error and command is documented, and appears in a test."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from backscroll_faulty.faults import FAULTS
from backscroll_faulty.served import SERVED

from backscroll import errors
from backscroll.hookspecs import PROJECT, BackendInfo, Hooks
from backscroll.options import BackendOptions, option_names
from backscroll.registry import registry
from backscroll_conformance.catalogue import CATALOGUE
from checks.commands import every_command, options_of
from checks.members import ROOT, Member, discover

DOCS = ROOT / "docs"
MEMBERS = discover()
HOOKS = [name for name, value in vars(Hooks).items() if hasattr(value, f"{PROJECT}_spec")]
BACKENDS: dict[str, BackendInfo] = {
    backend.name: backend
    for plugin in registry.plugins(strict=True)
    for backend in plugin.backends
    if plugin.distribution in {member.name for member in MEMBERS}
}
ERRORS = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
COMMANDS = every_command()


class Words(NamedTuple):
    """What stands in the code of tests: the names of variables, attributes and keywords, and the texts."""

    names: frozenset[str]
    texts: frozenset[str]


def _options() -> Iterator[tuple[str, str, type]]:
    """The options of each backend, with the class that has them; those that every backend has, once."""
    for name, backend in BACKENDS.items():
        options = registry.resolve(backend)[1]
        for option, field in option_names(options).items():
            owner = next(kind for kind in options.__mro__[::-1] if field in vars(kind).get("__annotations__", ()))
            if owner is not BackendOptions or name == "sqlite":
                yield name, option, owner


def _command_options() -> Iterator[tuple[str, click.Option]]:
    for name, command in COMMANDS.items():
        for option in options_of(command):
            yield name, option


def _member_of(module: str | None) -> Member:
    """The member whose package a module is in."""
    package = str(module).partition(".")[0]
    return next(member for member in MEMBERS if package in member.packages)


@cache
def _words(*folders: Path) -> Words:
    names: set[str] = set()
    texts: set[str] = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.alias(name=name):
                    names.add(name)
                case ast.Constant(value=str(text)):
                    texts.add(text)
    return Words(frozenset(names), frozenset(texts))


def _tests_of(member: Member) -> Words:
    return _words(ROOT / member.folder / "tests")


def _page(name: str) -> str:
    return DOCS.joinpath(f"{name}.md").read_text(encoding="utf-8")


def _written() -> str:
    """The pages that somebody wrote; those of the API are made from docstrings."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md")))


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_and_tested(hook: str) -> None:
    """A page names it, and so does a test of core."""
    words = _tests_of(MEMBERS[0])
    assert hook in _written(), f"no page in docs/ names the hook {hook}"
    assert hook in words.names | words.texts, f"no test in core/tests names the hook {hook}"


@pytest.mark.parametrize(
    ("backend", "option", "owner"), [pytest.param(*one, id=f"{one[0]}-{one[1]}") for one in _options()]
)
def test_each_option_is_documented_and_tested(backend: str, option: str, owner: type) -> None:
    """The page of its backend has a row for it, and a test of the backend, or of where it is made, sets it."""
    assert f"\n| `{option}` |" in _page(backend), f"docs/{backend}.md has no row for the option {option}"
    members = {_member_of(owner.__module__), _member_of(BACKENDS[backend].options)}
    names, texts = _words(*(ROOT / member.folder / "tests" for member in members))
    in_url = re.compile(rf"(?<![\w.]){re.escape(option)}=")
    is_set = names & {option, option.replace(".", "_")} or option in texts or any(map(in_url.search, texts))
    assert is_set, f"no test of {' or '.join(member.folder for member in members)} sets the option {option}"


@pytest.mark.parametrize("clause", [clause.id for clause in CATALOGUE])
def test_each_clause_is_documented_and_tested(clause: str) -> None:
    """The page of the clauses has a row for it, and the tests of the suite have a faulty backend that it catches."""
    assert f"\n| **{clause}** |" in _page("clauses"), f"docs/clauses.md has no row for {clause}"
    caught = {one for fault in FAULTS.values() for one in fault.caught_by}
    caught |= {one for fault in SERVED for one in fault.caught_by}
    assert clause in caught, f"{clause} catches nothing in conformance/faulty"


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_is_documented_and_tested(error: str) -> None:
    """The page of the contract names it, and so does a test of core."""
    assert f"`{error}`" in _page("contract"), f"docs/contract.md does not name {error}"
    assert error in _tests_of(MEMBERS[0]).names, f"no test in core/tests names {error}"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_documented_and_tested(name: str) -> None:
    """The page of the command line has a section for it with its help, and a test of its distribution runs it."""
    command = COMMANDS[name]
    assert command.help, f"{name} has no help"
    assert f"\n## {name}\n" in _page("command-line"), f"docs/command-line.md has no section {name}"
    words = _tests_of(_member_of(getattr(command.callback, "__module__", None)))
    for part in name.split():
        assert any(part in text.split() for text in words.texts), f"no test of its distribution runs {name}"


@pytest.mark.parametrize(
    ("name", "option"), [pytest.param(*one, id=f"{one[0]} {one[1].opts[0]}") for one in _command_options()]
)
def test_each_option_of_a_command_is_documented_and_tested(name: str, option: click.Option) -> None:
    """The section of its command has a row with its help, and a test of its distribution gives it."""
    assert option.help, f"{option.opts[0]} of {name} has no help"
    section = _page("command-line").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    named = any(option.opts[0] in row.split("|")[1] for row in section.splitlines() if row.startswith("| `"))
    assert named, f"docs/command-line.md has no row for {option.opts[0]} of {name}"
    words = _tests_of(_member_of(getattr(COMMANDS[name].callback, "__module__", None)))
    given = {part.partition("=")[0] for text in words.texts for part in text.split()}
    assert given & set(option.opts), f"no test of its distribution gives {option.opts[0]} to {name}"


def test_nothing_is_missing_from_what_is_looked_for() -> None:
    """There are hooks, options, clauses, errors and commands, so that no list is empty by mistake."""
    assert set(HOOKS) == {"backscroll_backends", "backscroll_commands", "backscroll_operation", "backscroll_servers"}
    assert set(BACKENDS) == {"cassandra", "kafka", "redis", "sqlite", "tidb"}
    assert {"timeout", "prefix", "sasl.password", "ssl_ca"} <= {option for _, option, _ in _options()}
    assert {"APP-001", "MEA-001"} <= {clause.id for clause in CATALOGUE}
    assert {"BackscrollError", "Closed"} <= set(ERRORS)
    assert {"append", "conformance", "migrate"} <= set(COMMANDS)
