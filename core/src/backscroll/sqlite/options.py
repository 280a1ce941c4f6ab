"""The options of ``sqlite://``."""

from typing import Literal

import attrs

from backscroll.backend import BackendOptions, choice, option


@attrs.frozen(kw_only=True)
class SQLiteOptions(BackendOptions):
    """What ``sqlite:///chat.db?…`` takes beside the options of every backend."""

    durability: Literal["server", "process"] = option(
        "server",
        choice("server", "process"),
        "server waits for the disk at every append (synchronous=FULL); process leaves that to the operating system "
        "(synchronous=NORMAL): faster, and a power cut may take the last turns",
    )
