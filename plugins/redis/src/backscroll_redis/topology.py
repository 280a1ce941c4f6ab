"""Where the server of a key is: at the one address there is, at the master that sentinels name, or in a cluster."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from typing import Any, Final

from redis.exceptions import AskError, MovedError

from backscroll.backend import URL
from backscroll.errors import InvalidURL, StorageError, Unavailable
from backscroll_redis.layout import Command, slot_of

Address = tuple[str, int]

PORT: Final = 6379
SENTINEL_PORT: Final = 26379


class Topology(ABC):
    """What is known of where servers are; forgotten as soon as one of them is not as it should be."""

    fails_over: bool = True
    """Whether another server may take over, which may lack what was acknowledged last."""

    question: Command = ()
    """What tells it."""

    mistaken: str = ""
    """What is said where a server does not know the question."""

    def __init__(self, seeds: tuple[Address, ...]) -> None:
        self._seeds: Final = seeds
        self._forgotten = 0

    def seeds(self) -> tuple[Address, ...]:
        """Who may be asked, beginning with another one each time, since one that is cut off tells what was."""
        known = self._known()
        first = self._forgotten % len(known)
        return known[first:] + known[:first]

    def _known(self) -> tuple[Address, ...]:
        return self._seeds

    @abstractmethod
    def address(self, key: bytes) -> Address | None:
        """Where the server of a key is; None where that is not known."""

    @abstractmethod
    def masters(self) -> tuple[Address, ...]:
        """All servers that take writes, as far as they are known."""

    @abstractmethod
    def learn(self, answer: Any, told_by: Address) -> None:
        """Take in an answer to the question.

        Raises:
            Unavailable: It does not say it.
        """

    def forget(self) -> None:
        """What is known may be wrong: ask again, and another one."""
        self._forgotten += 1

    def redirected(self, error: AskError, told_by: Address) -> Address:
        """Where a server sends a command.

        Raises:
            StorageError: It is not expected to.
        """
        raise StorageError("redis: MOVED: the server belongs to a cluster: begin the URL with redis+cluster")


class Standalone(Topology):
    """One server."""

    fails_over = False

    def address(self, key: bytes) -> Address:
        """The one there is."""
        return self._seeds[0]

    def masters(self) -> tuple[Address, ...]:
        """The one there is."""
        return self._seeds

    def learn(self, answer: Any, told_by: Address) -> None:
        """There is nothing to learn."""


class Sentinels(Topology):
    """The master of a service that sentinels watch.

    Args:
        seeds: The sentinels.
        service: The name under which they watch it.
    """

    mistaken = "the server is no sentinel; the port of one is 26379 as a rule"

    def __init__(self, seeds: tuple[Address, ...], service: str) -> None:
        super().__init__(seeds)
        self.question = ("SENTINEL", "get-master-addr-by-name", service)
        self._master: Address | None = None

    def address(self, key: bytes) -> Address | None:
        """The master."""
        return self._master

    def masters(self) -> tuple[Address, ...]:
        """The master."""
        return () if self._master is None else (self._master,)

    def learn(self, answer: Any, told_by: Address) -> None:
        """Take in a host and a port."""
        if answer is None:
            raise Unavailable("redis: the sentinel knows no master by this name: is the path of the URL right?")
        self._master = (answer[0].decode(), int(answer[1]))

    def forget(self) -> None:
        """Ask the next one."""
        super().forget()
        self._master = None


class Cluster(Topology):
    """The masters of a cluster, each with ranges of slots."""

    question: Command = ("CLUSTER", "SLOTS")
    mistaken = "the server is no cluster: begin the URL with redis://"

    def __init__(self, seeds: tuple[Address, ...]) -> None:
        super().__init__(seeds)
        self._ranges: list[tuple[int, int, Address]] = []
        self._once_known: tuple[Address, ...] = ()

    def _known(self) -> tuple[Address, ...]:
        return tuple(dict.fromkeys((*self._seeds, *self._once_known)))

    def address(self, key: bytes) -> Address | None:
        """The master that has the slot of a key."""
        slot, ranges = slot_of(key), self._ranges
        place = bisect_right(ranges, slot, key=lambda one: one[0]) - 1
        return ranges[place][2] if place >= 0 and slot <= ranges[place][1] else None

    def masters(self) -> tuple[Address, ...]:
        """Each master that has slots."""
        return tuple(dict.fromkeys(address for _, _, address in self._ranges))

    def learn(self, answer: Any, told_by: Address) -> None:
        """Take in ranges of slots, each with its master and its replicas."""
        ranges = [(start, end, (_host(master[0]) or told_by[0], master[1])) for start, end, master, *_ in answer]
        if not ranges:
            raise Unavailable("redis: the cluster has no slots yet")
        self._ranges = sorted(ranges)
        self._once_known = self.masters()

    def forget(self) -> None:
        """Ask for all ranges again."""
        super().forget()
        self._ranges = []

    def redirected(self, error: AskError, told_by: Address) -> Address:
        """Where a key is now, or is just being moved to."""
        if isinstance(error, MovedError):
            self.forget()
        return error.host or told_by[0], error.port


def _host(name: bytes | None) -> str:
    """A host; empty where the server knows none of its own, which is to say the one that was asked."""
    return "" if name in (None, b"?") else name.decode()


def located(url: URL) -> tuple[Topology, int]:
    """What a URL says of where servers are, and the number of the database.

    Raises:
        InvalidURL: It names no server, or several where there is one, or no service, or no database.
    """
    match url.scheme.partition("+")[2]:
        case "cluster":
            if url.path not in ("", "/", "/0"):
                raise InvalidURL(f"{url.scheme}: a cluster has no database but 0: leave the path out")
            return Cluster(_seeds(url, PORT, "")), 0
        case "sentinel":
            service, _, database = url.path.removeprefix("/").partition("/")
            if not service:
                raise InvalidURL(f"{url.scheme}: the path is the name that the sentinels have for it, as in /mymaster")
            return Sentinels(_seeds(url, SENTINEL_PORT, "/mymaster"), service), _number(url, database)
    seeds = _seeds(url, PORT, "/0")
    if len(seeds) > 1:
        raise InvalidURL(f"{url.scheme}: name one server; several of a cluster stand behind redis+cluster://")
    return Standalone(seeds), _number(url, url.path.removeprefix("/"))


def _seeds(url: URL, port: int, path: str) -> tuple[Address, ...]:
    if not url.hosts:
        example = f"{url.scheme}://localhost:{port}{path}"
        raise InvalidURL(f"{url.scheme}: name a server, for example {example}, or open redis: with client=")
    return tuple((host.name, host.port or port) for host in url.hosts)


def _number(url: URL, text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise InvalidURL(f"{url.scheme}: the path ends with the number of a database, for example /0")
    return int(text or 0)
