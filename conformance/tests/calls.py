"""Calls as a history has them, for the tests of what looks at histories."""

from typing import Any

from backscroll_conformance.history import Op

S = "s"
MS = 1_000_000
END = 1_000


def append(begin: int, end: int | None, *texts: str, at: int | None = None, **rest: Any) -> Op:
    """A call of an append, done at a seq unless told otherwise; times in milliseconds."""
    if at is not None:
        rest = {"seqs": tuple(range(at, at + len(texts))), "version": at + len(texts), **rest}
    rest.setdefault("outcome", "unknown" if at is None else "done")
    return Op("w", "append", S, begin * MS, end and end * MS, texts=texts, **rest)


def read(begin: int, end: int, *texts: str, at: int = 0, found: Any = None, **rest: Any) -> Op:
    """A read that shows texts from a seq on, or what is given."""
    found = tuple(enumerate(texts, at)) if found is None else found
    return Op("r", "read", S, begin * MS, end * MS, found=found, **rest)


def final(*texts: str, at: int = 0, found: Any = None) -> Op:
    """The read of everything after everything else."""
    return read(END, END + 1, *texts, at=at, found=found)


def clear(begin: int, end: int | None, outcome: str = "done") -> Op:
    """A clear."""
    return Op("c", "clear", S, begin * MS, end and end * MS, outcome)
