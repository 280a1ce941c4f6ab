"""What the original classes wrote becomes messages, and what is damaged is told with its place."""

import json
import pickle
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage, message_to_dict

from backscroll import Message, Record
from backscroll.errors import UnreadableMessage
from backscroll_langchain.originals import (
    OriginalRow,
    UnreadableOriginal,
    merged,
    message_of,
    messages_of,
    moved,
    moved_from,
    readable_of,
)


def row(text: str, place: str = "row 1") -> OriginalRow:
    """A row."""
    return OriginalRow(place, text)


def written(message: BaseMessage, place: str = "row 1") -> OriginalRow:
    """A row as the originals write it."""
    return row(json.dumps(message_to_dict(message)), place)


def recorded(message: Message) -> Record:
    """A record of a store; no two are equal."""
    return Record(0, uuid4(), datetime(2026, 1, 1, tzinfo=UTC), None, message)


def test_what_was_written_comes_back() -> None:
    """Equal, with what a message has beside its content."""
    messages = [
        HumanMessage("hi!", id="1", name="bob"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]),
        ToolMessage("3", tool_call_id="c", artifact={"a": [1]}),
        ChatMessage("x", role="critic"),
    ]
    assert messages_of(map(written, messages)) == messages


def test_an_unknown_type_stays_readable() -> None:
    """With all that was kept of it, beside its neighbours."""
    kept = {"type": "hologram", "data": {"content": "wave", "depth": 3}}
    found = messages_of([written(HumanMessage("a")), row(json.dumps(kept))])
    assert found == [HumanMessage("a"), ChatMessage("wave", role="hologram", additional_kwargs=kept)]


def test_a_content_of_another_kind_does_not_keep_an_unknown_type_out() -> None:
    """What it had is in what was kept."""
    kept = {"type": "hologram", "data": {"content": 7, "role": "ghost"}}
    assert message_of(row(json.dumps(kept))) == ChatMessage("", role="ghost", additional_kwargs=kept)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ('{"type": "human", "da', "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"type": "human", "data": {"content": "\udcff"}}', "it is not UTF-8"),
        ("[]", "it is not an object with the keys type and data"),
        ('{"type": "human"}', "it is not an object with the keys type and data"),
        ('{"type": 1, "data": {}}', "it is not an object with the keys type and data"),
        ('{"type": "human", "data": {}}', "not as a message of the type 'human' has it: data.content"),
        ('{"type": "chat", "data": {"content": "secret"}}', "not as a message of the type 'chat' has it: data.role"),
    ],
)
def test_a_damaged_row_is_told_with_its_place(text: str, reason: str) -> None:
    """And with what is wrong, but not with what stands in it."""
    with pytest.raises(UnreadableOriginal) as caught:
        message_of(row(text, "row 7"))
    assert (caught.value.place, caught.value.reason) == ("row 7", reason)
    assert str(caught.value) == (
        f"row 7: what LangChain's class wrote is unreadable ({reason}): read() returns the others"
    )
    assert caught.value.__context__ is None


def test_what_the_driver_of_types_stumbles_over_is_damage() -> None:
    """Not an error of another kind."""
    with pytest.raises(UnreadableMessage, match="row 1"):
        message_of(row('{"type": "ai", "data": {"content": "a", "tool_calls": 5}}'))


def test_damage_does_not_hide_its_neighbours() -> None:
    """It stands in its place."""
    first, second, third = readable_of([written(HumanMessage("a")), row("x"), written(AIMessage("b"))])
    assert (first, third) == (HumanMessage("a"), AIMessage("b"))
    assert isinstance(second, UnreadableOriginal)


def test_the_error_crosses_processes() -> None:
    """With all that it says."""
    error: Any = pickle.loads(pickle.dumps(UnreadableOriginal("row 7", "torn")))
    assert (error.place, error.reason, error.seq) == ("row 7", "torn", -1)


def test_what_was_moved_over_says_from_where() -> None:
    """Beside what a framework keeps there: by the place, and by what stood there."""
    one = row("{}", "row 7")
    message = moved(Message("user", "a", extra={"langchain": {"x": 1}}), one)
    assert message.extra == {"langchain": {"x": 1}, "langchain_original": one.identity}
    assert moved_from(recorded(message)) == one.identity
    assert moved_from(recorded(Message("user", "a"))) is None
    others = [row("[]", "row 7"), row("{}", "row 8"), row("\ud800", "row 7"), OriginalRow("row 7", "{}", "made anew")]
    assert len({one.identity, *(other.identity for other in others)}) == 5


def test_what_was_not_moved_over_comes_where_it_is_expected() -> None:
    """Behind the row before it; and before all that nobody moved over, where what it stood behind is not there."""
    rows = [row("", str(place)) for place in range(4)]
    records = [recorded(moved(Message("user", "m"), rows[place])) for place in (1, 2)]
    new = recorded(Message("user", "n"))
    identities = {rows[1].identity, rows[2].identity}
    for there, expected in (
        (records, [rows[0], *records, rows[3], new]),
        (records[:1], [rows[0], records[0], rows[3], new]),
        (records[1:], [records[1], rows[3], rows[0], new]),
        ([], [rows[0], rows[3], new]),
    ):
        assert list(merged(rows, [*there, new], identities)) == expected
        assert list(merged(rows, there, identities)) == expected[:-1]
