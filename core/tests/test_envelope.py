"""The stored form of a message: exact, readable for ever, and never the cause of an exception."""

import enum
import json
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import REFUSED, messages, texts

from backscroll import InvalidMessage, Message, Record, Unreadable
from backscroll.calls import Row
from backscroll.envelope import decode, encode_turn, turn_of
from backscroll.exact import MAX_DEPTH
from backscroll.message import ROLES
from backscroll.turn_id import new_turn_id
from backscroll.values import from_microseconds

PLAIN = st.builds(Message, st.sampled_from(sorted(ROLES)), texts)

TURN = UUID("0190c5f4-4c1b-7d6e-8a3b-1f2e3d4c5b6a")
HEAD = b'{"v":1,"turn_id":"0190c5f44c1b7d6e8a3b1f2e3d4c5b6a","stored_at":1700000000000000,"expires_at":'

# Never change a byte of these: databases hold such bodies.
VERSION_1: list[tuple[bytes, Message]] = [
    (
        HEAD + b'null,"index":0,"message":{"role":"user","content":"hi!"}}',
        Message("user", "hi!"),
    ),
    (
        HEAD + b'1700000060000000,"index":11,"message":{"role":"system","content":""}}',
        Message("system", ""),
    ),
    (
        HEAD + b'null,"index":1,"message":{"role":"assistant","id":"m-1","tool_calls":[{"id":"c","type":"function",'
        b'"function":{"name":"f","arguments":"{}"}}],"extra":{"openai":{"refusal":null}}}}',
        Message(
            "assistant",
            id="m-1",
            tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            extra={"openai": {"refusal": None}},
        ),
    ),
    (
        HEAD + b'null,"index":2,"message":{"role":"tool","content":"21.5","name":"f","tool_call_id":"c"}}',
        Message("tool", "21.5", name="f", tool_call_id="c"),
    ),
    (
        HEAD + b'null,"index":0,"message":{"role":"developer","content":"\xe2\x80\xa8\\u0000\\n\\"\\\\/\x7f\xf0\x9f\x98'
        b'\x80a\xcc\x88"}}',
        Message("developer", '\u2028\0\n"\\/\x7f\U0001f600a\u0308'),
    ),
    (
        HEAD + b'null,"index":0,"message":{"role":"user","content":[1,1.0,-0.0,1e+308,5e-324,true,null,{"b":[],"a":{}},'
        b"123456789012345678901234567890]}}",
        Message("user", [1, 1.0, -0.0, 1e308, 5e-324, True, None, {"b": [], "a": {}}, 123456789012345678901234567890]),
    ),
    (
        HEAD + b'null,"index":0,"message":{"role":"user","content":"hi!","name":"Zo\xc3\xab"}}',
        Message("user", "hi!", name="Zo\u00eb"),
    ),
]
# Likewise: a repeated append would be taken for another one.
DIGESTS = [
    "0baf1fb087d2389f",
    "3a5c113d8e922d32",
    "2bfe0ad409cde4a1",
    "333a40ceda167118",
    "8e067dc5009452ff",
    "1e9bc97aad8e16b4",
    "ae9e04c15d83c5cc",
]

BODY = VERSION_1[2][0]


class Speaker(enum.StrEnum):
    USER = "user"


class Text(str):
    __slots__ = ()


def bodies(*turn: Any) -> tuple[bytes, ...]:
    """The bodies of a turn."""
    return encode_turn(turn, TURN, 1_700_000_000_000_000, None)[0]


def digest(*turn: Any) -> bytes:
    """The digest of a turn."""
    return encode_turn(turn, TURN, 0, None)[1]


def message(content: Any, **rest: Any) -> Message:
    """A user's message."""
    return Message("user", content, **rest)


@given(messages())
def test_exactly(original: Message) -> None:
    """Any message comes back equal, of the same types, and encodes to the same bytes again."""
    (body,) = bodies(original)
    record: Any = decode(7, None, body)

    assert record.message == original
    assert repr(record.message) == repr(original)
    assert bodies(record.message) == (body,)


@given(messages())
def test_body(original: Message) -> None:
    """A body is a JSON object in UTF-8 on one line that starts with its version."""
    (body,) = bodies(original)

    assert body.startswith(HEAD + b'null,"index":0,"message":{"role":"')
    assert b"\n" not in body
    assert list(json.loads(body)) == ["v", "turn_id", "stored_at", "expires_at", "index", "message"]


