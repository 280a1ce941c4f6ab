"""The registry finds, loads and calls plugins, each apart from the others.

Distributions are faked as an installer leaves them: a ``*.dist-info`` folder beside their modules.
"""

import asyncio
import importlib
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import click
import pytest

from backscroll.backend import Backend, BackendOptions
from backscroll.discovery import Plugin, Status
from backscroll.errors import PluginError
from backscroll.hookspecs import API, BackendInfo, OperationEvent, ServerSpec, hookimpl
from backscroll.registry import Registry

if sys.version_info >= (3, 12):
    from importlib import metadata
else:
    import importlib_metadata as metadata

EVENT = OperationEvent(backend="fake", operation="append", session_id="s", seconds=0.1, tries=1, messages=1, error=None)

HOOKS = ("backscroll_backends", "backscroll_operation", "backscroll_commands", "backscroll_servers")

HEAD = """
from backscroll.backend import Limits, declare
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
"""

MISSING_DRIVER = (
    "is installed, but its dependency no_such_driver failed to import: install it (perhaps: pip install no_such_driver)"
)

DRIVER = """
import attrs
from backscroll.backend import Backend, BackendOptions
@attrs.frozen(kw_only=True)
class Options(BackendOptions): pass
class Plain(BackendOptions): pass
class Driver(Backend):
    append = read = info = setup = ping = close = lambda self, *args: None
class Half(Backend):
    append = read = info = lambda self, *args: None
"""


def backends(*schemes: str, **fields: Any) -> str:
    """The source of a plugin with one backend."""
    given = {
        "name": schemes[0],
        "schemes": schemes,
        "api": API,
        "factory": "driver:Driver",
        "options": "driver:Options",
    }
    arguments = ", ".join(f"{name}={value!r}" for name, value in (given | fields).items())
    return f"""{HEAD}
@hookimpl
def backscroll_backends():
    limits = Limits(max_message_bytes=1, max_turn_bytes=1, max_turn_messages=1)
    yield BackendInfo({arguments}, capabilities=declare(), limits=limits)
"""


def hook(name: str, body: str) -> str:
    """The source of a plugin that implements one hook."""
    return f"{HEAD}\n@hookimpl\ndef {name}: {body}"


@attrs.frozen
class Site:
    """A folder on sys.path with distributions in it."""

    folder: Path

    def module(self, name: str, source: str) -> None:
        path = self.folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        importlib.invalidate_caches()

    def install(self, distribution: str, entries: dict[str, str], version: str = "1.0") -> None:
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {module}" for name, module in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[backscroll.plugins]", *lines, ""]))

    def plugin(self, name: str, source: str) -> None:
        """A distribution acme-<name> 1.0 with one module, plugin_<name>, and one entry point."""
        module = f"plugin_{name.replace('.', '_')}"
        self.module(module, source)
        self.install(f"acme-{name.replace('.', '-')}", {name: module})


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, Site]]:
    """Two folders, the first one before the other, with all the distributions that there are."""
    pair = Site(tmp_path / "first"), Site(tmp_path / "second")
    path = [str(site.folder) for site in pair]
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    monkeypatch.setattr(metadata, "distributions", partial(metadata.distributions, path=path))
    monkeypatch.delenv("BACKSCROLL_BLOCK", raising=False)
    yield pair
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def site(sites: tuple[Site, Site]) -> Site:
    """The first of the two folders."""
    return sites[0]


@pytest.fixture
def registry() -> Registry:
    """A registry that has not looked yet."""
    return Registry()


def row(registry: Registry, name: str, *, strict: bool = False) -> Plugin:
    """The one row of that name."""
    (found,) = (plugin for plugin in registry.plugins(strict=strict) if plugin.name == name)
    return found


def refusal(call: Callable[..., Any], *args: Any) -> str:
    """The text of the PluginError that the call raises."""
    with pytest.raises(PluginError) as caught:
        call(*args)
    return str(caught.value)


def plugin_with(**functions: Callable[..., Any]) -> SimpleNamespace:
    """An object that implements hooks with these functions."""
    return SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})


