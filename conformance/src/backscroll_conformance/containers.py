"""Real servers in containers: started, waited for, and never left behind."""

import gc
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from random import SystemRandom
from typing import Any, Final
from zlib import crc32

import attrs

from backscroll.hookspecs import ServerSpec

HANGS_UP: Final = 0.1
"""After how many seconds of silence a connection is taken for one that gets through."""

LAST_LINES: Final = 15
"""How many lines of its log are told of a server that does not become ready."""

FREEZING: Final = 20.0
"""For how many seconds the engine is asked to let a container stand still."""

POLL: Final = 0.1
"""How often its log is looked at, in seconds."""

MISSING: Final = "servers are started by testcontainers: pip install 'backscroll-conformance[servers]', or give a URL"

PORT: Final = "{port}"
PORTS: Final = "{ports}"

CHOSEN: Final = range(15_000, 32_000)
"""From which ports servers get theirs.

No system gives these to its clients by itself: Linux begins at 32768, others at 49152. A server that is restarted
needs its port again, and a client could have it by then.
"""

TRIES: Final = 3
"""How often a server is started, where others take the ports that were free a moment ago."""

_TAKEN: Final = ("port is already allocated", "address already in use")


PROCESS: Final = "backscroll.process"
"""The label of each container: the id of the process that started it."""


class NoServer(Exception):
    """A server could not be started; the text says why and what to do next."""


class _PortTaken(NoServer):
    """Another one took a port between choosing and using it."""


