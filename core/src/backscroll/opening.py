"""`open` and `open_admin`: from a URL to a store."""

from typing import Any

from backscroll.admin import Admin
from backscroll.backend import Backend
from backscroll.options import fill
from backscroll.registry import registry
from backscroll.store import Store
from backscroll.url import parse_url


def open(url: str, **options: Any) -> Store:  # noqa: A001 - it is called backscroll.open
    """Open a store; it connects at its first operation, not here.

    Args:
        url: Names the database: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``redis://host:6379/0``;
            ``redis:`` alone with a client brought along; or ``env:NAME`` for a URL in an environment variable.
        **options: The options of the backend; they win over those in the URL. The team's own client, such as
            ``client=``, ``session=`` or ``engine=``, is used and never closed.

    Raises:
        InvalidURL: The URL cannot be read.
        PluginError: No usable plugin serves its scheme; says what to install or to mend.
        InvalidOption: An option does not exist, or its value is wrong.

    Example:
        >>> import backscroll
        >>> with backscroll.open("sqlite://", timeout=5) as store:
        ...     store.version("chat-1")
        0
    """
    return Store(_backend(url, options), registry.observer())


def open_admin(url: str, **options: Any) -> Admin:
    """Open a store for those who run it; the same as `open`, and observers are told nothing.

    Args:
        url: As for `open`.
        **options: As for `open`.

    Raises:
        BackscrollError: As `open`.
    """
    return Admin(_backend(url, options))


def _backend(url: str, options: dict[str, Any]) -> Backend:
    parsed = parse_url(url)
    declared = registry.find(parsed.scheme)
    factory, options_class = registry.resolve(declared)
    return factory(declared, parsed, fill(options_class, parsed.scheme, parsed.query, options))
