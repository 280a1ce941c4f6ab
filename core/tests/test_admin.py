"""Stored messages as they are, for those who run a database."""

from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, user

from backscroll import errors
from backscroll.admin import Admin
from backscroll.backend import Capability, Row, unsupported
from backscroll.envelope import encode_turn
from backscroll.opening import open_admin

BOUNDS = st.none() | st.integers(-1, 13)


@pytest.fixture
def admin() -> Iterator[Admin]:
    """A database in memory."""
    with open_admin("sqlite://?max_message_bytes=1000&max_turn_bytes=2000&max_turn_messages=3") as admin:
        yield admin


def restored(admin: Admin, *bodies: bytes, version: int = 0, expires_at: int | None = None) -> tuple[int, ...]:
    """Restore some bodies."""
    answer = admin.restore(
        "s", bodies, turn_id=uuid4(), digest=bytes(8), expected_version=version, expires_at=expires_at
    )
    return answer.seqs


@settings(deadline=None)
@given(st.integers(0, 12), BOUNDS, BOUNDS, st.integers(1, 4), st.booleans())
def test_rows_within_bounds(count: int, after: int | None, before: int | None, limit: int, newest: bool) -> None:
    """All rows between the bounds come once, in the order that was asked for, however few are asked for at once."""
    with open_admin("sqlite://") as admin:
        if count:
            admin.append("s", [user(str(n)) for n in range(count)])
        expected = [seq for seq in range(count) if (after is None or seq > after) and (before is None or seq < before)]
        rows = list(admin.rows("s", after=after, before=before, limit=limit, newest=newest))
        assert [row.seq for row in rows] == (expected[::-1] if newest else expected)
        bodies = [row.body for row in admin.rows("s")]
        assert [row.body for row in rows] == [bodies[row.seq] for row in rows]


def test_restored_bytes_stay(admin: Admin) -> None:
    """What is restored is read as it was, also where it is no message."""
    (body,), _ = encode_turn([user("a")], uuid4(), 1, None)
    assert restored(admin, body, b"?") == (0, 1)
    assert list(admin.rows("s")) == [Row(0, None, body), Row(1, None, b"?")]


def test_restore_expects_a_version(admin: Admin) -> None:
    """It lands at that version only."""
    restored(admin, b"a")
    with pytest.raises(errors.VersionConflict):
        restored(admin, b"b")
    assert restored(admin, b"b", version=1) == (1,)


def test_restore_says_what_cannot_be_stored(admin: Admin) -> None:
    """The limits are those of an append, and `check` tells of each message before."""
    for bodies in ([bytes(1_001)], [bytes(900)] * 3, [b"a"] * 4):
        with pytest.raises(errors.MessageTooLarge):
            restored(admin, *bodies)
    with pytest.raises(errors.MessageTooLarge, match="max_message_bytes=1,000"):
        admin.check(Row(0, None, bytes(1_001)))
    admin.check(Row(0, None, bytes(1_000)))
    assert list(admin.rows("s")) == []


@pytest.mark.parametrize("lacks", [Capability.TTL, Capability.CONDITIONAL_APPEND])
def test_restore_needs_what_it_needs(lacks: Capability) -> None:
    """Without an expiry or a condition a database cannot keep what it is given."""
    backend = Scripted()
    backend.capabilities[lacks] = unsupported("a toy")
    with pytest.raises(errors.Unsupported):
        restored(Admin(backend), b"a", expires_at=1 << 60)
    assert "append" not in backend.called()


def test_an_outcome_that_is_unknown_names_the_turn() -> None:
    """So that it can be repeated, as it is underneath with the time since the first try."""
    turn_id, lost = uuid4(), errors.OutcomeUnknown("lost")
    backend = Scripted({"append": [lost]})
    restore = partial(Admin(backend).restore, "s", [b"a"], turn_id=turn_id, digest=bytes(8), expected_version=0)
    assert restore().turn_id == turn_id
    first, second = [args[1].age for name, args in backend.calls if name == "append"]
    assert (first, second > 0) == (None, True)
    backend.script["append"] = [lost] * 1_000
    with pytest.raises(errors.OutcomeUnknown) as caught:
        restore(timeout=0.01)
    assert caught.value.turn_id == turn_id


def test_a_long_session_takes_few_reads() -> None:
    """Though few rows are asked for at first."""
    backend = Scripted()
    admin = Admin(backend)
    for _ in range(5):
        admin.append("s", [user("x")] * 1_000)
    assert len(list(admin.rows("s", newest=True, limit=1))) == 5_000
    assert backend.called().count("read") <= 12
