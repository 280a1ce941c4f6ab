"""The values that a store gives back, and what a backend declares."""

from datetime import UTC, datetime
from uuid import UUID

import attrs
import pytest

from backscroll import Appended, Health, Message, Record, SessionInfo, SessionPage, Unreadable, values
from backscroll.capabilities import FULL, Capability, Level, Limits, Support, declare, partial, unsupported

AT = datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)


def test_times_are_exact() -> None:
    """A time keeps its microseconds, also where a float would not, and before 1970."""
    assert values.from_microseconds(1_700_000_000_123_456) == AT
    assert values.from_microseconds(4_855_680_000_000_001) == datetime(2123, 11, 15, microsecond=1, tzinfo=UTC)
    assert values.from_microseconds(253_402_300_799_999_999) == datetime.max.replace(tzinfo=UTC)
    assert values.from_microseconds(-1) == datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)


@pytest.mark.parametrize(
    "value",
    [
        Appended(1, (0,), UUID(int=1)),
        Record(0, UUID(int=1), AT, None, Message("user", "hi!")),
        Unreadable(0, "damaged", b"{"),
        SessionInfo("s", 1, 0),
        SessionPage(("s",), None),
        Health("toy"),
        Message("user", "hi!"),
        FULL,
        Limits(max_message_bytes=1, max_turn_bytes=1, max_turn_messages=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frozen(value: object) -> None:
    """A value cannot be changed."""
    assert attrs.has(type(value))
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


def test_page() -> None:
    """A page of sessions gives their ids."""
    assert list(SessionPage(("a", "b"), "cursor")) == ["a", "b"]


def test_damaged_bytes_stay_out_of_logs() -> None:
    """The text form of a damaged record leaves its bytes out."""
    assert repr(Unreadable(3, "damaged", b"hunter2")) == "Unreadable(seq=3, reason='damaged')"


def test_support() -> None:
    """Anything but full support has a reason, and only no support is false."""
    assert [bool(support) for support in (FULL, partial("slow"), unsupported("never"))] == [True, True, False]
    assert (partial("slow"), unsupported("no")) == (Support(Level.PARTIAL, "slow"), Support(Level.UNSUPPORTED, "no"))
    for level, reason in ((Level.FULL, "why"), (Level.PARTIAL, ""), (Level.UNSUPPORTED, "")):
        with pytest.raises(ValueError, match="give a reason"):
            Support(level, reason)


def test_declare() -> None:
    """What is not an exception is supported in full."""
    declared = declare({Capability.TTL: unsupported("no clock")})

    assert set(declared) == set(Capability)
    assert {capability for capability, support in declared.items() if support is not FULL} == {Capability.TTL}
    assert declare() == dict.fromkeys(Capability, FULL)


def test_window_of_turns() -> None:
    """No backend knows fewer than sixteen turns."""
    sizes = {"max_message_bytes": 1, "max_turn_bytes": 1, "max_turn_messages": 1}

    assert Limits(**sizes).dedupe_turns == Limits(**sizes, dedupe_turns=16).dedupe_turns == 16
    with pytest.raises(ValueError, match="dedupe_turns"):
        Limits(**sizes, dedupe_turns=15)
