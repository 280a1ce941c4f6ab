"""The site is whole by itself: nothing of it comes from elsewhere, and every public name is in it."""

import inspect
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

from checks.members import discover

SITE = Path(os.environ["BACKSCROLL_SITE"])
"""Where ``nox -s site`` has built it."""

FOR_PLUGINS = (
    "backscroll.backend",
    "backscroll.hookspecs",
    "backscroll.futures",
    "backscroll.recent",
    "backscroll.tls",
)
"""The modules beside the packages themselves that docs/plugins.md names."""

LOADS = {"src", "srcset", "data", "poster"}
"""The attributes by which a page loads something."""


class Loaded(HTMLParser):
    """Collects what a page loads by itself, as opposed to what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        self.found += [value for name, value in attrs if name in LOADS and value]
        if tag == "link":
            self.found += [value for name, value in attrs if name == "href" and value]


def _public() -> Iterator[tuple[str, str]]:
    """The public names, each with its module."""
    for name in (*(package for member in discover() for package in member.packages), *FOR_PLUGINS):
        module = import_module(name)
        listed = {*getattr(module, "__all__", ()), *getattr(module, "_LAZY", ())}
        for one in sorted(listed or {key for key, value in vars(module).items() if _is_made_in(name, value)}):
            if one[0] != "_":
                yield name, one


def _is_made_in(module: str, value: object) -> bool:
    return (inspect.isclass(value) or inspect.isroutine(value)) and value.__module__ == module


def test_no_page_loads_anything_from_elsewhere() -> None:
    """No script, style, font or picture: it can be read without a network."""
    pages = list(SITE.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        elsewhere = [one for one in loaded.found if re.match(r"(?:[a-z]+:)?//", one)]
        assert elsewhere == [], page
    styles = list(SITE.rglob("*.css"))
    assert styles
    for style in styles:
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")) == [], style


def test_what_pages_link_to_in_the_repository_has_a_page() -> None:
    """Also a folder, with the files in it."""
    assert "class Backend(ABC)" in _text(SITE / "repository/core/src/backscroll/backend.py.html")
    assert "connections.py" in _text(SITE / "repository/core/src/backscroll/sqlite.html")
    assert "take_writer" in _text(SITE / "repository/core/src/backscroll/sqlite/connections.py.html")


def _text(page: Path) -> str:
    return re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("module", "name"), sorted(_public()))
def test_each_public_name_is_in_the_reference(module: str, name: str) -> None:
    """Under its module, or where it comes from."""
    inventory = InventoryFile.loads(SITE.joinpath("objects.inv").read_bytes(), uri="")
    known = {entry for kind in inventory.data if kind.startswith("py:") for entry in inventory.data[kind]}
    value = getattr(import_module(module), name)
    home = getattr(value, "__module__", module)
    package = module.partition(".")[0]
    places = {f"{module}.{name}", f"{home}.{getattr(value, '__qualname__', name)}"}
    constants = {entry for entry in known if entry.startswith(f"{package}.") and entry.endswith(f".{name}")}
    assert places & known or constants, f"no page of docs/api shows {module}.{name}"
