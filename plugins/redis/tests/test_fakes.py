"""What servers seldom do: they answer half, slowly, or with what was sent to them; and providers fail."""

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
import redis

import backscroll
from backscroll.errors import BackscrollError, OutcomeUnknown, Unavailable

Answer = Callable[[list[bytes]], bytes | None]


class Fake:
    """Listens, keeps the commands that it hears, and answers each as it is told; None is no answer."""

    def __init__(self, answer: Answer) -> None:
        self.heard: list[list[bytes]] = []
        self._answer = answer
        self._listener = socket.create_server(("localhost", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as file:
                while line := file.readline():
                    command = []
                    for _ in range(int(line[1:])):
                        command.append(file.read(int(file.readline()[1:])))
                        file.readline()
                    self.heard.append(command)
                    if (answer := self._answer(command)) is not None:
                        connection.sendall(answer)
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """End it."""
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def fake() -> Iterator[Callable[[Answer], Fake]]:
    """Makes servers."""
    with ExitStack() as stack:

        def made(answer: Answer) -> Fake:
            server = Fake(answer)
            stack.callback(server.close)
            return server

        yield made


def well(command: list[bytes]) -> bytes:
    """Let everybody in, and know no session."""
    return b"*1\r\n:0\r\n" if command[0] in (b"EVALSHA", b"EVAL") else b"+OK\r\n"


async def both(store: backscroll.Store, operation: str, *args: object, **options: object) -> list[BaseException]:
    """What an operation raises in its two forms."""
    raised: list[BaseException] = []
    with pytest.raises(BackscrollError) as caught:
        getattr(store, operation)(*args, **options)
    raised.append(caught.value)
    with pytest.raises(BackscrollError) as caught:
        await getattr(store, f"a{operation}")(*args, **options)
    raised.append(caught.value)
    await store.aclose()
    return raised


async def test_what_a_server_repeats_of_a_password_is_not_shown(fake: Callable[[Answer], Fake]) -> None:
    """One that does not know AUTH does so, and the traceback of what is raised must not have it either."""
    server = fake(lambda command: b"-ERR unknown command 'AUTH', with args beginning with: " + command[-1] + b"\r\n")
    for error in await both(backscroll.open(f"redis://chat:s3cret@localhost:{server.port}/0"), "last", "s"):
        assert "s3cret" not in "".join(traceback.format_exception(error))


async def test_half_an_answer_ends_a_call_by_its_deadline(fake: Callable[[Answer], Fake]) -> None:
    """Also on a connection that an earlier call with much time has made."""
    answers = iter([b"*1\r\n:0\r\n", b"*1\r\n:", b"*1\r\n:0\r\n", b"*1\r\n:"])
    server = fake(lambda command: next(answers) if command[0] == b"EVALSHA" else b"+OK\r\n")
    store = backscroll.open(f"redis://localhost:{server.port}/0")
    assert list(store.last("s", timeout=20)) == []
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer within"):
        store.last("s", timeout=0.3)
    assert list(await store.alast("s", timeout=20)) == []
    with pytest.raises(Unavailable, match="no answer within"):
        await store.alast("s", timeout=0.3)
    assert time.monotonic() - began < 10
    await store.aclose()


async def test_a_slow_greeting_counts_as_part_of_the_call(fake: Callable[[Answer], Fake]) -> None:
    """The steps of a login share one deadline."""

    def slowly(command: list[bytes]) -> bytes:
        time.sleep(0.25)
        return b"+OK\r\n"

    server = fake(slowly)
    began = time.monotonic()
    store = backscroll.open(f"redis://chat:s3cret@localhost:{server.port}/3")
    for error in await both(store, "last", "s", timeout=0.4):
        assert isinstance(error, Unavailable)
    assert time.monotonic() - began < 8


async def test_a_provider_that_fails_leaves_no_connection_without_a_login(fake: Callable[[Answer], Fake]) -> None:
    """The next call logs in, and says which database it means."""
    server = fake(well)

    class Failing(redis.CredentialProvider):
        calls = 0

        def get_credentials(self) -> tuple[str, str]:
            self.calls += 1
            if self.calls % 2:
                raise ValueError("s3cret")
            return "chat", "t0ken"

    store = backscroll.open(f"redis://localhost:{server.port}/5", credential_provider=Failing())
    assert list(store.last("s")) == []
    assert list(await store.alast("s")) == []
    logins = [command for command in server.heard if command[0] in (b"AUTH", b"SELECT", b"EVALSHA")]
    assert logins == [
        *([[b"AUTH", b"chat", b"t0ken"], [b"SELECT", b"5"], next(one for one in logins if one[0] == b"EVALSHA")] * 2)
    ]
    await store.aclose()


async def test_a_server_that_wants_a_password_is_told_of_at_once(fake: Callable[[Answer], Fake]) -> None:
    """And one that still loads is surely one that did nothing."""
    message = {"role": "user", "content": "a"}
    server = fake(lambda command: b"-NOAUTH Authentication required.\r\n")
    for error in await both(backscroll.open(f"redis://localhost:{server.port}/0"), "append", "s", message):
        assert "NOAUTH" in str(error)
    server = fake(lambda command: b"-LOADING Redis is loading the dataset in memory\r\n")
    store = backscroll.open(f"redis://localhost:{server.port}/0", timeout=0.3)
    for error in await both(store, "append", "s", message):
        assert not isinstance(error, OutcomeUnknown)
        assert "LOADING" in str(error)


async def test_a_last_try_that_came_too_late_does_not_hide_why_the_others_failed(
    fake: Callable[[Answer], Fake],
) -> None:
    """The server said that it loads, and then nothing more."""
    for form in ("append", "aappend"):
        answers = iter([b"-LOADING Redis is loading the dataset in memory\r\n"])
        server = fake(lambda command, answers=answers: next(answers, None))
        store = backscroll.open(f"redis://localhost:{server.port}/0", timeout=2)
        with pytest.raises(Unavailable, match="LOADING"):
            await getattr(store, form)("s", {"role": "user", "content": "a"})


async def test_what_is_no_redis_is_told_of_at_once(fake: Callable[[Answer], Fake]) -> None:
    """A web server, for example."""
    server = fake(lambda command: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    for error in await both(backscroll.open(f"redis://chat:s3cret@localhost:{server.port}/0"), "last", "s"):
        assert "what answers is no Redis" in str(error)


def test_a_seed_that_tells_what_was_does_not_stand_in_the_way(fake: Callable[[Answer], Fake]) -> None:
    """The next one is asked, since the first one's master is gone."""

    def slots(port: int) -> Answer:
        told = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\nlocalhost\r\n:%d\r\n" % port
        return lambda command: told if command[0] == b"CLUSTER" else well(command)

    stale = fake(slots(1))
    master = fake(well)
    right = fake(slots(master.port))
    seeds = f"localhost:{stale.port},localhost:{right.port}"
    with backscroll.open(f"redis+cluster://{seeds}", timeout=5) as store:
        assert list(store.last("s")) == []
