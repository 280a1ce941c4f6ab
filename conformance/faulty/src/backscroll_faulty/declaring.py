"""Faults in what is declared."""

from typing import Any

from backscroll.backend import URL, Capability, declare, unsupported
from backscroll.hookspecs import BackendInfo
from backscroll_faulty.fault import fault
from backscroll_faulty.reference import Reference


@fault("works_undeclared", caught_by=" ".join(f"CAP-{number:03}" for number in range(1, 10)))
class Undeclared(Reference):
    """Declares everything as unsupported that it does."""

    def __init__(self, declared: BackendInfo, url: URL, options: Any) -> None:
        super().__init__(declared, url, options)
        self.capabilities = declare({one: unsupported("nobody wrote it down") for one in Capability})
