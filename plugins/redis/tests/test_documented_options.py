"""The page of Redis lists its options as the code has them."""

from pathlib import Path

import attrs

from backscroll.backend import BackendOptions
from backscroll_redis.options import RedisOptions


def test_the_page_of_redis_lists_every_option_as_the_code_has_it() -> None:
    """Name, default and meaning of each option of its own stand in docs/redis.md word for word."""
    page = Path(__file__).parents[3].joinpath("docs", "redis.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## Options")[2].splitlines() if line.startswith("| `")]
    general = attrs.fields_dict(BackendOptions)
    expected = []
    for field in attrs.fields(RedisOptions):
        if field.name not in general:
            default = "" if field.default is None else f"`{field.default}` "
            expected.append(f"| `{field.name}` | {default}| {field.metadata['doc']} |")
    assert expected == rows