@pytest.mark.parametrize(("body", "original"), VERSION_1)
def test_version_1_is_readable_for_ever(body: bytes, original: Message) -> None:
    """A body of version 1 gives the message that it was made from."""
    record = decode(7, 1_700_000_060_000_000, body)

    at = from_microseconds(1_700_000_000_000_000)
    assert record == Record(7, TURN, at, from_microseconds(1_700_000_060_000_000), original)
    assert repr(record.message) == repr(original)


@pytest.mark.parametrize(("body", "original"), VERSION_1)
def test_version_1_is_written(body: bytes, original: Message) -> None:
    """The bytes that this release writes are those of version 1."""
    envelope = json.loads(body)
    before = [Message("user", "")] * envelope["index"]

    turn, _ = encode_turn([*before, original], TURN, envelope["stored_at"], envelope["expires_at"])

    assert turn[-1] == body


def test_digests_are_for_ever() -> None:
    """The digest of a message is the same in every release."""
    assert [digest(original).hex() for _, original in VERSION_1] == DIGESTS


@pytest.mark.parametrize("field", ["content", "tool_calls", "extra"])
@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_refused(field: str, value: Any) -> None:
    """What JSON would change is refused wherever it stands in a message, with the path to it."""
    nested = {"a": value} if field == "extra" else [value]
    bad = Message("assistant", **{field: nested})

    with pytest.raises(InvalidMessage) as caught:
        bodies(message("good"), bad)

    assert caught.value.path == f"messages[1].{field}" + (".a" if field == "extra" else "[0]")


@pytest.mark.parametrize("field", ["role", "content", "id", "name", "tool_call_id"])
@pytest.mark.parametrize("value", ["\ud800", "x\udfff", 1.5, b"user", ("user",), object()])
def test_refused_fields(field: str, value: Any) -> None:
    """A field that is no text, or no whole text, is refused by its name."""
    fields = {"role": "user", "content": "x", field: value}

    for bad in (fields, Message(**fields)):
        with pytest.raises(InvalidMessage) as caught:
            bodies(bad)
        assert caught.value.path == f"messages[0].{field}"


def test_fields_that_equal_anything() -> None:
    """A value that claims to equal None is refused, not dropped."""

    class Anything:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    with pytest.raises(InvalidMessage, match=r"messages\[0\].id: "):
        bodies(message("hi!", id=Anything()))


def test_str_subclasses() -> None:
    """Strings of subclasses are stored, and known again, by their string value."""
    plain = bodies(Message("user", "hi!"))

    for other in (Message(Speaker.USER, "hi!"), Message("user", Text("hi!")), {"role": Speaker.USER, "content": "hi!"}):
        assert bodies(other) == plain
        assert digest(other) == digest(Message("user", "hi!"))


# What is the same message to a reader.
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (message([{"a": 1, "b": {"c": 2, "d": 3}}]), message([{"b": {"d": 3, "c": 2}, "a": 1}])),
        (message("x", extra={"a": 1, "b": 2}), message("x", extra={"b": 2, "a": 1})),
        (message("x"), {"role": "user", "content": "x"}),
        (message("x"), {"content": "x", "role": "user"}),
        (message("x"), {"role": "user", "content": "x", "name": None}),
        (message("x"), MappingProxyType({"role": "user", "content": "x"})),
        (Message("assistant"), {"role": "assistant", "content": None}),
        (Message("assistant"), {"role": "assistant"}),
        (message("x", name="n"), {"name": "n", "role": "user", "content": "x"}),
    ],
)
def test_same_digest(one: Any, other: Any) -> None:
    """Equal messages have the same digest, in whatever order and form they are given."""
    assert digest(one) == digest(other)
    assert len(digest(one)) == 8


