"""A backend whose plugin does at its import what it should leave to the first use."""

import sqlite3
import time
from collections.abc import Iterable

from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll_faulty.plugin import described

time.sleep(0.4)
DRIVER = sqlite3.sqlite_version


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``slowly://``, which is correct but for this module."""
    yield described("slowly", "reference:Reference", "ReferenceOptions")


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """A file in a folder."""
    yield ServerSpec(backend="slowly", url="slowly:///{folder}/db")
