from pathlib import Path

import pytest
from simulated import history

from backscroll_conformance.history import FORMAT, VERSION, Op, load, save


def test_a_history_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Whatever clients did, saving and loading gives equal calls in the same order."""
    ops = [op for seed in range(5) for op in history(seed)]
    save(tmp_path / "history.jsonl", ops)
    assert load(tmp_path / "history.jsonl") == ops


def test_every_field_is_kept(tmp_path: Path) -> None:
    """A call comes back with all its fields and their types, whatever its texts and ids are made of."""
    hostile = "\n\0 \u2028 \U0001f600 \"'"
    op = Op(
        *("w", "append", hostile, 2**62, None),
        *("unknown", hostile, (hostile, "b"), 7, (8, 9), 10),
        *(True, 11, ((8, hostile), (9, "b")), 3, 2, True),
    )
    save(tmp_path / "history.jsonl", [op])
    (loaded,) = load(tmp_path / "history.jsonl")
    assert loaded == op
    assert list(map(type, loaded)) == list(map(type, op))


def test_a_history_is_one_line_a_call_below_a_header(tmp_path: Path) -> None:
    """The file is JSON lines: a header with the version of the format, then what is not as usual of each call."""
    save(tmp_path / "history.jsonl", [Op("w", "clear", "s", 1, 2)])
    assert (tmp_path / "history.jsonl").read_text().splitlines() == [
        f'{{"format":"{FORMAT}","version":{VERSION}}}',
        '{"worker":"w","kind":"clear","session":"s","begin":1,"end":2}',
    ]


def test_saving_takes_the_place_of_an_older_history(tmp_path: Path) -> None:
    """A second history in the same file leaves nothing of the first."""
    save(tmp_path / "history.jsonl", history(1))
    save(tmp_path / "history.jsonl", [])
    assert load(tmp_path / "history.jsonl") == []


def test_a_text_that_is_read_many_times_is_loaded_once(tmp_path: Path) -> None:
    """Memory does not grow with how often a message was read."""
    read = Op("w", "read", "s", 1, 2, found=((0, "a message of some length"),))
    save(tmp_path / "history.jsonl", [read, read])
    first, second = load(tmp_path / "history.jsonl")
    assert first.found[0][1] is second.found[0][1]


def test_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    """A history of a later release is not misread."""
    (tmp_path / "history.jsonl").write_text(f'{{"format": "{FORMAT}", "version": 99}}\n')
    with pytest.raises(ValueError, match=r"history of version 99; this release reads version 1 only"):
        load(tmp_path / "history.jsonl")


@pytest.mark.parametrize("header", ["", "no JSON", "[]", "{}", '{"format": "something", "version": 1}'])
def test_what_is_no_history_is_refused(tmp_path: Path, header: str) -> None:
    """A file without the header of a history is told as such."""
    (tmp_path / "history.jsonl").write_text(header + "\n")
    with pytest.raises(ValueError, match="no history"):
        load(tmp_path / "history.jsonl")


@pytest.mark.parametrize("line", ['{"worker":"w"', "[]", '{"worker":"w"}', '{"worker":"w","colour":1}', '{"found":3}'])
def test_a_damaged_line_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    """A history that was cut off or edited is refused with the place of the damage."""
    save(tmp_path / "history.jsonl", [Op("w", "clear", "s", 1, 2)])
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match="line 3 is no call"):
        load(tmp_path / "history.jsonl")
