"""Session ids: which strings they may be, and that each is a session of its own."""

from typing import Final

from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal
from backscroll_conformance.subject import Subject, messages

ALIKE: Final = (
    "chat", "Chat", "CHAT", "chat ", " chat", "chat\t", "chat\n", "chat\0", "chat\0x", "cha\u0074\u200b", "ch\u00e4t",
    "cha\u0308t", "chat\ufeff", "\uff43hat", "ﬃ", "ffi", "I", "\u0131", "\u0130", "i", "ß", "ss", "0", "00", "null",
)  # fmt: skip
"""Parts of ids that a database might take for one another: case, padding, normal forms, collations, numbers."""

SPECIAL: Final = (
    "'", '"', "`", "''; --", "'); DROP TABLE message; --", "%", "_", "*", "?", "[a-z]", "{}", "{0}", "%s", ":id", "$1",
    "\\", "\\'", "/", "../..", "a:b", "a|b", "a,b", "#", "&x=1", "<b>", "\r\nSET x 1\r\n", "\x1f", "\x7f", "\U0001f600",
    "\u202e", "EVAL", "-1",
)  # fmt: skip
"""Parts of ids that mean something to a query language, a protocol, a path or a format."""


@clause("IDS-001")
async def alike(s: Subject) -> None:
    """Session ids that differ in one byte MUST be different sessions."""
    await _kept_apart(s, ALIKE)


@clause("IDS-002")
async def special(s: Subject) -> None:
    """A session id MUST be taken as plain data, whatever characters it holds."""
    await _kept_apart(s, SPECIAL)


@clause("IDS-003")
async def longest(s: Subject) -> None:
    """A session id of 512 bytes of UTF-8 MUST be kept whole."""
    rest = 512 - len(f"{s.token}.")
    tails = ["x" * (rest - 1) + last for last in "ab"] + ["\u20ac" * (rest // 3) + "z" * (rest % 3)]
    ids = s.sessions(tails)
    equal({len(session_id.encode()) for session_id in ids}, {512}, "how many bytes the ids have")
    for session_id in ids:
        await s.store.append(session_id, messages(session_id[-3:]))
    for session_id in ids:
        end = session_id[-3:]
        equal(await s.texts(session_id), [end], f"the messages of a session whose id ends in {end!r}")


async def _kept_apart(s: Subject, parts: tuple[str, ...]) -> None:
    behind, in_front = s.sessions(parts), s.sessions(parts, in_front=True)
    told = [f"ends in {part!r}" for part in parts] + [f"begins with {part!r}" for part in parts]
    ids = list(zip([*behind, *in_front], told, strict=True))
    for session_id, what in ids:
        await s.store.append(session_id, messages(f"of the one that {what}"))
    for session_id, what in ids:
        expected = [f"of the one that {what}"]
        equal(await s.texts(session_id), expected, f"the messages of a session whose id {what}")
        equal((await s.store.info(session_id)).session_id, session_id, "the session_id of its info")
