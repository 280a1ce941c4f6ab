"""The page of the clauses in the documentation."""

from pathlib import Path

from backscroll_conformance.catalogue import CATALOGUE
from backscroll_conformance.page import page

PAGE = Path(__file__).parents[2] / "docs" / "clauses.md"


def test_the_page_is_the_catalogue() -> None:
    """The page in docs/ is what the catalogue gives."""
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m backscroll_conformance.page > docs/clauses.md"


def test_each_clause_has_its_row() -> None:
    """Every clause stands on the page once, with its sentence, and in the order of the catalogue."""
    rows = [line.split(" | ")[:2] for line in page().splitlines() if line.startswith("| **")]
    assert rows == [[f"| **{one.id}**", one.sentence] for one in CATALOGUE]
