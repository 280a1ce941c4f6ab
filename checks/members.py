"""The members of this repository: every distribution that is built from it, found by its pyproject.toml."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent
PLACES: Final = {"core": "core", "plugins/*": "plugin", "conformance": "conformance", "integrations/*": "integration"}
"""Where members live, and what kind of member lives there."""


@dataclass(frozen=True, eq=False)
class Member:
    """One distribution.

    Args:
        folder: Its folder, relative to the root, with forward slashes.
        kind: ``core``, ``plugin``, ``conformance`` or ``integration``.
        settings: Its pyproject.toml.
    """

    folder: str
    kind: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The canonical name of the distribution."""
        return str(canonicalize_name(self.settings["project"]["name"]))

    @property
    def source(self) -> Path:
        """The folder that holds its packages."""
        return ROOT / self.folder / "src"

    @property
    def packages(self) -> tuple[str, ...]:
        """The top-level packages that it installs."""
        return tuple(sorted(init.parent.name for init in self.source.glob("*/__init__.py")))

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What it needs to be imported."""
        return tuple(Requirement(text) for text in self.settings["project"].get("dependencies", ()))

    @property
    def extras(self) -> dict[str, tuple[Requirement, ...]]:
        """What each of its extras needs."""
        extras: dict[str, list[str]] = self.settings["project"].get("optional-dependencies", {})
        return {extra: tuple(Requirement(text) for text in texts) for extra, texts in extras.items()}


def discover(root: Path = ROOT) -> tuple[Member, ...]:
    """The members, core first."""
    found = [
        Member(path.parent.relative_to(root).as_posix(), kind, settings)
        for place, kind in PLACES.items()
        for path in sorted(root.glob(f"{place}/pyproject.toml"))
        if "project" in (settings := tomllib.loads(path.read_text(encoding="utf-8")))
    ]
    if not found or found[0].kind != "core":
        raise LookupError(f"no member in {root / 'core'}: is there a pyproject.toml with a [project] table?")
    return tuple(found)


def needed(requirements: Iterable[Requirement], members: tuple[Member, ...]) -> tuple[Member, ...]:
    """The members that these requirements need, directly or through one another."""
    by_name = {member.name: member for member in members}
    found: dict[str, Member] = {}

    def walk(requirements: Iterable[Requirement]) -> None:
        for requirement in requirements:
            member = by_name.get(canonicalize_name(requirement.name))
            if member and member.name not in found:
                found[member.name] = member
                walk(member.requirements)

    walk(requirements)
    return tuple(found.values())


def usable_extras(member: Member, members: tuple[Member, ...]) -> Iterator[str]:
    """Its extras, without those that need a member whose folder is not here."""
    names = {other.name for other in members}
    for extra, requirements in member.extras.items():
        ours = {str(canonicalize_name(one.name)) for one in requirements if one.name.startswith("backscroll")}
        if ours <= names:
            yield extra
