"""How Sphinx builds the documentation; ``nox -s site`` does it, offline and without a warning."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = "backscroll"
author = "The backscroll developers"
project_copyright = "The backscroll developers, Apache-2.0"
release = version_of("backscroll")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "checks.repository_pages",
]
exclude_patterns = ["_build"]
smartquotes_action = "D"  # dashes; quotes stay as they are
nitpicky = True

myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False

# Docstrings name code in single backticks. What is documented becomes a link; the rest, such as a parameter, is code.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:class", r"backscroll[\w.]*\.[A-Z]"),  # a type variable
    ("py:obj", r".*"),
    # Whatever is documented elsewhere; nothing is fetched to find out where.
    ("py:class", r"(?!backscroll).*"),
    ("py:exc", r"(?!backscroll).*"),
    ("py:func|py:meth|py:attr|py:data|py:mod", r"(?!backscroll).*"),
]

html_theme = "furo"
html_title = f"backscroll {release}"
html_static_path = ["_static"]
html_css_files = ["backscroll.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    """Mend what autodoc and napoleon make of attrs classes and of data."""
    documented: dict[str, list[str]] = {}

    def keep(_: Sphinx, what: str, name: str, __: object, ___: object, lines: list[str]) -> None:
        if what in {"attribute", "data", "property"}:
            documented[name] = lines[:]

    def restore(_: Sphinx, __: str, name: str, ___: object, ____: object, lines: list[str]) -> None:
        # Napoleon takes what stands before a colon for a type.
        lines[:] = documented.pop(name, lines)

    def shorten(*arguments: Any) -> tuple[str, str | None] | None:
        # What stands in a signature of attrs for a value that is made for each instance.
        signature, returned = arguments[-2:]
        return (signature.replace(" = NOTHING", " = ..."), returned) if signature else None

    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    app.connect("autodoc-process-signature", shorten)
