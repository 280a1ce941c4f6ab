"""The environment says what ran where, keeps secrets and names to itself, and waits for nobody for long."""

import platform
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import pytest

from backscroll import errors, hookspecs
from backscroll.backend import Backend, BackendOptions, Capability, Health, Limits, declare, option, partial
from backscroll.registry import registry
from backscroll_conformance import environment as module
from backscroll_conformance.environment import Declared, Environment, Package, environment
from backscroll_conformance.target import Target

PLUGIN = """
from backscroll.backend import Limits, declare
from backscroll.hookspecs import BackendInfo, hookimpl

@hookimpl
def backscroll_backends():
    limits = Limits(max_message_bytes=1, max_turn_bytes=1, max_turn_messages=1)
    yield BackendInfo(name="mystore", schemes=("mystore", "mystores"), api=(1, 0), factory="nowhere_at_all:Store",
                      options="nowhere_at_all:Options", capabilities=declare(), limits=limits)
"""


@attrs.frozen(kw_only=True)
class FakeOptions(BackendOptions):
    """Options with a secret."""

    token: str = option("", str, "a token", secret=True)


class Fake(Backend):
    """Answers a ping as the test says, and has nothing else."""

    answer: Callable[[Backend], Health] = staticmethod(lambda backend: Health("Fake 5"))
    append = read = info = setup = lambda self, *args: None  # type: ignore[assignment]

    def ping(self, deadline: Any) -> Health:
        return Fake.answer(self)

    def close(self) -> None:
        self.release_threads()


INFO = hookspecs.BackendInfo(
    name="fake",
    schemes=("fake",),
    api=(1, 0),
    factory=f"{__name__}:Fake",
    options=f"{__name__}:FakeOptions",
    capabilities=declare({Capability.TTL: partial("whole days only")}),
    limits=Limits(max_message_bytes=10, max_turn_bytes=20, max_turn_messages=30, max_ttl=60.0),
)


class FakePlugin:
    @hookspecs.hookimpl
    def backscroll_backends(self) -> list[hookspecs.BackendInfo]:
        return [INFO]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Environment]]:
    """Looks at the fake backend, with what it answers to a ping."""
    plugin = FakePlugin()
    registry.register(plugin)

    def fake(answer: Callable[[Backend], Health], url: str = "fake://joe:s%2Fecret@one,two:99/db?token=t0ken") -> Any:
        monkeypatch.setattr(Fake, "answer", staticmethod(answer))
        return environment(Target(backend="fake", url=url))

    yield fake
    registry.unregister(plugin)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Fakes a distribution, as an installer leaves it."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, version: str, *needs: str, entries: str = "") -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {one}" for one in needs]
        (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "entry_points.txt").write_text(entries, encoding="utf-8")
        registry.refresh()

    yield install
    monkeypatch.undo()
    registry.refresh()


def raising(error: BaseException) -> Callable[[Backend], Health]:
    """A ping that raises."""

    def answer(backend: Backend) -> Health:
        raise error

    return answer


def test_an_embedded_database_says_what_it_is() -> None:
    """Built in, it comes with core and has no drivers; its folder is new and goes again."""
    import sqlite3

    found = environment(Target(backend="sqlite", url="sqlite:///{folder}/chat.db"))
    expected = {
        "suite": metadata.version("backscroll-conformance"),
        "core": metadata.version("backscroll"),
        "backend": "sqlite",
        "plugin": Package("backscroll", metadata.version("backscroll")),
        "drivers": (),
        "url": "sqlite://",
        "server": f"SQLite {sqlite3.sqlite_version}",
        "problems": (),
        "unanswered": "",
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
    }
    assert expected == {name: getattr(found, name) for name in expected}


def test_the_date_is_now_in_utc() -> None:
    """To the second, as in ISO 8601."""
    date = datetime.fromisoformat(environment(Target(backend="sqlite", url="sqlite:///{folder}/chat.db")).date)
    assert timedelta(0) == date.utcoffset()
    assert timedelta(0) <= datetime.now(UTC) - date < timedelta(minutes=1)


def test_what_is_declared_is_in_force(fake: Callable[..., Environment]) -> None:
    """Every capability with its reason, and the limits as the options leave them."""
    found = fake(lambda backend: Health("Fake 5", ("turn fsync on",)), "fake://one?max_turn_messages=5")
    assert (found.server, found.problems, found.unanswered) == ("Fake 5", ("turn fsync on",), "")
    assert [one.value for one in Capability] == [one.capability for one in found.capabilities]
    assert Declared("ttl", "partial", "whole days only") in found.capabilities
    assert Declared("count", "full", "") in found.capabilities
    assert found.limits == {
        "max_message_bytes": 10,
        "max_turn_bytes": 20,
        "max_turn_messages": 5,
        "dedupe_turns": 16,
        "max_ttl": 60.0,
        "durability": "server",
        "consistency": "linearizable",
        "erasure": "immediate",
    }


def test_of_the_url_only_scheme_and_hosts_are_told(fake: Callable[..., Environment]) -> None:
    """Neither user nor password, path or options."""
    found = fake(lambda backend: Health("Fake 5"))
    assert found.url == "fake://one,two:99"


