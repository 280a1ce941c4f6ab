"""The real servers that the blocks of a page talk to.

A page says ``<!-- localhost:6379 is a redis -->``, which no reader sees. Its blocks name that address, as users would,
and reach a server in a container that is started for them; a page is skipped where none can run, unless the environment
variable ``BACKSCROLL_SERVERS=required`` makes that a failure.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from sybil import Document, Example, Region
from sybil.region import Lexeme

from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running, spec_of

Evaluator = Callable[[Example], str | None]

_SAID: Final = re.compile(r"^<!-- (?P<place>localhost:\d+) is a (?P<backend>\w+) -->$", re.MULTILINE)

_KEPT: Final = "_servers"
"""Where a document's namespace has its servers, and what ends them."""


def on_servers(parser: Callable[[Document], Iterable[Region]]) -> Callable[[Document], Iterable[Region]]:
    """A parser whose regions are evaluated on the servers that their document names."""

    def parse(document: Document) -> Iterable[Region]:
        places = _SAID.findall(document.text)
        for region in parser(document):
            if places and region.evaluator:
                region.evaluator = partial(_evaluated, region.evaluator, places)
            yield region

    return parse


def _evaluated(evaluator: Evaluator, places: list[tuple[str, str]], example: Example) -> str | None:
    for place, backend in places:
        port = _server(example.namespace, backend).published[0]
        text = example.parsed
        if isinstance(text, Lexeme):
            moved = re.sub(rf"{place}(?!\d)", f"localhost:{port}", text)
            example.parsed = Lexeme(moved, text.offset, text.line_offset)
    return evaluator(example)


def _server(namespace: dict[str, Any], backend: str) -> Server:
    """The server of a backend, started once for a document."""
    running_here, stack = namespace.setdefault(_KEPT, ({}, ExitStack()))
    if backend not in running_here:
        running_here[backend] = stack.enter_context(running(spec_of(backend)))
    server: Server = running_here[backend]
    return server


def end_servers(namespace: dict[str, Any]) -> None:
    """End those of a document."""
    _, stack = namespace.pop(_KEPT, ({}, ExitStack()))
    stack.close()
