"""The page of Cassandra lists its options as the code has them."""

from pathlib import Path

import attrs

from backscroll.backend import BackendOptions
from backscroll.tls import TLSOptions
from backscroll_cassandra.options import CassandraOptions


def test_the_page_of_cassandra_lists_every_option_as_the_code_has_it() -> None:
    """Name, default and meaning of each option of its own stand in docs/cassandra.md word for word."""
    page = Path(__file__).parents[3].joinpath("docs", "cassandra.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## Options")[2].splitlines() if line.startswith("| `")]
    general = attrs.fields_dict(BackendOptions)
    expected = []
    of_tls = attrs.fields_dict(TLSOptions)
    for field in sorted(attrs.fields(CassandraOptions), key=lambda field: field.name in of_tls):
        if field.name not in general:
            default = "" if field.default is None else f"`{field.default}` "
            expected.append(f"| `{field.name}` | {default}| {field.metadata['doc']} |")
    assert expected == rows