@attrs.frozen
class Server:
    """A running server.

    Args:
        url: What opens it.
        container: The id of its container.
        published: The ports of this machine at which it is reached.
        image: Its image.
        ready: A line, or part of one, that its log shows each time that it can be used.
        ready_timeout: How many seconds that may take.
    """

    url: str
    container: str
    published: tuple[int, ...] = attrs.field(kw_only=True, converter=tuple[int, ...])
    image: str = attrs.field(kw_only=True)
    ready: str = attrs.field(kw_only=True)
    ready_timeout: float = attrs.field(kw_only=True)

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        with _container(self.container) as container:
            container.kill()

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        with _container(self.container) as container:
            container.stop(timeout=int(self.ready_timeout))

    def start_again(self) -> None:
        """Start it with the data that it had, and wait until it can be used.

        Raises:
            NoServer: It does not become ready.
        """
        with _container(self.container) as container:
            before = container.logs().decode(errors="replace").count(self.ready)
            container.start()
            self.wait(container, before)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still during the block: it takes connections and answers nothing."""
        with _container(self.container) as container:
            _freeze(container)
            try:
                yield
            finally:
                container.unpause()

    def remove(self) -> None:
        """End it, and drop its data; one that is gone already is fine."""
        import docker.errors

        with suppress(docker.errors.NotFound), _container(self.container) as container:
            container.remove(force=True, v=True)

    def wait(self, container: Any, before: int = 0) -> None:
        """Wait until it can be used.

        Args:
            container: Its container.
            before: How many times its log said so before.

        Raises:
            NoServer: It does not become ready.
        """
        end = time.monotonic() + self.ready_timeout
        while (log := container.logs().decode(errors="replace")).count(self.ready) <= before:
            container.reload()
            if container.status == "exited" or time.monotonic() > end:
                how = "ended" if container.status == "exited" else f"was not ready within {self.ready_timeout:g} s"
                tail = "\n".join(log.splitlines()[-LAST_LINES:])
                told = f"waited for the line {self.ready!r}; the last of its log:\n{tail}"
                raise NoServer(f"{self.image} {how}; {told}")
            time.sleep(POLL)
        for port in self.published:
            while problem := _unreachable(port):
                if time.monotonic() > end:
                    raise NoServer(f"{self.image} is ready, but nothing gets through to it: localhost:{port} {problem}")
                time.sleep(POLL)


def start(spec: ServerSpec, ports: Sequence[int] = (), published: Sequence[int] = ()) -> Server:
    """Start a server and wait until it can be used.

    Args:
        spec: How to start it.
        ports: Where its clients look for it; any free ones where it is empty.
        published: Where it is really published; the same ports where it is empty.

    Raises:
        NoServer: There is no Docker Engine, no image, or the server does not become ready.
    """
    for _ in range(TRIES - 1 if not ports else 0):
        chosen = free_ports(spec.ports)
        with suppress(_PortTaken):
            return _started(spec, chosen, published or chosen)
    ports = ports or free_ports(spec.ports)
    return _started(spec, ports, published or ports)


def _started(spec: ServerSpec, ports: Sequence[int], published: Sequence[int]) -> Server:
    container = _docker()(spec.image).with_kwargs(labels={PROCESS: str(os.getpid())})

    def filled(text: str) -> str:
        return text.replace(PORT, str(ports[0])).replace(PORTS, " ".join(map(str, ports)))

    for port, outside in zip(ports, published, strict=True):
        container.with_bind_ports(int(spec.container_port.replace(PORT, str(port))), outside)
    if spec.command:
        container.with_command([filled(part) for part in spec.command])
    for name, value in spec.environment.items():
        container.with_env(name, filled(value))
    for path, text in spec.files.items():
        container.with_copy_into_container(filled(text).encode(), path)
    try:
        container.start()
    except Exception as error:
        with suppress(Exception):  # it may not have come into being
            container.stop()
        told = _told(error)
        kind = _PortTaken if any(phrase in told for phrase in _TAKEN) else NoServer
        raise kind(f"{spec.image}, which the ServerSpec of {spec.backend} names, cannot be started: {told}") from error
    found = container.get_wrapped_container()
    server = Server(
        filled(spec.url),
        found.id,
        published=tuple(published),
        image=spec.image,
        ready=filled(spec.ready),
        ready_timeout=spec.ready_timeout,
    )
    try:
        server.wait(found)
    except BaseException:
        server.remove()
        raise
    return server


@contextmanager
def shared(spec: ServerSpec, run: Path) -> Iterator[Server]:
    """One server for all processes of a run: the first one starts it, and the last one ends it.

    Args:
        spec: How to start it.
        run: A folder that these processes have in common, which is made where it is missing, and is theirs to remove.

    Raises:
        NoServer: It could not be started.
    """
    file_lock = _file_lock()
    run.mkdir(parents=True, exist_ok=True)
    name = f"{spec.backend}-{crc32(repr(spec).encode()):08x}"
    path = run / f"{name}.json"
    lock = file_lock(run / f"{name}.lock")
    with lock:
        known: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {"users": 0}
        if "server" not in known:
            known["server"] = attrs.asdict(start(spec))
        path.write_text(json.dumps(known | {"users": known["users"] + 1}), encoding="utf-8")
    server = Server(**known["server"])
    try:
        yield server
    finally:
        with lock:
            users = json.loads(path.read_bytes())["users"] - 1
            if users:
                path.write_text(json.dumps(known | {"users": users}), encoding="utf-8")
            else:
                server.remove()
                path.unlink()


def _freeze(container: Any) -> None:
    """Let a container stand still; an engine gives that up where the machine is too busy, and can be asked again."""
    import docker.errors

    end = time.monotonic() + FREEZING
    while True:
        try:
            container.pause()
        except docker.errors.APIError:
            if time.monotonic() > end:
                raise
            time.sleep(POLL)
        else:
            return


@contextmanager
def _container(id: str) -> Iterator[Any]:
    import docker

    with closing(docker.from_env()) as engine:
        yield engine.containers.get(id)


def _docker() -> Any:
    """What makes a container; where there is an engine."""
    try:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise NoServer(MISSING) from error
    if not _answers():
        raise NoServer("no Docker Engine answers, so that no server can run: start one, or give a URL")
    # Its helper would be one more image to pull; what is started here is ended here.
    testcontainers_config.ryuk_disabled = os.environ.get("TESTCONTAINERS_RYUK_DISABLED", "true") != "false"
    return DockerContainer


def _file_lock() -> Any:
    try:
        from filelock import FileLock
    except ImportError as error:
        raise NoServer(MISSING) from error
    return FileLock


def _answers() -> bool:
    import docker

    with warnings.catch_warnings():
        # Where nobody answers, the client leaves a socket behind.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with closing(docker.from_env()) as engine:
                return bool(engine.ping())
        except Exception:  # noqa: BLE001 - whatever it is, there is no engine for us
            answers = False
        gc.collect()
    return answers


def _unreachable(port: int) -> str:
    """Why a connection to a server is of no use; empty where it is of use.

    No server hangs up before it has heard anything.
    """
    try:
        with socket.create_connection(("localhost", port), timeout=HANGS_UP) as probe:
            return "" if probe.recv(1) else "closes every connection"
    except TimeoutError:
        return ""
    except OSError as error:
        return f"refuses: {error.strerror}"


def free_ports(count: int = 1) -> tuple[int, ...]:
    """Ports of this machine on which nobody listens, and which no client is given meanwhile."""
    return tuple(islice(filter(_is_free, SystemRandom().sample(CHOSEN, len(CHOSEN))), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _told(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).strip() or type(error).__name__
