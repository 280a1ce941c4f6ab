"""SQLite with a planted fault, as a plugin of its own that this process and others find."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backscroll.registry import register, registry, unregister
from backscroll_conformance.clauses import Clause, Form
from backscroll_conformance.outcomes import Outcome
from backscroll_conformance.running import judge
from backscroll_conformance.target import EFFORTS, Effort, Target

URL = "planted:///{folder}/chat.db"

PLUGIN = """
import attrs
from backscroll.backend import declare, unsupported, Capability
from backscroll.hookspecs import hookimpl
from backscroll.sqlite import plugin as sqlite

LACKS, LIMITS = (), {}

@hookimpl
def backscroll_backends():
    (info,) = sqlite.backscroll_backends()
    lacking = {Capability[name]: unsupported("left out") for name in LACKS}
    capabilities = {**info.capabilities, **lacking}
    yield attrs.evolve(
        info,
        name="planted",
        schemes=("planted",),
        factory="planted_backend:Planted",
        capabilities=capabilities,
        limits=attrs.evolve(info.limits, **LIMITS),
    )
"""

BACKEND = """
import os, threading, time
from uuid import uuid4
import attrs
from backscroll.backend import Appended, Page, SessionPage, Unsupported
from backscroll.errors import *
from backscroll.sqlite.backend import SQLiteBackend

class Planted(SQLiteBackend):
    def __init__(self, *given):
        super().__init__(*given)
        self.lock, self.state = threading.Lock(), {}

"""


@contextmanager
def planted(folder: Path, fault: str, *, plugin: str = "", elsewhere: bool = False) -> Iterator[Target]:
    """A target whose backend has a fault.

    Args:
        folder: Where its modules go.
        fault: Methods of a subclass of `SQLiteBackend`, indented by 4.
        plugin: More lines of the plugin's module.
        elsewhere: Whether other processes find it, too, by an entry point.
    """
    registry.find("sqlite")  # what is installed is looked up once; this plugin is registered beside it
    (folder / "planted_plugin.py").write_text(PLUGIN + plugin, encoding="utf-8")
    (folder / "planted_backend.py").write_text(BACKEND + (fault or "    pass\n"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        if elsewhere:
            info = folder / "planted-1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1\n", encoding="utf-8")
            (info / "entry_points.txt").write_text("[backscroll.plugins]\nplanted = planted_plugin\n", encoding="utf-8")
            patch.setenv("PYTHONPATH", str(folder))
        module = importlib.import_module("planted_plugin")
        register(module)
        try:
            yield Target(backend="planted", url=URL)
        finally:
            unregister(module)
            for name in ("planted_plugin", "planted_backend"):
                sys.modules.pop(name, None)


def judged(clause: Clause, target: Target, form: Form = Form.SYNC, *, seed: int = 1, effort: Effort | str) -> Outcome:
    """What comes of a clause."""
    return judge(clause, form, target, seed, EFFORTS[effort] if isinstance(effort, str) else effort)