def test_a_plugin_of_the_application_has_no_version(fake: Callable[..., Environment]) -> None:
    """It is told by the name under which it is registered."""
    found = fake(lambda backend: Health("Fake 5"))
    assert Package(f"{__name__}.FakePlugin", "") == found.plugin
    assert f"{__name__}.FakePlugin" == str(found.plugin)


@pytest.mark.parametrize(
    "error",
    [
        errors.StorageError("refused for joe with s/ecret, s%2Fecret and t0ken"),
        errors.SchemaError("s/ecret s%2Fecret t0ken"),
        SystemExit("s/ecret t0ken"),
    ],
)
def test_a_server_that_does_not_answer_is_told_without_secrets(
    fake: Callable[..., Environment], error: BaseException
) -> None:
    """Whatever the backend raises; what it declares is known all the same."""
    found = fake(raising(error))
    assert (found.server, found.problems) == ("", ())
    assert found.unanswered.startswith(f"{type(error).__name__}: ")
    assert "***" in found.unanswered
    assert not [secret for secret in ("s/ecret", "s%2Fecret", "t0ken") if secret in repr(found)]
    assert found.capabilities


def test_an_answer_with_secrets_is_told_without_them(fake: Callable[..., Environment]) -> None:
    """In the server's name and in the problems."""
    found = fake(lambda backend: Health("Fake 5 t0ken", ("s/ecret is weak",)))
    assert (found.server, found.problems) == ("Fake 5 ***", ("*** is weak",))


def test_a_backend_that_never_comes_back_is_not_waited_for(
    fake: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is told, and what comes later changes nothing."""
    monkeypatch.setattr(module, "PING_SECONDS", 0.05)
    released = threading.Event()
    found = fake(lambda backend: Health("late") if released.wait(30) else Health("never"))
    released.set()
    assert (found.server, found.unanswered) == ("", "no answer within 0.1 s")
    assert found.capabilities


def test_an_answer_that_is_no_health_is_told(fake: Callable[..., Environment]) -> None:
    """A backend may return anything."""
    found = fake(lambda backend: None)
    assert found.server == ""
    assert found.unanswered.startswith("AttributeError: ")


@pytest.mark.parametrize(
    "path", ["/home/my%20joe/none/chat.db", "none/chat.db", "/home/joe/chat.db"], ids=["space", "relative", "absolute"]
)
def test_no_folder_of_the_machine_is_told(path: str) -> None:
    """Since folders have the names of users."""
    found = environment(Target(backend="sqlite", url=f"sqlite:///{path}"))
    assert found.unanswered == "StorageError: (path): there is no directory (path) (or no way to it): make it first"


def test_a_folder_in_an_answer_is_not_told(fake: Callable[..., Environment]) -> None:
    """Neither on Windows; what only looks like one stays."""
    folders = (f"{Path.home()}/x: bad", f"in {Path.cwd()}", "see (/var/lib/db)", r"at C:\Users\joe\x.db")
    problems = (*folders, "1/2/3 a/b /0")
    found = fake(lambda backend: Health("Fake 5", problems))
    assert found.problems == ("(path): bad", "in (path)", "see ((path))", "at (path)", "1/2/3 a/b /0")


def test_a_plugin_is_told_with_its_drivers(install: Callable[..., None], tmp_path: Path) -> None:
    """What it needs itself and is installed; neither extras nor what every plugin needs."""
    (tmp_path / "mystore_plugin_of_a_test.py").write_text(PLUGIN, encoding="utf-8")
    install("MyDriver.X", "3.4")
    install("for-tests", "9")
    needs = (
        "backscroll<1,>=0.1",
        "pluggy",
        "attrs>=23",
        "mydriver-x[tls]<4,>=3",
        "absent; sys_platform == 'none'",
        "for-tests; extra == 'test'",
    )
    lines = "".join(f"{name} = mystore_plugin_of_a_test\n" for name in ("mystore", "mystores"))
    install("backscroll-mystore", "1.2", *needs, entries=f"[backscroll.plugins]\n{lines}")
    found = environment(Target(backend="mystore", url="mystores://host"))
    assert (Package("backscroll-mystore", "1.2"), (Package("mydriver-x", "3.4"),)) == (found.plugin, found.drivers)
    assert "importing nowhere_at_all failed" in found.unanswered
    assert (found.server, found.capabilities, found.limits) == ("", (), {})


def test_a_plugin_that_is_not_installed_is_told() -> None:
    """With what to do, and without the password."""
    found = environment(Target(backend="cassandra", url="cassandra://joe:secret@host"))
    assert found.plugin is None
    assert (
        found.unanswered
    ) == "PluginError: cassandra: backscroll-cassandra is not installed: pip install backscroll-cassandra"


def test_a_suite_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run from its sources."""
    monkeypatch.setattr(module, "SUITE", "backscroll-that-nobody-installed")
    assert environment(Target(backend="sqlite", url="sqlite:///{folder}/chat.db")).suite == ""


def test_a_url_that_cannot_be_parsed_is_refused() -> None:
    """Nothing can be asked without one."""
    with pytest.raises(errors.InvalidURL):
        environment(Target(backend="sqlite", url="chat.db"))
