"""The class that plugins subclass, the catalogue and the profiles."""

from hashlib import sha256
from importlib.resources import files
from typing import Any

import pytest

from backscroll_conformance import BackendConformance, Gap
from backscroll_conformance.catalogue import CATALOGUE
from backscroll_conformance.profiles import profile

FROZEN = {"base-1": "9e1c3423f28baf3216b6af9d21e13e954e01222b34b22c004d61b4b4e3f7265d"}


@pytest.mark.parametrize(
    "body",
    [
        {"backend": "sqlite", "test_clause": None},
        {"backend": "sqlite", "test_clause": lambda self: None},
        {"backend": "sqlite", "clauses": classmethod(lambda cls: ())},
        {"backend": "sqlite", "known_gaps": {"APP-999": Gap("why", "https://example.org")}},
        {},
    ],
)
def test_a_class_that_changes_a_clause_is_refused(body: dict[str, Any]) -> None:
    """Clauses can be neither overridden nor deleted, and a gap names one that there is."""
    with pytest.raises(TypeError):
        type("TestMine", (BackendConformance,), body)


def test_a_mixin_that_changes_a_clause_is_refused() -> None:
    """Nor can they be overridden by way of another class."""
    mixin = type("Mixin", (), {"test_clause": lambda self: None})
    with pytest.raises(TypeError, match="test_clause"):
        type("TestMine", (mixin, BackendConformance), {"backend": "sqlite"})


@pytest.mark.parametrize(("reason", "link"), [("", "https://example.org"), ("why", ""), ("why", "see the wiki")])
def test_a_gap_without_reason_or_link_is_refused(reason: str, link: str) -> None:
    """A known gap needs both."""
    with pytest.raises(ValueError, match="reason and a link"):
        Gap(reason, link)


@pytest.mark.parametrize("name", FROZEN)
def test_a_profile_is_frozen(name: str) -> None:
    """A profile that was published keeps its clauses, all of which exist."""
    text = (files("backscroll_conformance") / "profiles" / f"{name}.txt").read_bytes()
    assert sha256(text).hexdigest() == FROZEN[name]
    assert [clause.id for clause in profile(name)] == [c.id for c in CATALOGUE if c.id in text.decode().split()]


def test_an_unknown_profile_names_those_that_there_are() -> None:
    """A mistyped profile is refused with the nearest one."""
    with pytest.raises(ValueError, match="did you mean base-1"):
        profile("base1")
