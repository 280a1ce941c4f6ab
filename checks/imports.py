"""The import directions between members, as contracts for import-linter.

- Core imports no other member.
- The others import core. Only an integration may reach more: the public names of a plugin that one of
  its extras asks for.
- The two light rooms of a backend, ``plugin.py`` and ``layout.py``, import no driver.
"""

import ast
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from packaging.utils import canonicalize_name

from checks.members import Member

Contract = dict[str, Any]

STANDARD_DRIVERS = {"sqlite3"}
"""Drivers that come with Python."""


def directions(members: tuple[Member, ...]) -> Iterator[Contract]:
    """One contract for each member: which others it may not import, for typing either."""
    for member in members:
        others = [other for other in members if other not in (member, members[0])]
        friends = [other for other in others if member.kind == "integration" and _offers(member, other)]
        strangers = [package for other in others if other not in friends for package in other.packages]
        if strangers:
            name = f"{member.name} imports no other member" + (" but core" if member is not members[0] else "")
            yield _forbidden(name, member.packages, strangers)
        if friends:
            rooms = [f"{package}.*" for friend in friends for package in friend.packages]
            contract = _forbidden(f"{member.name} uses only public names of plugins", member.packages, rooms)
            yield contract | {"allow_indirect_imports": True}


def light_rooms(members: tuple[Member, ...]) -> Iterator[Contract]:
    """The contract of ``plugin.py`` and ``layout.py``: they can be imported where no driver is."""
    rooms = [
        ".".join(path.relative_to(member.source).with_suffix("").parts)
        for member in members
        if member.kind in {"core", "plugin"}
        for name in ("plugin.py", "layout.py")
        for path in sorted(member.source.rglob(name))
    ]
    if rooms:
        yield _forbidden("plugin.py and layout.py import no driver", rooms, sorted(third_parties(members)))


def third_parties(members: tuple[Member, ...]) -> set[str]:
    """The packages that members import and that core does not bring along: drivers, above all."""
    light = {requirement.name.replace("-", "_") for requirement in members[0].requirements}
    ours = {package for member in members for package in member.packages}
    imported = {
        name.partition(".")[0]
        for member in members
        for path in member.source.rglob("*.py")
        for name in _imported(ast.parse(path.read_text(encoding="utf-8")))
    }
    return imported - light - ours - set(sys.stdlib_module_names) | STANDARD_DRIVERS


def configuration(members: tuple[Member, ...], contracts: Iterable[Contract], *, typing: bool) -> str:
    """A configuration file for import-linter.

    Args:
        members: The members whose packages it reads.
        contracts: What it checks.
        typing: Whether an import under ``if TYPE_CHECKING:`` counts.
    """
    lines = [
        "[tool.importlinter]",
        f"root_packages = {json.dumps([package for member in members for package in member.packages])}",
        "include_external_packages = true",
        f"exclude_type_checking_imports = {json.dumps(not typing)}",
    ]
    for contract in contracts:
        lines.append("[[tool.importlinter.contracts]]")
        lines.extend(f"{key} = {json.dumps(value)}" for key, value in contract.items())
    return "\n".join(lines) + "\n"


def _offers(member: Member, other: Member) -> bool:
    return any(canonicalize_name(one.name) == other.name for extra in member.extras.values() for one in extra)


def _forbidden(name: str, sources: Iterable[str], forbidden: Iterable[str]) -> Contract:
    return {
        "name": name,
        "type": "forbidden",
        "source_modules": list(sources),
        "forbidden_modules": list(forbidden),
    }


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
