"""Servers in containers; they are skipped where no engine answers, unless they are required."""

import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import docker.errors
import pytest

from backscroll.hookspecs import ServerSpec
from backscroll_conformance import containers
from backscroll_conformance.containers import NoServer, free_ports, shared, start
from backscroll_conformance.servers import running

REDIS = ServerSpec(
    backend="redis",
    url="redis://localhost:{port}/0",
    image="redis:7",
    command=("redis-server", "--port", "{port}"),
    container_port="{port}",
    ready="Ready to accept connections",
)


@pytest.fixture
def engine() -> Iterator[None]:
    """A Docker Engine."""
    with running(REDIS):
        yield


@pytest.mark.usefixtures("engine")
def test_a_server_that_is_never_ready_is_told_with_its_log() -> None:
    """The error names the image, the line that was waited for, and the last lines of the log."""
    with pytest.raises(NoServer) as caught:
        start(attrs.evolve(REDIS, ready="never said", ready_timeout=1.0))
    told = str(caught.value)
    assert "redis:7 was not ready within 1 s; waited for the line 'never said'" in told
    assert "Ready to accept connections" in told


@pytest.mark.usefixtures("engine")
def test_a_server_has_its_files_before_it_starts() -> None:
    """The port stands in them, and in the line that is waited for, as in every text."""
    spec = attrs.evolve(
        REDIS,
        command=("sh", "-c", "cat /own.txt; exec redis-server --port {port}"),
        files={"/own.txt": "it is {port}\n"},
        ready="it is {port}",
    )
    start(spec).remove()


@pytest.mark.usefixtures("engine")
def test_a_server_that_is_ready_and_out_of_reach_is_told() -> None:
    """Its own log says nothing of what stands between it and its clients."""
    with pytest.raises(NoServer, match=r"redis:7 is ready, but nothing gets through to it: localhost:[0-9]+ "):
        start(attrs.evolve(REDIS, container_port="1", ready_timeout=2.0))


@pytest.mark.usefixtures("engine")
def test_a_server_that_ends_is_told_at_once() -> None:
    """Nobody waits for it until the time is up."""
    with pytest.raises(NoServer, match="redis:7 ended; waited for"):
        start(attrs.evolve(REDIS, command=("redis-server", "--no-such-option", "1"), ready_timeout=60.0))


@pytest.mark.usefixtures("engine")
def test_an_image_that_is_not_there_is_told() -> None:
    """An error of the engine is passed on."""
    with pytest.raises(NoServer, match="localhost:1/nothing:1, which the ServerSpec of redis names, cannot be started"):
        start(attrs.evolve(REDIS, image="localhost:1/nothing:1"))


@pytest.mark.usefixtures("engine")
def test_processes_of_a_run_share_a_server(tmp_path: Path) -> None:
    """The first one starts it, and the last one ends it."""
    import docker

    with shared(REDIS, tmp_path / "run") as one:
        with shared(REDIS, tmp_path / "run") as other:
            assert other == one
        client = docker.from_env()
        assert client.containers.get(one.container).status == "running"
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(one.container)
    client.close()


def test_a_missing_engine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do next."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with pytest.raises(NoServer, match="no Docker Engine answers, so that no server can run"):
        start(REDIS)


@pytest.mark.usefixtures("engine")
def test_a_port_that_others_took_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is started on another one; where the port was given, the error says what is wrong."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = iter([(port,), (port,), free_ports()])
        monkeypatch.setattr(containers, "free_ports", lambda _=1: next(chosen))
        start(REDIS).remove()
        with pytest.raises(NoServer, match="cannot be started"):
            start(REDIS, ports=(port,))


def test_no_client_is_given_the_port_of_a_server() -> None:
    """A server that is restarted finds its port free: clients get theirs from another range."""
    with socket.create_server(("localhost", 0)) as server, socket.create_connection(server.getsockname()) as client:
        given = server.getsockname()[1], client.getsockname()[1]
    assert max(free_ports(3)) < min(given)


class Busy:
    """A container whose engine cannot freeze it the first times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def pause(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise docker.errors.APIError("unable to freeze")


def test_an_engine_that_cannot_freeze_a_container_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while: on a busy machine it gives up early."""
    monkeypatch.setattr(containers, "POLL", 0.001)
    busy = Busy(2)
    containers._freeze(busy)
    assert busy.times == -1
    monkeypatch.setattr(containers, "FREEZING", 0.01)
    with pytest.raises(docker.errors.APIError, match="unable to freeze"):
        containers._freeze(Busy(1_000_000))