def observe(seen: list[OperationEvent]) -> Callable[[OperationEvent], None]:
    """A hook that keeps what it is told."""
    return lambda event: seen.append(event)  # noqa: PLW0108 - pluggy marks functions only


def info(*schemes: str, **fields: Any) -> BackendInfo:
    """What a plugin with one backend gives."""
    namespace: dict[str, Any] = {}
    exec(backends(*schemes, **fields), namespace)
    (backend,) = namespace["backscroll_backends"]()
    assert isinstance(backend, BackendInfo)
    return backend


# Finding


def test_find(site: Site, registry: Registry) -> None:
    """Finds the backend of an installed plugin by its scheme."""
    site.plugin("fake", backends("fake", "fake+tls"))

    assert (registry.find("fake").name, registry.find("fake+tls").name) == ("fake", "fake")


def test_find_sqlite(registry: Registry) -> None:
    """Finds the sqlite of this very installation."""
    assert registry.find("sqlite").name == "sqlite"


def test_lazy(site: Site, registry: Registry) -> None:
    """Finding one scheme imports no other plugin and no driver."""
    for name in ("fake", "other", "observer.other"):
        site.plugin(name, backends(name))
    site.module("driver", DRIVER)

    registry.find("fake")

    imported = {"plugin_fake", "plugin_other", "plugin_observer_other", "driver"} & set(sys.modules)
    assert {"plugin_fake"} == imported


def test_several_entry_points(site: Site, registry: Registry) -> None:
    """A module behind several entry points is imported and asked once."""
    source = backends("fake", "fakes").replace("limits =", "calls.append(1)\n    limits =")
    site.module("plugin_fake", f"calls = []\n{source}")
    site.install("acme-fake", {"fake": "plugin_fake", "fakes": "plugin_fake"})

    found = registry.find("fake"), registry.find("fakes")

    assert found[0] is found[1]
    assert sys.modules["plugin_fake"].calls == [1]


def test_not_installed(site: Site, registry: Registry) -> None:
    """A scheme of this project that is not installed says what to install."""
    expected = "valkey: backscroll-redis is not installed: pip install backscroll-redis"
    assert expected == refusal(registry.find, "valkey")


def test_unknown_scheme(site: Site, registry: Registry) -> None:
    """An unknown scheme names the nearest and those that there are."""
    site.plugin("fake", backends("fake"))
    site.plugin("observer.fake", "")

    expected = "redsi: no plugin serves this scheme: did you mean redis? there are fake"
    assert expected == refusal(registry.find, "redsi")


def test_observer_is_no_scheme(site: Site, registry: Registry) -> None:
    """An observer's entry point is no scheme."""
    site.plugin("observer.fake", backends("observer.fake"))

    assert refusal(registry.find, "observer.fake") == "observer.fake: no plugin serves this scheme: there are "


def test_unserved_variant(site: Site, registry: Registry) -> None:
    """A variant of a scheme that its plugin does not serve is refused."""
    site.plugin("fake", backends("fake", "fake+tls"))

    expected = "fake+udp: acme-fake 1.0 does not serve this scheme, only fake, fake+tls"
    assert expected == refusal(registry.find, "fake+udp")


