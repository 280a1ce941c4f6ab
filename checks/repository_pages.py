"""A Sphinx extension: what pages link to in the repository outside docs/ gets a page of its own in the site.

So a link such as ``../core/src/backscroll/backend.py`` leads somewhere both on a forge and in the site, without
a network and without the address of a forge. A file is shown as it is, a folder as the list of its files.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

from checks.members import ROOT

FOLDER: Final = "repository"
"""Where these pages are in the site."""

LANGUAGES: Final = {".md": "md", ".py": "python", ".toml": "toml", ".yml": "yaml"}
"""How files are highlighted, by the end of their names."""

LINKED: Final[set[Path]] = set()
"""The files and folders that pages link to, relative to the root."""


class Links(SphinxTransform):
    """Leads links out of docs/ to the pages of what they name."""

    default_priority = 200

    def apply(self, **kwargs: Any) -> None:
        """Replace them in one document."""
        here = self.env.docname
        for node in [*self.document.findall(pending_xref), *self.document.findall(download_reference)]:
            target, _, _ = str(node.get("reftarget", "")).partition("#")
            path = Path(self.env.relfn2path(target, here)[1]).resolve() if target.startswith("../") else None
            if path and path.exists() and path.is_relative_to(ROOT) and not path.is_relative_to(self.env.srcdir):
                LINKED.add(path.relative_to(ROOT))
                uri = relative_uri(self.app.builder.get_target_uri(here), f"{_page(path.relative_to(ROOT))}.html")
                node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=uri))


def _page(path: Path) -> str:
    return f"{FOLDER}/{path.as_posix()}"


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page of each file and folder, with what the templates are filled with."""
    if app.builder.format != "html":
        return
    pending = sorted(LINKED)
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        if (ROOT / path).is_dir():
            inside = sorted(one.relative_to(ROOT) for one in (ROOT / path).iterdir() if _is_shown(one))
            pending += inside
            body = _listed(app, path, inside)
        else:
            text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
            body = app.builder.highlighter.highlight_block(text, LANGUAGES.get(path.suffix, "text"))  # type: ignore[attr-defined]
        heading = f"<h1>{escape(path.as_posix())}</h1>"
        yield _page(path), {"title": path.as_posix(), "body": heading + body}, "page.html"


def _is_shown(path: Path) -> bool:
    return path.name[0] not in "._" or path.name == "__init__.py"


def _listed(app: Sphinx, folder: Path, inside: list[Path]) -> str:
    here = app.builder.get_target_uri(_page(folder))
    uris = [(relative_uri(here, app.builder.get_target_uri(_page(path))), path.name) for path in inside]
    return "<ul>" + "".join(f'<li><a href="{escape(uri)}">{escape(name)}</a></li>' for uri, name in uris) + "</ul>"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it with Sphinx."""
    app.add_transform(Links)
    app.connect("html-collect-pages", _pages)
    # Another process would not know what this one has met.
    return {"parallel_read_safe": False, "parallel_write_safe": True}
