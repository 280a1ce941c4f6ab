"""`Store`, the interface for applications; the same for every database.

Each operation is written once, as a coroutine, in `writing` and `reading`, and given to the class in two forms.
"""

from typing import final

from backscroll.arguments import checked_session_id
from backscroll.examination import Examination
from backscroll.history import History
from backscroll.operations import in_async, in_sync
from backscroll.reading import Reading
from backscroll.retry import Call
from backscroll.writing import Writing


@final
class Store(Writing, Reading):
    """Chat histories in one database: one for a whole process, from any thread and any event loop.

    Made by `backscroll.open`. Constructing it does no I/O; the first operation connects, and the
    first append makes the schema unless the option ``setup=never`` is given.

    Every operation has a sync form and an async twin with the prefix ``a``, takes ``timeout=`` in
    seconds (the default is the option of that name), and raises a `BackscrollError` when it did not
    do what it says: `InvalidArgument` for a wrong argument, `Unsupported`, `Unavailable`,
    `StorageError`, `Closed`, and what its own description adds.

    Args:
        backend: The database.
        observer: Is told of each finished operation; must not raise.
    """

    def history(self, session_id: str) -> History:
        """One session made handy; no I/O.

        Raises:
            InvalidArgument: The id is no session id.
        """
        return History(self, checked_session_id(session_id))

    async def _examine(self, call: Call, *, timeout: float | None = None) -> Examination:
        """Look at the server more closely than `ping`: also at what is as claimed, and would be wrong in production."""
        call.within(timeout)
        return await call.ask(self._backend.examine)

    examine = in_sync(_examine)
    aexamine = in_async(_examine)

    async def _schema_statements(self, call: Call, *, timeout: float | None = None) -> tuple[str, ...]:
        """The statements that `setup` would run now, for those whose application may not run them.

        Raises:
            Unsupported: The setup of this database is not made of statements.
        """
        call.within(timeout)
        return await call.ask(self._backend.schema_statements)

    schema_statements = in_sync(_schema_statements)
    aschema_statements = in_async(_schema_statements)
