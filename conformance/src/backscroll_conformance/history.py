"""The calls that clients made at once and the answers they got, as the checker needs them; kept in a file."""

import json
from collections.abc import Iterable
from pathlib import Path
from sys import intern
from typing import Any, Final, NamedTuple

FORMAT: Final = "backscroll-history"

VERSION: Final = 1
"""Of the file's format; a reader refuses every other."""

_encoder: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class Op(NamedTuple):
    """One call and what became of it; a tuple, because a history has a hundred thousand.

    Args:
        worker: Who called: a thread, a process or a task.
        kind: ``append``, ``read`` or ``clear``.
        session: The session's id.
        begin: Taken just before the call: nanoseconds of a monotonic clock that all workers share.
        end: Taken just after it; None where no answer ever came.
        outcome: ``done``; ``refused``: surely not done; ``conflict``: refused for its expected version; or
            ``unknown``, which a call without an answer is, too.
        turn_id: Of an append: the caller's own id; None where the store made one.
        texts: Of an append: its messages. A text belongs to one turn only.
        expected: Of an append: the version that it required, or None.
        seqs: Of a done append: the places in its answer.
        version: Of a done append: the version in its answer.
        duplicate: Of a done append: whether its answer was marked so.
        current: Of a conflict: the version that it named.
        found: Of a read: seq and text of each message, in the order of the answer.
        after: Of a read: only seqs above this one; None for no bound.
        limit: Of a read: how many at the most; None for everything.
        newest: Of a read with a limit: the last ones instead of the first ones.
    """

    worker: str
    kind: str
    session: str
    begin: int
    end: int | None
    outcome: str = "done"
    turn_id: str | None = None
    texts: tuple[str, ...] = ()
    expected: int | None = None
    seqs: tuple[int, ...] = ()
    version: int | None = None
    duplicate: bool = False
    current: int | None = None
    found: tuple[tuple[int, str], ...] = ()
    after: int | None = None
    limit: int | None = None
    newest: bool = False


_NAMES: Final = Op._fields
_ALWAYS: Final = Op._fields[:5]
_DEFAULTS: Final = Op._field_defaults


def save(path: Path | str, ops: Iterable[Op]) -> None:
    """Write a history: a header, then each call as one line of JSON without what is as usual.

    Args:
        path: The file; written over where it exists.
        ops: The calls, in any order.
    """
    with Path(path).open("w", encoding="ascii") as file:
        file.write(_encoder.encode({"format": FORMAT, "version": VERSION}) + "\n")
        for op in ops:
            told = {
                name: value
                for name, value in zip(_NAMES, op, strict=True)
                if name in _ALWAYS or value != _DEFAULTS[name]
            }
            file.write(_encoder.encode(told) + "\n")


def load(path: Path | str) -> list[Op]:
    """Read a history that `save` wrote.

    Raises:
        ValueError: It is no history, one of another version, or damaged; the text names the line.
    """
    with Path(path).open(encoding="ascii") as file:
        _check_header(path, file.readline())
        shared: dict[str, str] = {}
        ops = []
        for number, line in enumerate(file, 2):
            try:
                ops.append(_op(json.loads(line), shared))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"{path}: line {number} is no call: {error}") from error
        return ops


def _check_header(path: Path | str, line: str) -> None:
    try:
        header = json.loads(line)
        kind, version = header["format"], header["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: no history: its first line is not the header of one") from error
    if kind != FORMAT:
        raise ValueError(f"{path}: no history: its format is {kind!r}")
    if version != VERSION:
        raise ValueError(f"{path}: a history of version {version!r}; this release reads version {VERSION} only")


def _op(told: dict[str, Any], shared: dict[str, str]) -> Op:
    # Reads show a text again and again: one string for all of them keeps memory down.
    once = shared.setdefault
    for name in ("worker", "kind", "session", "outcome"):
        if name in told:
            told[name] = intern(told[name])
    if "turn_id" in told:
        told["turn_id"] = once(told["turn_id"], told["turn_id"])
    if "texts" in told:
        told["texts"] = tuple([once(text, text) for text in told["texts"]])
    if "seqs" in told:
        told["seqs"] = tuple(told["seqs"])
    if "found" in told:
        told["found"] = tuple([(seq, once(text, text)) for seq, text in told["found"]])
    return Op(**told)
