"""Every exception that backscroll raises, in one tree.

::

    BackscrollError
    ├── InvalidArgument         the call is wrong, and nothing was sent (also a ValueError)
    │   ├── InvalidMessage      a message that cannot be stored exactly; says where in it
    │   ├── MessageTooLarge     over a limit; says which setting raises it
    │   ├── InvalidURL          never repeats what it could not read
    │   └── InvalidOption       names the option, and the nearest one that exists
    ├── Unsupported             this backend does not do this; nothing was sent
    ├── PluginError             no usable plugin serves the scheme; says what to install or mend
    ├── VersionConflict         expected_version no longer holds; nothing was stored
    ├── TurnIdReused            the turn_id was used for other content; nothing was stored
    ├── Unavailable             surely not done; trying again may help
    │   └── DeadlineExceeded    … because the time allowed for the call ran out
    ├── OutcomeUnknown          done or not done, nobody can tell; repeating with the turn_id is safe
    │   └── WindowExceeded      … and repeating is not: the store no longer knows turns that old
    ├── StorageError            surely not done; trying again does not help until something is mended
    │   └── SchemaError         the tables are missing, or of a version this release cannot use
    ├── UnreadableMessage       a stored record is damaged; `Store.read` returns its neighbours
    └── Closed                  the store was closed

Each one keeps what it is about as attributes, and survives pickling, so that it can cross processes.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


class BackscrollError(Exception):
    """Base class of every exception of this package."""


class InvalidArgument(BackscrollError, ValueError):
    """An argument of a call is wrong; nothing was sent to the database."""


class InvalidMessage(InvalidArgument):
    """A message cannot be stored exactly as it is; nothing of its turn was sent.

    Attributes:
        path: Where the offending value stands, for example ``messages[0].content[2].text``.
        reason: What is wrong with it and what to give instead.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class MessageTooLarge(InvalidArgument):
    """A message or a turn is over a limit; nothing of its turn was stored.

    Attributes:
        setting: The option that holds the limit, for example ``max_message_bytes``.
        limit: Its value.
        size: What was measured, in the same unit; None where only the server measured.
        ceiling: True where the database goes no further, whatever the option says.
    """

    def __init__(self, setting: str, limit: int, size: int | None = None, ceiling: bool = False) -> None:
        super().__init__(setting, limit, size, ceiling)
        self.setting = setting
        self.limit = limit
        self.size = size
        self.ceiling = ceiling

    def __str__(self) -> str:
        measured = "too large" if self.size is None else f"{self.size:,}"
        rest = "as far as this database goes" if self.ceiling else "or raise that option"
        return f"{measured}, over {self.setting}={self.limit:,}: send less at a time, {rest}"


class InvalidURL(InvalidArgument):
    """A database URL cannot be used. The text never repeats any of it but the scheme."""


class InvalidOption(InvalidArgument):
    """An option does not exist or its value is out of range."""


class Unsupported(BackscrollError):
    """The backend does not support an operation; nothing was sent.

    Attributes:
        backend: The backend's name.
        what: The operation or feature.
        reason: Why the backend leaves it out.
    """

    def __init__(self, backend: str, what: str, reason: str = "") -> None:
        super().__init__(backend, what, reason)
        self.backend = backend
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.backend} does not support {self.what}" + (f": {self.reason}" if self.reason else "")


class PluginError(BackscrollError):
    """No usable plugin serves a scheme; the text says what to install or to mend."""


class VersionConflict(BackscrollError):
    """Something was appended since the caller looked; nothing was stored.

    Attributes:
        expected: The version that the caller expected.
        current: The version that the session has.
    """

    def __init__(self, expected: int, current: int) -> None:
        super().__init__(expected, current)
        self.expected = expected
        self.current = current

    def __str__(self) -> str:
        return (
            f"expected version {self.expected}, but the session is at {self.current}: "
            f"read what is new, then append with expected_version={self.current}"
        )


class TurnIdReused(BackscrollError):
    """A turn_id of this session was used before, for other messages; nothing was stored.

    Attributes:
        turn_id: The id in question.
    """

    def __init__(self, turn_id: "UUID") -> None:
        super().__init__(turn_id)
        self.turn_id = turn_id

    def __str__(self) -> str:
        return (
            f"turn_id {self.turn_id} already stands for other messages in this session: "
            "repeat a turn with the same messages, and give another turn an id of its own"
        )


class Unavailable(BackscrollError):
    """The database could not do it now, and surely did not; trying again may help."""


class DeadlineExceeded(Unavailable):
    """The time allowed for the call ran out, and what was asked was surely not done."""


class OutcomeUnknown(BackscrollError):
    """The database may have done it or not: the answer was lost.

    Repeating an append with this `turn_id` is safe, from this process or another, even if the
    first try lands later.

    Attributes:
        reason: What was seen.
        turn_id: The id of the turn; None where the operation was not an append.
    """

    def __init__(self, reason: str, turn_id: "UUID | None" = None) -> None:
        super().__init__(reason, turn_id)
        self.reason = reason
        self.turn_id = turn_id

    def __str__(self) -> str:
        if self.turn_id is None:
            return f"{self.reason}; it may have been done or not: read before you repeat it"
        return f"{self.reason}; it may have been stored or not: repeat the append with turn_id {self.turn_id}"


class WindowExceeded(OutcomeUnknown):
    """A repeated append is so late that the session no longer knows its turns that far back.

    It was not stored again. Whether the first try was can only be seen by reading the session.
    """

    def __str__(self) -> str:
        return f"{self.reason}; an earlier try may have been stored or not: read the session before you repeat it"


class StorageError(BackscrollError):
    """The database refused; nothing was done, and trying again does not help until it is mended."""


class SchemaError(StorageError):
    """The tables are missing, of another program, or of a version that this release cannot use."""


class UnreadableMessage(BackscrollError):
    """A stored record is damaged and was asked for as a message.

    Attributes:
        seq: Its place in the session.
        reason: What is wrong with it.
    """

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(seq, reason)
        self.seq = seq
        self.reason = reason

    def __str__(self) -> str:
        return f"the record at seq {self.seq} is unreadable ({self.reason}): Store.read returns it and its neighbours"


class Closed(BackscrollError):
    """The store was closed; open another one."""

    def __init__(self) -> None:
        super().__init__("the store is closed: open another one with backscroll.open")

    def __reduce__(self) -> "tuple[type[Closed], tuple[()]]":
        return Closed, ()
