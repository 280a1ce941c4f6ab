"""Sending commands and waiting for their answers: until when, and what is known where none came."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from backscroll.backend import Deadline
from backscroll_redis.connections import AsyncPool, Bounded, positive, within
from backscroll_redis.layout import Command
from backscroll_redis.refusals import REFUSALS, lost, not_sent, refused, too_late


def ask(pool: Any, commands: Sequence[Command], deadline: Deadline, *, writes: bool = False) -> list[Any]:
    """Send commands and wait for their answers, as bytes.

    Args:
        pool: Where connections come from. One brought along makes them and waits for them in its own time.
        commands: The commands.
        deadline: Until when.
        writes: Whether it matters if they were done where no answer came.

    Raises:
        BackscrollError: What is known of it.
        NoScriptError: The server does not have a script.
        AskError: Another server has the key.
    """
    if not deadline.remaining():
        raise too_late(deadline)
    with within(deadline):
        try:
            connection = pool.get_connection()
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing was sent
            raise not_sent(error) from None
        answers: list[Any] = []
        try:
            connection.send_packed_command(_packed(connection, commands))
            while len(answers) < len(commands):
                answers.append(_answer(connection, deadline))
        except REFUSALS as error:  # such an answer ends the connection
            raise refused(error) from None
        except Exception as error:  # noqa: BLE001 - whatever it was, it may have been sent
            raise lost(error, deadline, writes=writes) from None
        finally:
            if len(answers) < len(commands):
                connection.disconnect()  # an answer that comes later must not be taken for that of the next command
            elif not isinstance(connection, Bounded) and (sock := _socket(connection)):
                sock.settimeout(connection.socket_timeout)
            pool.release(connection)
    return _granted(answers)


def _answer(connection: Any, deadline: Deadline) -> Any:
    """An answer; a refusal is one, too."""
    if not isinstance(connection, Bounded) and (sock := _socket(connection)):
        # Not can_read(), which in older releases takes what has arrived already, and decodes it.
        sock.settimeout(positive(deadline))
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _socket(connection: Any) -> Any:
    """The socket of a connection brought along; None where it has none."""
    return getattr(connection, "_sock", None)


async def aask(pool: Any, commands: Sequence[Command], deadline: Deadline, *, writes: bool = False) -> list[Any]:
    """Async twin of `ask`; the wait for answers is ended by who awaits it, since one more timer costs 15 µs."""
    if not deadline.remaining():
        raise too_late(deadline)
    connection, cancelled = await _connected(pool, deadline), _cancelled()
    answers: list[Any] = []
    try:
        await connection.send_packed_command(_packed(connection, commands))
        _as_cancelled(cancelled)
        while len(answers) < len(commands):
            answers.append(await _async_answer(connection))
    except REFUSALS as error:
        raise refused(error) from None
    except Exception as error:  # noqa: BLE001 - whatever it was, it may have been sent
        raise lost(error, deadline, writes=writes) from None
    finally:
        if len(answers) < len(commands):
            await connection.disconnect(nowait=True)
        await pool.release(connection)
    return _granted(answers)


async def _connected(pool: Any, deadline: Deadline) -> Any:
    """A connection; what ends here surely was not sent."""
    if isinstance(pool, AsyncPool) and (connection := pool.idle()):
        return connection
    try:
        async with asyncio.timeout(deadline.remaining()):
            return await pool.get_connection()
    except Exception as error:  # noqa: BLE001 - whatever it was, nothing was sent
        raise not_sent(error) from None


async def _async_answer(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _packer() -> Callable[[Any], bytes] | None:
    """What hiredis packs commands with, of which an async connection makes no use by itself; None without hiredis."""
    try:
        import hiredis
    except ImportError:
        return None
    return hiredis.pack_command


_PACK: Final = _packer()


def _packed(connection: Any, commands: Sequence[Command]) -> list[bytes]:
    if _PACK is not None:
        return [_PACK(command) for command in commands]
    return [part for command in commands for part in connection.pack_command(*command)]


def _granted(answers: list[Any]) -> list[Any]:
    """The answers, where none of them is a refusal."""
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise refused(answer) from None
    return answers


def _cancelled() -> int:
    """How many times the running task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _as_cancelled(before: int) -> None:
    """Pass on what Python 3.11's `asyncio.wait_for`, by which a connection may send, keeps to itself."""
    if _cancelled() > before:
        raise asyncio.CancelledError