@given(messages(), st.randoms())
def test_same_digest_in_any_order(original: Message, random: Any) -> None:
    """The order of the keys in a message does not change the digest."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(item) for key, item in items}

    assert digest(shuffled(original.to_fields())) == digest(original)


def test_digest_without_id_and_time() -> None:
    """The digest depends on the messages alone."""
    first = encode_turn([message("x")], TURN, 1, None)[1]

    assert first == encode_turn([message("x")], UUID(int=5), 2, 3)[1]


def test_other_digest() -> None:
    """Turns that differ in anything differ in their digest."""
    turns: list[list[Any]] = [
        [message("x")],
        [message("y")],
        [message("x"), message("y")],
        [message("y"), message("x")],
        [message("xy")],
        [message("x\ny")],
        [message("x"), message("")],
        [message('x"}\n{"content":"y')],
        [Message("system", "x")],
        [message("x", name="n")],
        [message("x", id="n")],
        [message("x", extra={})],
        [message("x", extra={"a": None})],
        [message("x", extra={"a": []})],
        [message("x", extra={"a": {}})],
        *([message([value])] for value in (1, 1.0, True, "1", None, -0.0, 0.0, 0, False, "", "True", [1])),
        [message([1, 2])],
        [message([2, 1])],
        [message([])],
        [message("a\u0308")],
        [message("\u00e4")],
        [message("hi!\0")],
        [Message("assistant")],
        [Message("assistant", "")],
    ]

    assert len({digest(*turn) for turn in turns}) == len(turns)


def damaged(old: bytes, new: bytes) -> bytes:
    """`BODY` with one piece of it replaced."""
    assert BODY.count(old) == 1
    return BODY.replace(old, new)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "stored in an encoding that this release does not know"),
        (b"\x28\xb5\x2f\xfd compressed", "stored in an encoding that this release does not know"),
        (b" " + BODY, "stored in an encoding that this release does not know"),
        (b"[]", "stored in an encoding that this release does not know"),
        (damaged(b'"v":1', b'"v":2'), "stored by a later release"),
        (BODY + b" ", "damaged (trailing bytes)"),
        (BODY + BODY, "damaged (trailing bytes)"),
        (BODY[:-1], "damaged (JSONDecodeError)"),
        (b"{", "damaged (JSONDecodeError)"),
        (b"{}", "damaged (KeyError)"),
        (b'{"v":1}', "damaged (KeyError)"),
        (b'{"v":1,"message":[]}', "damaged (AttributeError)"),
        (b'{"v":1,"message":{}}', "damaged (KeyError)"),
        (BODY[:90] + b"\xff" + BODY[91:], "damaged (UnicodeDecodeError)"),
        (damaged(b'"m-1"', b"7"), "its field id has a wrong type"),
        (damaged(b'"m-1"', b"null"), "its field id has a wrong type"),
        (damaged(b'"id":"m-1"', b'"what":"m-1"'), "damaged (KeyError)"),
        (damaged(b'"assistant"', b'"robot"'), "its role is unknown"),
        (damaged(b'"assistant"', b'["user"]'), "its field role has a wrong type"),
        (damaged(b'"0190c5f44c1b7d6e8a3b1f2e3d4c5b6a"', b"17"), "damaged (TypeError)"),
        (damaged(b'"0190c5f44c1b7d6e8a3b1f2e3d4c5b6a"', b'"x"'), "damaged (ValueError)"),
        (damaged(b'"0190c5f44c1b7d6e8a3b1f2e3d4c5b6a"', b'["x"]'), "damaged (TypeError)"),
        (damaged(b"1700000000000000", b'"now"'), "damaged (TypeError)"),
        (damaged(b"1700000000000000", b"1" * 30), "damaged (OverflowError)"),
        (damaged(b"1700000000000000", b"1" * 5_000), "damaged (ValueError)"),
        (damaged(b'{"refusal":null}', b"NaN"), "damaged (ValueError)"),
        (damaged(b'{"refusal":null}', b"-Infinity"), "damaged (ValueError)"),
        (damaged(b'{"refusal":null}', b"1e999"), "damaged (ValueError)"),
        (damaged(b'{"refusal":null}', b'"\\ud800"'), "damaged (InvalidMessage)"),
        (damaged(b'"refusal"', b'"\\uDFFF"'), "damaged (InvalidMessage)"),
        (damaged(b'{"refusal":null}', b"[" * 100_000 + b"]" * 100_000), "damaged (RecursionError)"),
    ],
)
def test_damaged(body: bytes, reason: str) -> None:
    """A body that cannot be read is an `Unreadable` in its place that says why and keeps the bytes."""
    assert decode(7, None, body) == Unreadable(7, reason, body)


def test_expiry_out_of_range() -> None:
    """An expiry that no date can hold damages its record only."""
    assert decode(7, 1 << 70, BODY) == Unreadable(7, "damaged (OverflowError)", BODY)


def is_whole(body: bytes) -> None:
    """Fails unless a body gives an `Unreadable` with a reason, or a message of plain JSON."""
    found = decode(7, None, body)
    if isinstance(found, Unreadable):
        assert found == Unreadable(7, found.reason, body)
        assert found.reason
    else:
        # What counts as readable is JSON, so that it can be shown and exported.
        json.dumps(found.message.to_fields(), allow_nan=False, ensure_ascii=False).encode()


@given(st.binary(max_size=60) | st.binary(max_size=60).map(b'{"v":1,'.__add__))
def test_arbitrary_bytes(body: bytes) -> None:
    """Arbitrary bytes never raise."""
    is_whole(body)


@given(messages(), st.data())
def test_mutations(original: Message, data: st.DataObject) -> None:
    """A body with some bytes changed, lost or doubled never raises."""
    (body,) = bodies(original)
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 10)))
    junk = st.sampled_from(
        [b"", b'"', b"{", b"}", b"[", b"null", b"NaN", b"1e999", b'"\\ud800"', b"\xff", b"-1", b"\0"]
    )
    is_whole(body[:start] + data.draw(junk | st.binary(max_size=5)) + body[end:])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["user", TURN.hex]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "v": st.just(1) | json_values,
            "turn_id": st.just(TURN.hex) | json_values,
            "stored_at": st.integers() | json_values,
            "message": st.dictionaries(st.sampled_from(["role", "content", "id", "extra"]), json_values) | json_values,
        },
    )
)
def test_wrong_json(envelope: dict[str, Any]) -> None:
    """Any JSON in any place never raises."""
    is_whole(json.dumps(envelope).encode())


def test_deepest_message_with_an_escape_is_readable() -> None:
    """A message as deep as they are taken comes back, also when its text has to be escaped."""
    value: object = "tab\there, \x01"
    for _ in range(MAX_DEPTH):
        value = [value]
    messages = [Message("user", value), Message("user", "hi", extra={"deep": value[0]})]  # type: ignore[arg-type,index]
    bodies, _ = encode_turn(messages, new_turn_id(), 0, None)
    assert [decode(0, None, body).message for body in bodies] == messages  # type: ignore[union-attr]


@given(st.lists(messages() | PLAIN, min_size=1, max_size=3), st.none() | st.integers(1, 1 << 57), st.data())
def test_a_turn_is_told_as_decoding_tells_it(turn: list[Message], expires_at: int | None, data: st.DataObject) -> None:
    """Also of a body that was changed somewhere: either both say the turn, or both say that it is unreadable."""
    bodies, _ = encode_turn(turn, TURN, 1_700_000_000_000_000, expires_at)
    for body in bodies:
        assert turn_of(Row(0, expires_at, body)) == TURN.hex
        place = data.draw(st.integers(0, len(body)))
        piece = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"\\u", b"\\ud800", b"\0", b"\xff", b"}", b"0", b"x", b",1"])
        )
        changed = body[:place] + piece + body[place + data.draw(st.integers(0, 2)) :]
        record = decode(0, expires_at, changed)
        expected = record if isinstance(record, Unreadable) else record.turn_id.hex
        assert turn_of(Row(0, expires_at, changed)) == expected


@pytest.mark.parametrize(
    ("body", "expires_at"),
    [
        (b'"lone \\ud800"}}', None),
        (b'"pair \\ud83d\\ude00"}}', None),
        (b'"trailing"}]', None),
        (b'"trailing"}0', None),
        (b'"more","name":"x"}}', None),
        (b'"tab \t"}}', None),
        (b'"fine"}}', 1 << 62),
        (b'"fine"}}', 1_800_000_000_000_000),
    ],
)
def test_what_only_looks_plain_is_decoded(body: bytes, expires_at: int | None) -> None:
    """A turn is told of what can be read, and of nothing else."""
    body = HEAD + b'null,"index":0,"message":{"role":"user","content":' + body
    record = decode(0, expires_at, body)
    assert turn_of(Row(0, expires_at, body)) == (record if isinstance(record, Unreadable) else TURN.hex)
