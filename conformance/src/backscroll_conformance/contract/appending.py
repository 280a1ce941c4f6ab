"""Appending: a turn lands whole, is acknowledged truly, and comes back as it was given."""

from typing import Any, Final

from backscroll import Message
from backscroll.backend import Consistency, Turn
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, true
from backscroll_conformance.subject import NotApplicable, Subject, messages, numbered

EXACT: Final[tuple[Message, ...]] = (
    Message("system", ""),
    Message("developer", " leading and trailing \t\n"),
    Message("user", "e\u0301 \u00e9 \u212b \ufb03 \U0001f468\u200d\U0001f469 \u202e\u200f \0 \x1f \x7f \u2028 \ufeff"),
    Message("user", "line\r\nline\rline\n\n"),
    Message("user", "quotes ' \" ` \\ %s {} \\u0041 \\x00 <b>&amp;</b> ]]> '; --"),
    Message("user", [{"type": "text", "text": "hm"}, {"type": "image_url", "image_url": {"url": "x"}}], name="Zoë"),
    Message(
        "assistant",
        None,
        id="msg_1",
        tool_calls=[{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.10}'}}],
    ),
    Message("tool", "42", tool_call_id="c1"),
    Message("assistant", "x", extra={"k": [0, -1, 1.5, 1e300, 5e-324, 2**53 + 1, -(2**63), True, None, "", {}, []]}),
)  # fmt: skip
"""Messages that a careless store changes."""


@clause("APP-001")
async def in_order(s: Subject) -> None:
    """The messages of a turn MUST land one after the other, in the order in which they were given."""
    session_id = s.session()
    expected: list[str] = []
    for number in range(4):
        texts = numbered(3, f"turn {number} message")
        expected += texts
        await s.store.append(session_id, messages(*texts))
    records = await s.everything(session_id)
    equal([record.message.content for record in records], expected, "the texts")  # type: ignore[union-attr]
    for place in range(0, len(records), 3):
        seqs = [record.seq for record in records[place : place + 3]]
        equal(seqs, list(range(seqs[0], seqs[0] + 3)), "the seqs of a turn")


@clause("APP-002")
async def acknowledged(s: Subject) -> None:
    """The answer to an append MUST carry the seqs at which the messages stand and the version one past the last."""
    session_id = s.session()
    for number in range(3):
        texts = numbered(number + 1, f"turn {number} message")
        answer = await s.store.append(session_id, messages(*texts))
        for seq, text in zip(answer.seqs, texts, strict=True):
            found = await s.store.read(session_id, after=seq - 1, before=seq + 1)
            equal([(r.seq, r.message.content) for r in found], [(seq, text)], "the record at a seq of the answer")
        equal(answer.version, answer.seqs[-1] + 1, "the version of the answer")
        equal(await s.store.version(session_id), answer.version, "the version asked for afterwards")
        equal({r.turn_id for r in await s.store.last(session_id, number + 1)}, {answer.turn_id}, "the turn_id")


@clause("APP-003")
async def visible(s: Subject) -> None:
    """What was acknowledged MUST be seen by every later read of every client."""
    if s.limits.consistency is Consistency.EVENTUAL:
        raise NotApplicable("declared as eventual: a read may see an acknowledged append only after a while")
    session_id = s.session()
    other, _ = s.open()
    expected: list[str] = []
    for number in range(6):
        writer = (s.store, other)[number % 2]
        equal(await s.texts(session_id, other), expected, "what the other client reads before")
        answer = await writer.append(session_id, messages(f"message {number}"))
        expected.append(f"message {number}")
        for reader, who in ((s.store, "one client"), (other, "the other client")):
            equal([r.message.content for r in await reader.last(session_id, 20)], expected, f"what {who} reads")
            equal(await reader.version(session_id), answer.version, f"the version that {who} sees")


@clause("APP-004")
async def many(s: Subject) -> None:
    """A turn of as many messages as the limit allows MUST land whole."""
    session_id = s.session()
    texts = numbered(s.limits.max_turn_messages)
    answer = await s.store.append(session_id, messages(*texts))
    equal(len(answer.seqs), len(texts), "how many seqs the answer has")
    equal(await s.texts(session_id), texts, "the texts")


@clause("APP-005")
async def large(s: Subject) -> None:
    """A message as large as the limit allows MUST come back whole."""
    session_id = s.session()
    limit = min(s.limits.max_message_bytes, s.limits.max_turn_bytes)
    frame = len(s.turn("").bodies[0])
    text = _long(limit - frame)
    await s.store.append(session_id, messages(text))
    (found,) = await s.texts(session_id)
    true(found == text, f"a message of {limit:,} bytes came back with {len(found):,} characters of {len(text):,}")


@clause("APP-006")
async def large_turn(s: Subject) -> None:
    """A turn as large as the limit allows MUST land whole."""
    session_id = s.session()
    part = min(s.limits.max_message_bytes, s.limits.max_turn_bytes) // 4
    count = min(s.limits.max_turn_bytes // part, s.limits.max_turn_messages)
    frame = len(s.turn(*[""] * count).bodies[-1])
    texts = [_long(part - frame - 6) + f"{number:6}" for number in range(count)]
    await s.store.append(session_id, messages(*texts))
    found = await s.texts(session_id)
    equal(len(found), count, "how many messages came back")
    true(found == texts, "messages of a large turn came back changed")


@clause("APP-007")
async def byte_for_byte(s: Subject) -> None:
    """A body MUST come back byte for byte, whatever bytes it holds."""
    session_id = s.session()
    bodies = (bytes(range(256)), b"\xff\xfe\0", b"\0", b"\n", b"{", b"\xc3\x28", b" {} ", b"1:2:3")
    turn = s.turn("")
    await s.backend.append(session_id, Turn(turn.turn_id, turn.digest, bodies), s.deadline())
    equal([bytes(row.body) for row in await s.rows(session_id)], list(bodies), "the bodies")


@clause("MSG-001")
async def exact(s: Subject) -> None:
    """A message MUST come back exactly as it was given."""
    session_id = s.session()
    for message in EXACT:
        await s.store.append(session_id, message)
    await s.store.append(session_id, EXACT)
    found: list[Any] = await s.everything(session_id)
    equal(len(found), 2 * len(EXACT), "how many messages came back")
    for record, message in zip(found, EXACT * 2, strict=True):
        equal(getattr(record, "message", record), message, "the message")
        equal(record.stored_at.timestamp(), s.microseconds / 1e6, "stored_at")


def _long(size: int) -> str:
    """A text of so many bytes in which no part repeats."""
    return "".join(f"{number:8}" for number in range(size // 8)) + "x" * (size % 8)


@clause("SEQ-001")
async def growing(s: Subject) -> None:
    """Seqs MUST grow within a session, and the version MUST be one past the newest."""
    session_id = s.session()
    version = 0
    for number in range(6):
        answer = await s.store.append(session_id, messages(*numbered(number % 3 + 1)))
        true(answer.seqs[0] >= version, f"a turn got seq {answer.seqs[0]}, below the version {version}")
        version = answer.version
        equal(await s.store.version(session_id), answer.seqs[-1] + 1, "the version")
    seqs = [record.seq for record in await s.everything(session_id)]
    equal(seqs, sorted(set(seqs)), "the seqs of the session")


@clause("SEQ-005")
async def unknown_session(s: Subject) -> None:
    """A session to which nothing was appended MUST have version 0 and no messages, and reading MUST NOT create it."""
    from backscroll.backend import Capability

    session_id = s.session()
    for _ in range(2):
        equal(await s.store.last(session_id), [], "its messages")
        equal(await s.texts(session_id), [], "its messages by iterate")
        equal(await s.store.version(session_id), 0, "its version")
        if s.capabilities[Capability.COUNT]:
            equal(await s.store.count(session_id), 0, "its count")
        if s.capabilities[Capability.DISCARD]:
            await s.store.clear(session_id)
        if s.capabilities[Capability.REMOVE]:
            equal(await s.store.remove(session_id, [0, 1]), (), "what remove dropped")
        if s.capabilities[Capability.SESSIONS]:
            equal(list(await s.store.sessions(prefix=session_id)), [], "the sessions that start with its id")
