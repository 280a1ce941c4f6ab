"""Where the database under test is, where nobody gives a URL."""

import os

from backscroll.errors import PluginError
from backscroll.registry import registry
from backscroll_conformance.target import Target


def find_target(backend: str, url: str | None = None, options: dict[str, object] | None = None) -> Target:
    """The database to be tested.

    Args:
        backend: The name of the backend.
        url: Its URL, or ``env:NAME``; where it is None, the plugin's own `ServerSpec` says it.
        options: Options beside those in the URL.

    Raises:
        PluginError: No plugin provides the backend, or nobody says where the database is.
    """
    if url is not None and url.startswith("env:"):
        url = os.environ.get(url.removeprefix("env:"), url)
    if url is None:
        specs = [spec for spec in registry.servers().found if spec.backend == backend]
        embedded = [spec.url for spec in specs if not spec.image]
        if not embedded:
            registry.find(backend)
            reason = "its server has to be running" if specs else "its plugin gives no ServerSpec"
            raise PluginError(f"{backend}: say where the database is with a URL: {reason}")
        url = embedded[0]
    return Target(backend=backend, url=url, options=options or {})
