"""The options of ``reference://`` and ``faulty://``."""

from typing import Any

import attrs

from backscroll.backend import BackendOptions, option


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return value


@attrs.frozen(kw_only=True)
class ReferenceOptions(BackendOptions):
    """What ``reference:///folder/db?…`` takes."""

    password: str = option("", _text, "a password that nobody asks for, so that its secrecy can be tested", secret=True)


@attrs.frozen(kw_only=True)
class FaultyOptions(ReferenceOptions):
    """What ``faulty:///folder/db?fault=…`` takes."""

    fault: str = option("", _text, "the name of the fault, as `backscroll_faulty.faults.FAULTS` has it")
