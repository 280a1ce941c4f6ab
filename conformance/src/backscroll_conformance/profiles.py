"""Profiles: frozen lists of clauses, so that a new clause never breaks a plugin's tests overnight."""

from importlib.resources import files
from typing import Final

from backscroll.admission import nearest
from backscroll_conformance.catalogue import BY_ID, CATALOGUE
from backscroll_conformance.clauses import Clause

DEFAULT: Final = "base-1"
"""The profile that is meant where none is named."""

EVERYTHING: Final = "all"
"""The name for every clause that there is, those included that no profile has yet."""


def names() -> list[str]:
    """The profiles that there are."""
    folder = files("backscroll_conformance") / "profiles"
    return [*sorted(one.name.removesuffix(".txt") for one in folder.iterdir()), EVERYTHING]


def profile(name: str) -> tuple[Clause, ...]:
    """The clauses of a profile, in the order in which they are judged.

    Raises:
        ValueError: There is no such profile.
    """
    if name == EVERYTHING:
        return CATALOGUE
    if name not in names():
        raise ValueError(f"there is no profile {name!r}: {nearest(name, names())}there are {', '.join(names())}")
    text = (files("backscroll_conformance") / "profiles" / f"{name}.txt").read_text(encoding="utf-8")
    chosen = {BY_ID[line] for line in text.split()}
    return tuple(clause for clause in CATALOGUE if clause in chosen)
