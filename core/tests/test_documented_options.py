"""The page of a backend lists its options as the code has them."""

from pathlib import Path

import attrs

from backscroll.sqlite.options import SQLiteOptions


def test_the_page_of_sqlite_lists_every_option_as_the_code_has_it() -> None:
    """Name, default and meaning of each option stand in docs/sqlite.md word for word."""
    page = Path(__file__).parents[2].joinpath("docs", "sqlite.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## Options")[2].splitlines() if line.startswith("| `")]
    expected = []
    for field in attrs.fields(SQLiteOptions):
        default = getattr(field.default, "__name__", field.default)
        expected.append(f"| `{field.name}` | `{default}` | {field.metadata['doc']} |")
    assert expected == rows
