"""Every exception, in one tree, that can cross processes and says what to do next."""

import copy
import inspect
import pickle
import re
from uuid import UUID

import pytest

import backscroll
from backscroll import errors

ID = UUID("0190c5f4-4c1b-7d6e-8a3b-1f2e3d4c5b6a")

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]

EXAMPLES = [
    (errors.BackscrollError("text"), "text"),
    (errors.InvalidArgument("text"), "text"),
    (errors.InvalidMessage("messages[0].content", "give text"), "messages[0].content: give text"),
    (
        errors.MessageTooLarge("max_turn_bytes", 4096, 10000),
        "10,000, over max_turn_bytes=4,096: send less at a time, or raise that option",
    ),
    (
        errors.MessageTooLarge("max_message_bytes", 4096, ceiling=True),
        "too large, over max_message_bytes=4,096: send less at a time, as far as this database goes",
    ),
    (errors.InvalidURL("text"), "text"),
    (errors.InvalidOption("text"), "text"),
    (errors.Unsupported("toy", "count"), "toy does not support count"),
    (errors.Unsupported("toy", "count", "too slow"), "toy does not support count: too slow"),
    (errors.PluginError("text"), "text"),
    (
        errors.VersionConflict(3, 5),
        "expected version 3, but the session is at 5: read what is new, then append with expected_version=5",
    ),
    (
        errors.TurnIdReused(ID),
        f"turn_id {ID} already stands for other messages in this session: "  # noqa: ISC004  # one text of two lines
        "repeat a turn with the same messages, and give another turn an id of its own",
    ),
    (errors.Unavailable("text"), "text"),
    (errors.DeadlineExceeded("text"), "text"),
    (errors.OutcomeUnknown("lost"), "lost; it may have been done or not: read before you repeat it"),
    (
        errors.OutcomeUnknown("lost", ID),
        f"lost; it may have been stored or not: repeat the append with turn_id {ID}",
    ),
    (
        errors.WindowExceeded("late", ID),
        "late; an earlier try may have been stored or not: read the session before you repeat it",
    ),
    (errors.StorageError("text"), "text"),
    (errors.SchemaError("text"), "text"),
    (
        errors.UnreadableMessage(7, "damaged"),
        "the record at seq 7 is unreadable (damaged): Store.read returns it and its neighbours",
    ),
    (errors.Closed(), "the store is closed: open another one with backscroll.open"),
]


def test_examples_are_complete() -> None:
    """There is an example of every class."""
    assert {type(example) for example, _ in EXAMPLES} == set(CLASSES)


@pytest.mark.parametrize(("error", "text"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_text(error: errors.BackscrollError, text: str) -> None:
    """The text says what happened and what to do next."""
    assert str(error) == text


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", [example for example, _ in EXAMPLES], ids=lambda error: type(error).__name__)
def test_copies(error: errors.BackscrollError, again: object) -> None:
    """A copy, also one that crossed to another process, has the same type, attributes and text."""
    assert callable(again)
    other = again(error)

    assert type(other) is type(error)
    assert (vars(other), str(other), repr(other)) == (vars(error), str(error), repr(error))


def test_tree() -> None:
    """The tree that the module's docstring draws is the real one."""
    drawn: dict[str, str] = {}
    above = {-1: "Exception"}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z][A-Za-z]+)(  |$)", line):
            depth = len(match[1]) // 4
            above[depth] = match[2]
            drawn[match[2]] = above[depth - 1]

    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}


def test_value_errors() -> None:
    """Wrong arguments are also what Python calls a ValueError; nothing else is."""
    also = {kind.__name__ for kind in CLASSES if issubclass(kind, ValueError)}

    assert also == {"InvalidArgument", "InvalidMessage", "MessageTooLarge", "InvalidURL", "InvalidOption"}


def test_exports() -> None:
    """`backscroll.__all__` is sorted as ruff wants it, and names all that is public and every exception."""
    public = {
        name for name, value in vars(backscroll).items() if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert set(backscroll.__all__) == public
    assert len(backscroll.__all__) == len(public)
    assert {kind.__name__ for kind in CLASSES} <= public


def test_version() -> None:
    """The package knows its version, and has nothing that it has not."""
    from importlib.metadata import version

    assert backscroll.__version__ == version("backscroll")
    with pytest.raises(AttributeError, match="has no attribute 'versoin'"):
        backscroll.versoin  # noqa: B018
