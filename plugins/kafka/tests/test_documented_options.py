"""The page of Kafka lists its options as the code has them."""

from pathlib import Path

import attrs

from backscroll.backend import BackendOptions
from backscroll_kafka.options import KafkaOptions


def test_the_page_of_kafka_lists_every_option_as_the_code_has_it() -> None:
    """Name, default and meaning of each option of its own stand in docs/kafka.md word for word."""
    page = Path(__file__).parents[3].joinpath("docs", "kafka.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## Options")[2].splitlines() if line.startswith("| `")]
    general = {field.name: field.default for field in attrs.fields(BackendOptions)}
    expected = []
    for field in attrs.fields(KafkaOptions):
        if field.name not in general or field.default != general[field.name]:
            default = "" if field.default is None else f"`{field.default}` "
            name = field.metadata["name"] or field.name
            expected.append(f"| `{name}` | {default}| {field.metadata['doc']} |")
    assert expected == rows