def test_threads(site: Site, registry: Registry) -> None:
    """Many threads that use it first get the same backend."""
    site.plugin("fake", f"import time; time.sleep(0.05)\n{backends('fake')}")
    start = threading.Barrier(8)
    found = []

    def first_use() -> None:
        start.wait()
        found.append(registry.find("fake"))

    threads = [threading.Thread(target=first_use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(found), len({id(backend) for backend in found})) == (8, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork() -> None:
    """A child forked while another thread loads a plugin can open one."""
    from backscroll.registry import registry

    with registry._lock:
        code = _code_of_child(registry)

    assert code == 0


def _code_of_child(registry: Registry) -> int:
    """Fork in another thread than the one that holds the lock, and find a backend in the child."""
    codes: list[int] = []

    def fork() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os._exit(0 if registry._lock.acquire(timeout=5) else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    return codes[0]


def test_refresh_installed(site: Site, registry: Registry) -> None:
    """Refresh sees what was installed since."""
    refusal(registry.find, "fake")
    site.plugin("fake", backends("fake"))
    before = refusal(registry.find, "fake")

    registry.refresh()

    assert before == "fake: no plugin serves this scheme: there are "
    assert registry.find("fake").name == "fake"


def test_refresh_mended(site: Site, registry: Registry) -> None:
    """Refresh tries again what failed to import."""
    site.plugin("fake", "import no_such_driver")
    refusal(registry.find, "fake")
    site.module("plugin_fake", backends("fake"))

    registry.refresh()

    assert registry.find("fake").name == "fake"


def test_refresh_registered(site: Site, registry: Registry) -> None:
    """Refresh keeps what was registered and forgets what was loaded."""
    seen: list[OperationEvent] = []
    site.plugin("observer.fake", f"seen = []\n{hook('backscroll_operation(event)', 'seen.append(event)')}")
    registry.register(plugin_with(backscroll_operation=observe(seen)))
    observer = registry.observer()

    registry.refresh()
    observer(EVENT)

    assert (seen, sys.modules["plugin_observer_fake"].seen) == ([EVENT], [])


# What is wrong with a plugin


def test_missing_dependency(site: Site, registry: Registry) -> None:
    """A dependency that is missing is named with a hint."""
    site.plugin("fake", "import no_such_driver.client")

    assert f"fake: acme-fake 1.0 {MISSING_DRIVER}" == refusal(registry.find, "fake")
    assert Status.BROKEN is row(registry, "fake").status


def test_missing_own_module(site: Site, registry: Registry) -> None:
    """A module of the plugin itself that is missing is no missing dependency."""
    site.module("plugin_fake.__init__", "")
    site.install("acme-fake", {"fake": "plugin_fake.plugin"})

    expected = (
        "fake: acme-fake 1.0 is installed, but importing plugin_fake.plugin failed: "
        "ModuleNotFoundError: No module named 'plugin_fake.plugin'"
    )
    assert expected == refusal(registry.find, "fake")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: invalid syntax"),
    ],
)
def test_broken(site: Site, registry: Registry, source: str, reason: str) -> None:
    """A plugin that fails to import is broken."""
    site.plugin("fake", source)

    broken = row(registry, "fake")

    expected = (Status.BROKEN, f"is installed, but importing plugin_fake failed: {reason}")
    assert expected == (broken.status, broken.detail)


def test_broken_once(site: Site, registry: Registry) -> None:
    """An import that failed is not tried again."""
    site.module("plugin_fake", "import sys; sys.fake_imports = getattr(sys, 'fake_imports', 0) + 1; 1 / 0")
    site.install("acme-fake", {"fake": "plugin_fake", "fakes": "plugin_fake"})

    registry.plugins()
    registry.plugins()

    assert sys.__dict__.pop("fake_imports") == 1


def test_interrupted(site: Site, registry: Registry) -> None:
    """An interrupt during an import passes and leaves the plugin usable."""
    site.plugin("fake", backends("fake").replace("limits =", "interrupt()\n    limits ="))
    interrupts = iter([KeyboardInterrupt()])

    def interrupt() -> None:
        for error in interrupts:
            raise error

    importlib.import_module("plugin_fake").interrupt = interrupt  # type: ignore[attr-defined]

    with pytest.raises(KeyboardInterrupt):
        registry.find("fake")
    assert registry.find("fake").name == "fake"


RULES = [
    ("", "implements no hook: mark its functions with backscroll.hookspecs.hookimpl"),
    (
        hook("backscroll_backend()", "return ()"),
        "implements backscroll_backend, which is no hook: did you mean backscroll_backends?",
    ),
    (hook("xyz()", "return ()"), f"implements xyz, which is no hook: there are {', '.join(HOOKS)}"),
    (
        hook("backscroll_operation(event)", "yield").replace("@hookimpl", "@hookimpl(wrapper=True)"),
        "implements backscroll_operation as a wrapper or a coroutine: make it a plain function",
    ),
    (
        hook("backscroll_operation(event)", "pass").replace("def ", "async def "),
        "implements backscroll_operation as a wrapper or a coroutine: make it a plain function",
    ),
    (hook("backscroll_backends()", "return None"), "gives NoneType in backscroll_backends: give BackendInfo objects"),
    (
        hook("backscroll_backends()", "return [1, 'two']"),
        "gives int, str in backscroll_backends: give BackendInfo objects",
    ),
    (hook("backscroll_servers()", "return ()"), "serves no scheme, but has an entry point fake: rename it"),
    (backends("other"), "serves other, but has an entry point fake: rename it"),
    (backends("fake", "other"), "serves other without an entry point of that name: add it"),
    (backends("fake", name="faker"), "has a backend faker: name it after one of its schemes"),
    (
        backends("fake", schemes="fake"),
        "declares fake wrongly: give name and schemes in lower case, schemes as a tuple",
    ),
    (backends("Fake", "fake"), "declares Fake wrongly: give name and schemes in lower case, schemes as a tuple"),
    (
        backends("fake", name=["fake"]),
        "declares ['fake'] wrongly: give name and schemes in lower case, schemes as a tuple",
    ),
    (backends("fake", factory="driver"), "declares fake wrongly: give factory and options as 'package.module:Class'"),
    (
        backends("fake").replace("yield", "info =") + "    yield info\n    yield info\n",
        "declares fake twice: give each backend its own",
    ),
    (backends("fake", "fake"), "declares fake twice: give each backend its own"),
    (
        backends("fake") + "    yield BackendInfo(name='fake', schemes=('fake+tls',), api=(1, 0), factory='a:b',"
        " options='a:b', capabilities=declare(), limits=limits)",
        "declares fake twice: give each backend its own",
    ),
    (backends("fake", api="1.0"), "gives no version as api: give (major, minor), now (1, 0)"),
]
RAISING = [
    (hook("backscroll_backends()", "raise OSError('disk')"), "raised in backscroll_backends: OSError: disk"),
    (
        hook("backscroll_backends()", "yield 1 / 0"),
        "raised in backscroll_backends: ZeroDivisionError: division by zero",
    ),
]
VERSIONS = [
    ((API[0] + 1, 0), "was made for plugin API 2.0, and this is 1.0: pip install --upgrade backscroll"),
    ((API[0], API[1] + 1), "was made for plugin API 1.1, and this is 1.0: pip install --upgrade backscroll"),
    ((API[0] - 1, 9), "was made for plugin API 0.9, and this is 1.0: look for a newer release of the plugin"),
]


@pytest.mark.parametrize(
    ("status", "source", "detail"),
    [
        *((Status.INVALID, *case) for case in RULES),
        *((Status.BROKEN, *case) for case in RAISING),
        *((Status.INCOMPATIBLE, backends("fake", api=api), detail) for api, detail in VERSIONS),
    ],
)
def test_broken_rule(site: Site, registry: Registry, status: Status, source: str, detail: str) -> None:
    """A plugin that breaks a rule is refused and says what to mend."""
    site.plugin("fake", source)
    site.plugin("healthy", backends("healthy"))

    refused = row(registry, "fake")

    assert (status, detail, ()) == (refused.status, refused.detail, refused.backends)
    assert f"fake: acme-fake 1.0 {detail}" == refusal(registry.find, "fake")
    assert registry.find("healthy").name == "healthy"


def test_wrong_signature(site: Site, registry: Registry) -> None:
    """A hook with a wrong argument is refused with its signature."""
    site.plugin("fake", backends("fake") + hook("backscroll_operation(evnt)", "pass"))

    refused = row(registry, "fake")

    assert Status.INVALID is refused.status
    assert "backscroll_operation(evnt)" in refused.detail
    assert not registry.observer()


def test_optional_hook(site: Site, registry: Registry) -> None:
    """A hook of a later release may be marked as optional."""
    site.plugin("fake", backends("fake") + "@hookimpl(optionalhook=True)\ndef backscroll_later(): pass")

    assert Status.OK is row(registry, "fake").status


def test_unreadable_entry_points(site: Site, registry: Registry) -> None:
    """An unreadable entry points file is a broken plugin."""
    site.install("acme-fake", {})
    (site.folder / "acme_fake-1.0.dist-info" / "entry_points.txt").write_text("[backscroll.plugins]\nnonsense\n")

    broken = row(registry, "acme-fake")

    assert (broken.status, broken.origin) == (Status.BROKEN, "acme-fake 1.0")


def test_foreign_damage(site: Site, registry: Registry) -> None:
    """The damage of a foreign distribution hides no plugin."""
    site.install("damaged", {})
    (site.folder / "damaged-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe")
    (site.folder / "nameless-1.0.dist-info").mkdir()
    (site.folder / "nameless-1.0.dist-info" / "entry_points.txt").write_text("[backscroll.plugins]\nx = y\n")
    site.plugin("fake", backends("fake"))

    assert registry.find("fake").name == "fake"


# Two of the same


def test_conflict(site: Site, registry: Registry) -> None:
    """Two distributions with one name are a conflict that neither wins."""
    for name in ("one", "two"):
        site.module(f"plugin_{name}", backends("fake"))
        site.install(f"acme-{name}", {"fake": f"plugin_{name}"}, version=f"{len(name)}.1")

    rows = [plugin for plugin in registry.plugins() if plugin.name == "fake"]

    expected = "fake: acme-one 3.1 provides fake, and so does acme-two 3.1: none is used until one is removed"
    assert expected == refusal(registry.find, "fake")
    assert [(plugin.origin, plugin.status) for plugin in rows] == [
        ("acme-one 3.1", Status.CONFLICT),
        ("acme-two 3.1", Status.CONFLICT),
    ]
    assert not {"plugin_one", "plugin_two"} & set(sys.modules)


def test_stolen_name(site: Site, registry: Registry) -> None:
    """A backend cannot take the name of another plugin's backend."""
    site.plugin("fake", backends("fake"))
    site.plugin("thief", backends("thief", name="fake"))

    statuses = {plugin.name: plugin.status for plugin in registry.plugins() if plugin.distribution == "acme-thief"}

    assert statuses == {"thief": Status.INVALID}
    assert registry.find("fake").name == "fake"


def test_shadowed(sites: tuple[Site, Site], registry: Registry) -> None:
    """Of a distribution that is found twice the first one counts."""
    for place, version in zip(sites, ("2.0", "1.0"), strict=True):
        place.module("plugin_fake", backends("fake"))
        place.install("Acme.Fake" if version == "2.0" else "acme-fake", {"fake": "plugin_fake"}, version=version)

    assert (row(registry, "fake").origin, row(registry, "fake").status) == ("Acme.Fake 2.0", Status.OK)


# Blocked and missing


def test_blocked(site: Site, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocked plugin is neither imported nor found."""
    monkeypatch.setenv("BACKSCROLL_BLOCK", "other, fake")
    site.plugin("fake", backends("fake"))

    blocked = row(registry, "fake")

    detail = "is blocked: take fake out of the environment variable BACKSCROLL_BLOCK to use it"
    assert (Status.BLOCKED, detail) == (blocked.status, blocked.detail)
    assert f"fake: acme-fake 1.0 {detail}" == refusal(registry.find, "fake")
    assert "plugin_fake" not in sys.modules


def test_list(site: Site, registry: Registry) -> None:
    """The list is sorted and has what is missing of this project."""
    site.plugin("kafka", backends("kafka"))
    site.plugin("zoo", backends("zoo"))

    rows = [(plugin.name, plugin.status.value) for plugin in registry.plugins()]

    missing = ["astra", "cassandra", "mariadb", "mysql", "redis", "rediss", "sqlite", "tidb", "valkey"]
    assert sorted([*((name, "missing") for name in missing), ("kafka", "ok"), ("zoo", "ok")]) == rows


def test_row(site: Site, registry: Registry) -> None:
    """A plugin that is all right says who provides it and what."""
    site.plugin("fake", backends("fake"))

    expected = Plugin(
        name="fake", distribution="acme-fake", version="1.0", module="plugin_fake", backends=(info("fake"),)
    )
    assert expected == row(registry, "fake")


# Resolving


def test_resolve(site: Site, registry: Registry) -> None:
    """Resolving imports the classes of a backend."""
    site.plugin("fake", backends("fake"))
    site.module("driver", DRIVER)

    factory, options = registry.resolve(registry.find("fake"))

    assert (issubclass(factory, Backend), issubclass(options, BackendOptions)) == (True, True)
    assert (factory.__name__, options.__name__) == ("Driver", "Options")


@pytest.mark.parametrize(
    ("paths", "detail"),
    [
        ({"factory": "absent:Driver"}, MISSING_DRIVER),
        ({"factory": "driver:Drive"}, "names driver:Drive, but driver has no Drive"),
        ({"factory": "driver:Options"}, "names driver:Options, which is no subclass of backscroll.backend.Backend"),
        (
            {"options": "driver:Driver"},
            "names driver:Driver, which is no subclass of backscroll.options.BackendOptions",
        ),
        ({"factory": "driver:__name__"}, "names driver:__name__, which is no subclass of backscroll.backend.Backend"),
        (
            {"options": "driver:Plain"},
            "names driver:Plain, which is no attrs class: put @attrs.frozen(kw_only=True) on it",
        ),
        ({"factory": "driver:Half"}, "names driver:Half, which lacks close, ping, setup"),
        ({"factory": ":Driver"}, "is installed, but importing  failed: ValueError: Empty module name"),
    ],
)
def test_unusable_class(site: Site, registry: Registry, paths: dict[str, str], detail: str) -> None:
    """A class that cannot be used is refused when it is resolved."""
    site.plugin("fake", backends("fake", **paths))
    site.module("driver", DRIVER)
    site.module("absent", "import no_such_driver.client")

    assert f"fake: acme-fake 1.0 {detail}" == refusal(registry.resolve, registry.find("fake"))
    assert Status.OK is row(registry, "fake").status
    assert (Status.BROKEN, detail) == (
        row(registry, "fake", strict=True).status,
        row(registry, "fake", strict=True).detail,
    )


def test_cause(site: Site, registry: Registry) -> None:
    """An error says by its cause where an import failed."""
    site.plugin("fake", backends("fake"))
    site.module("driver", "1 / 0")

    with pytest.raises(PluginError) as caught:
        registry.resolve(registry.find("fake"))

    assert ZeroDivisionError is type(caught.value.__cause__)
    assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))


def test_strict(site: Site, registry: Registry) -> None:
    """Strict finds nothing wrong with a whole plugin."""
    site.plugin("fake", backends("fake"))
    site.module("driver", DRIVER)

    assert Status.OK is row(registry, "fake", strict=True).status


# Plugins that the application registers


def test_register(site: Site, registry: Registry) -> None:
    """A registered object may provide a backend until it is unregistered."""
    backend = info("fake")
    plugin = plugin_with(backscroll_backends=lambda: [backend])

    registry.register(plugin)
    found = registry.find("fake")
    registry.unregister(plugin)

    assert backend is found
    assert refusal(registry.find, "fake") == "fake: no plugin serves this scheme: there are "


def test_registered_rows(site: Site, registry: Registry) -> None:
    """A registered object is listed by its class."""
    registry.register(plugin_with(backscroll_backends=lambda: [info("fake")]))
    registry.register(plugin_with(backscroll_servers=lambda: ()))

    expected = [
        Plugin(name="types.SimpleNamespace", backends=(info("fake"),)),
        Plugin(name="types.SimpleNamespace (2)"),
    ]
    assert expected == [plugin for plugin in registry.plugins() if plugin.status is Status.OK]


def test_registered_conflict(site: Site, registry: Registry) -> None:
    """A registered backend and an installed one are a conflict."""
    site.plugin("fake", backends("fake"))
    registry.register(plugin_with(backscroll_backends=lambda: [info("fake")]))

    expected = "fake: acme-fake 1.0 provides fake, and so does types.SimpleNamespace: none is used until one is removed"
    assert expected == refusal(registry.find, "fake")
    assert Status.CONFLICT is row(registry, "types.SimpleNamespace").status


def test_stand_in(site: Site, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered backend may stand in for a blocked or missing one."""
    monkeypatch.setenv("BACKSCROLL_BLOCK", "fake")
    site.plugin("fake", backends("fake"))
    mine = {name: info(name) for name in ("fake", "redis")}
    registry.register(plugin_with(backscroll_backends=lambda: [*mine.values()]))

    assert list(mine.values()) == [registry.find(name) for name in mine]


@pytest.mark.parametrize(
    ("plugin", "detail"),
    [
        (SimpleNamespace(), "implements no hook: mark its functions with backscroll.hookspecs.hookimpl"),
        (
            plugin_with(backscroll_operations=lambda event: None),
            "implements backscroll_operations, which is no hook: did you mean backscroll_operation?",
        ),
        (plugin_with(backscroll_backends=lambda: [1]), "gives int in backscroll_backends: give BackendInfo objects"),
    ],
    ids=["no hook", "misspelt", "rubbish"],
)
def test_register_broken_rule(site: Site, registry: Registry, plugin: Any, detail: str) -> None:
    """Registering what breaks a rule is refused and leaves nothing."""
    before = registry.plugins()

    assert f"types.SimpleNamespace {detail}" == refusal(registry.register, plugin)
    assert before == registry.plugins()


def test_register_twice(site: Site, registry: Registry) -> None:
    """A plugin is registered and unregistered only once."""
    plugin = plugin_with(backscroll_servers=lambda: ())
    registry.register(plugin)

    expected = "types.SimpleNamespace is registered already, or equals a plugin that is"
    assert expected == refusal(registry.register, plugin)
    registry.unregister(plugin)
    assert refusal(registry.unregister, plugin) == "types.SimpleNamespace is not registered"


def test_unregister_installed(site: Site, registry: Registry) -> None:
    """An installed plugin cannot be unregistered."""
    site.plugin("fake", backends("fake"))
    registry.plugins()

    assert refusal(registry.unregister, sys.modules["plugin_fake"]) == "plugin_fake is not registered"
    assert registry.find("fake").name == "fake"


# Observers


def test_no_observer(site: Site, registry: Registry) -> None:
    """There is no observer while nobody observes."""
    site.plugin("fake", backends("fake"))

    assert False is bool(registry.observer())
    assert "plugin_fake" not in sys.modules


def test_installed_observer(site: Site, registry: Registry) -> None:
    """An observer that is installed is loaded with the first store."""
    site.plugin("observer.fake", f"seen = []\n{hook('backscroll_operation(event)', 'seen.append(event)')}")

    registry.observer()(EVENT)

    assert sys.modules["plugin_observer_fake"].seen == [EVENT]


def test_late_observer(site: Site, registry: Registry) -> None:
    """Registering an observer takes effect for stores that are open."""

    @attrs.define
    class Metrics:
        seen: int = 0

        @hookimpl
        def backscroll_operation(self) -> None:
            self.seen += 1

    metrics = Metrics()
    observer = registry.observer()

    observer(EVENT)
    registry.register(metrics)
    during = bool(observer)
    observer(EVENT)
    registry.unregister(metrics)
    observer(EVENT)

    assert (metrics.seen, during, bool(observer)) == (1, True, False)


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
def test_raising_observer(site: Site, registry: Registry, kind: type[BaseException]) -> None:
    """What an observer raises is reported once without its text and stops nobody."""

    def fail(event: OperationEvent) -> None:
        raise kind("secret")

    seen: list[OperationEvent] = []
    registry.register(plugin_with(backscroll_operation=observe(seen)))
    registry.register(plugin_with(backscroll_operation=fail))
    registry.register(plugin_with(backscroll_operation=observe(seen)))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry.observer()(EVENT)
        registry.observer()(EVENT)

    expected = f"the plugin types.SimpleNamespace (2) raised {kind.__name__} in backscroll_operation; this is said once"
    assert [(RuntimeWarning, expected)] == [(warning.category, str(warning.message)) for warning in caught]
    assert seen == [EVENT] * 4


def test_raising_observer_again(site: Site, registry: Registry) -> None:
    """An observer that is registered after another one of its class is reported for itself."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            plugin = plugin_with(backscroll_operation=lambda event: 1 / 0)
            registry.register(plugin)
            registry.observer()(EVENT)
            registry.unregister(plugin)

    assert len(caught) == 2


def test_blocked_observer(site: Site, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observer that is blocked is neither loaded nor reported."""
    monkeypatch.setenv("BACKSCROLL_BLOCK", "observer.fake")
    site.plugin("observer.fake", hook("backscroll_operation(event)", "pass"))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        observer = registry.observer()

    assert (bool(observer), caught) == (False, [])


def test_warnings_as_errors(site: Site, registry: Registry) -> None:
    """A filter that makes warnings errors does not reach the caller."""
    seen: list[OperationEvent] = []
    registry.register(plugin_with(backscroll_operation=observe(seen)))
    registry.register(plugin_with(backscroll_operation=lambda event: 1 / 0))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.observer()(EVENT)

    assert seen == [EVENT]


def test_interrupted_observer(site: Site, registry: Registry) -> None:
    """An interrupt in an observer passes."""

    def interrupt(event: OperationEvent) -> None:
        raise KeyboardInterrupt

    registry.register(plugin_with(backscroll_operation=interrupt))

    with pytest.raises(KeyboardInterrupt):
        registry.observer()(EVENT)


def test_broken_observer(site: Site, registry: Registry) -> None:
    """An observer that cannot be loaded is reported once and stops no store."""
    site.plugin("observer.fake", "raise ValueError('secret')")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry.observer()
        registry.observer()

    expected = (
        "the plugin observer.fake of acme-observer-fake 1.0 is broken, see `backscroll plugins`; this is said once"
    )
    assert [expected] == [str(warning.message) for warning in caught]


# Commands and servers


def test_commands(site: Site, registry: Registry) -> None:
    """Commands come from every plugin and a failure is a line of its own."""
    commands = [click.Command(name) for name in ("vacuum", "same", "same")]
    registry.register(plugin_with(backscroll_commands=lambda: commands[:2]))
    registry.register(plugin_with(backscroll_commands=lambda: commands[2:]))
    registry.register(plugin_with(backscroll_commands=lambda: 1 / 0))
    site.plugin("fake", "1 / 0")

    collected = registry.commands()

    assert tuple(command.name for command in collected.found) == ("vacuum",)
    assert collected.problems == (
        "fake: acme-fake 1.0 is installed, but importing plugin_fake failed: ZeroDivisionError: division by zero",
        "types.SimpleNamespace (3) raised in backscroll_commands: ZeroDivisionError: division by zero",
        "types.SimpleNamespace (2) and types.SimpleNamespace have the same command same, so none is used: remove one",
    )


def test_servers(site: Site, registry: Registry) -> None:
    """Servers come from every plugin and rubbish is a line of its own."""
    spec = ServerSpec(backend="fake", image="fake:1", container_port="{port}", ready="ready", url="fake://")
    site.plugin("fake", backends("fake") + "@hookimpl\ndef backscroll_servers(): return 7")
    registry.register(plugin_with(backscroll_servers=lambda: [spec]))

    collected = registry.servers()

    assert (spec,) == collected.found
    assert collected.problems == (
        "acme-fake 1.0 (plugin_fake) gives int in backscroll_servers: give ServerSpec objects",
    )
