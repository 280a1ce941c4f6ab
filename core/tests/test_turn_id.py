"""The idempotency key of a turn."""

import uuid
from typing import Any

import pytest

from backscroll import InvalidArgument
from backscroll.turn_id import as_turn_id, new_turn_id

ONE = uuid.UUID("0190c5f4-4c1b-7d6e-8a3b-1f2e3d4c5b6a")


def test_new_ones_are_version_7(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh one is a UUID of version 7 with the milliseconds since 1970 in front."""
    monkeypatch.setattr("time.time_ns", lambda: 0x0190_C5F4_4C1B * 1_000_000 + 999_999)

    made = {new_turn_id() for _ in range(1_000)}

    assert len(made) == 1_000
    assert {(7, uuid.RFC_4122, 0x0190_C5F4_4C1B)} == {(one.version, one.variant, one.int >> 80) for one in made}


def test_random_bits_of_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 74 bits that are free are random."""
    monkeypatch.setattr("time.time_ns", lambda: 0)
    monkeypatch.setattr("os.urandom", lambda count: b"\xff" * count)
    ones = new_turn_id().int
    monkeypatch.setattr("os.urandom", bytes)

    assert (ones ^ new_turn_id().int).bit_count() == 74


@pytest.mark.parametrize("given", [ONE, str(ONE)])
def test_uuids_are_taken_as_they_are(given: Any) -> None:
    """A UUID stands for itself, and so does its text."""
    assert as_turn_id(given) == ONE


# These must never change: a repeated append would no longer be known.
@pytest.mark.parametrize(
    "given", ["order 66", "\U0001f600", str(ONE).upper(), ONE.hex, f"{{{ONE}}}", f"urn:uuid:{ONE}", " "]
)
def test_strings_become_version_5(given: str) -> None:
    """Any other string becomes a UUID of version 5, always the same one."""
    namespace = uuid.UUID("6d0b0f0e-8f5d-5c52-9d52-1d0a54f1c7b1")

    assert uuid.uuid5(namespace, given) == as_turn_id(given)
    assert as_turn_id(given).version == 5


@pytest.mark.parametrize("given", ["", None, b"x", 1, object(), "\ud800"])
def test_refused(given: Any) -> None:
    """Anything else is refused, and the error names the argument."""
    with pytest.raises(InvalidArgument, match=r"^turn_id: "):
        as_turn_id(given)
