"""The pages of docs/ have what they are made of, and the shape that they share."""

import re

import pytest

from backscroll_conformance.profiles import profile
from checks import commands
from checks.matrix import ORDER, SIGNS
from checks.members import ROOT

DOCS = ROOT / "docs"

OF_A_DATABASE = [
    "URL",
    "Setting it up",
    "Layout",
    "Guarantees",
    "Costs",
    "Sizing",
    "Permissions",
    "TLS",
    "In the cloud",
    "Limits",
    "Traps",
    "Options",
]
"""The sections of the page of a database, in their order."""


@pytest.mark.parametrize("database", ORDER)
def test_the_pages_of_the_databases_have_the_same_sections(database: str) -> None:
    """In the same order, so that who knows one knows where to look in the others."""
    page = DOCS.joinpath(f"{database}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == OF_A_DATABASE


def test_the_page_of_the_command_line_is_what_the_commands_say() -> None:
    """Word for word."""
    page = DOCS.joinpath("command-line.md").read_text(encoding="utf-8")
    assert page == commands.page(), "python -m checks.commands > docs/command-line.md"


def test_the_matrix_has_every_clause_and_every_database() -> None:
    """Of the profile that the suite judges by default, and none that fails."""
    page = DOCS.joinpath("matrix.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*([A-Z]{3}-\d{3})\*\* (.*) \|$", page, re.MULTILINE)
    cells = {clause: row.split(" | ")[1:] for clause, row in rows}
    assert set(cells) == {clause.id for clause in profile("base-1")}, "run the suite, then python -m checks.matrix"
    assert {len(signs) for signs in cells.values()} == {len(ORDER)}
    assert {sign for signs in cells.values() for sign in signs} == set(SIGNS.values())
    heads = set(re.findall(r"^\| clause \| (.*) \|$", page, re.MULTILINE))
    assert heads == {" | ".join(ORDER)}
