"""The pages that findings of ``backscroll doctor`` point to exist, and have the heading that is named."""

import ast
import re
from collections.abc import Iterator

import pytest

from checks.members import ROOT, discover

PAGE = re.compile(r"docs/[\w-]+\.md(#.*)?")
DATABASES = {"cassandra", "kafka", "redis", "sqlite", "tidb"}


def _pages() -> Iterator[str]:
    """All pages that the code of the members names."""
    for member in discover():
        for path in (ROOT / member.folder / "src").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Constant(value=str(text)) if PAGE.fullmatch(text):
                        yield text


PAGES = sorted(set(_pages()))


def _anchor(heading: str) -> str:
    """What a heading is linked by, on a forge and in the site."""
    return re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_pointed_to_has_the_heading(page: str) -> None:
    """So that whoever follows it reads why."""
    path, _, anchor = page.partition("#")
    headings = re.findall(r"^#+ (.*)$", ROOT.joinpath(path).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in map(_anchor, headings), f"{path} has no heading {anchor}"


def test_each_database_has_findings_with_a_page() -> None:
    """And none is looked for in vain."""
    assert {page.partition("#")[0] for page in PAGES} >= {f"docs/{name}.md" for name in DATABASES}
