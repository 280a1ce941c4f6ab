"""The way of commands to the servers that have their keys, and the pools of connections to them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis.exceptions import AskError, MovedError

from backscroll.backend import Deadline
from backscroll.errors import BackscrollError, OutcomeUnknown, StorageError, Unavailable
from backscroll_redis.exchange import aask, ask
from backscroll_redis.layout import Command
from backscroll_redis.refusals import UnknownCommand
from backscroll_redis.topology import Address, Topology

HOPS: Final = 5
"""How often a cluster may send a command on."""

ASKING: Final = ("ASKING",)

Keyed = tuple[bytes, Command]
"""A command, and a key by which to find its server."""

Pools = Callable[[Address], Any]
"""Makes a pool of connections to a server."""


class _Pools:
    """A pool for each server.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Pools) -> None:
        self._make: Final = make
        self._made: dict[Address, Any] = {}
        self._making: Final = threading.Lock()

    def __getitem__(self, address: Address) -> Any:
        if (pool := self._made.get(address)) is None:
            with self._making:
                if (pool := self._made.get(address)) is None:
                    pool = self._made[address] = self._make(address)
        return pool

    def taken(self) -> list[Any]:
        """All of them, to be closed."""
        made, self._made = list(self._made.values()), {}
        return made


class _Route:
    def __init__(self, topology: Topology, pools: Pools, seed_pools: Pools | None = None, *, owns: bool = True) -> None:
        self.topology: Final = topology
        self._owns: Final = owns
        self._pools: Final = _Pools(pools)
        self._seed_pools: Final = _Pools(seed_pools or pools)

    def _parts(self, deadline: Deadline) -> list[tuple[Address, float]]:
        """Whom to ask in turn, each with its part of the time that is left when those before it took theirs."""
        seeds = self.topology.seeds()
        return [(seed, 1 / (len(seeds) - number)) for number, seed in enumerate(seeds)]

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Where an answer is lost in the block, the servers may be elsewhere."""
        try:
            yield
        except (Unavailable, OutcomeUnknown):
            self.topology.forget()
            raise

    def _explained(self, error: BackscrollError) -> BackscrollError:
        """A server that does not know the question is another one than the URL says."""
        return StorageError(f"redis: {self.topology.mistaken}") if isinstance(error, UnknownCommand) else error

    def taken(self) -> list[Any]:
        """All pools that are to be closed."""
        if not self._owns:
            return []
        return [*self._pools.taken(), *self._seed_pools.taken()]

    def pool(self, address: Address) -> Any:
        """The pool of connections to a server."""
        return self._pools[address]


class Route(_Route):
    """The way of the sync form.

    Args:
        topology: What is known of where servers are.
        pools: Makes pools of connections to them.
        seed_pools: Makes those to the servers that tell where they are, where these are others.
        owns: Whether the pools are closed with the route.
    """

    def ask(self, key: bytes, commands: Sequence[Command], deadline: Deadline, *, writes: bool = False) -> list[Any]:
        """Send commands to the server that has a key; see `exchange.ask`."""
        return self.ask_at(self.address(key, deadline), commands, deadline, writes=writes)

    def ask_at(
        self, address: Address, commands: Sequence[Command], deadline: Deadline, *, writes: bool = False
    ) -> list[Any]:
        """Send commands to a server, or to where it sends them."""
        sent = commands
        with self._forgetting():
            for _ in range(HOPS):
                try:
                    answers = ask(self._pools[address], sent, deadline, writes=writes)
                    return _answers(answers, commands)
                except AskError as error:
                    address, sent = self.topology.redirected(error, address), _sent_on(error, commands)
            raise _tossed()

    def ask_all(self, keyed: Sequence[Keyed], deadline: Deadline, *, writes: bool = False) -> list[Any]:
        """Send each command to the server that has its key, all commands of a server at once."""
        answers = dict[int, Any]()
        for address, places in _by_server([self.address(key, deadline) for key, _ in keyed]):
            commands = [keyed[place][1] for place in places]
            try:
                with self._forgetting():
                    found = ask(self._pools[address], commands, deadline, writes=writes)
            except AskError:
                self.topology.forget()
                found = [(self.ask(*_alone(keyed[place]), deadline, writes=writes))[0] for place in places]
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(keyed))]

    def address(self, key: bytes, deadline: Deadline) -> Address:
        """Where the server of a key is."""
        if (address := self.topology.address(key)) is None:
            self._learn(deadline)
            address = self.topology.address(key)
        return _known(address)

    def masters(self, deadline: Deadline) -> tuple[Address, ...]:
        """All servers that take writes."""
        if not (masters := self.topology.masters()):
            self._learn(deadline)
            masters = self.topology.masters()
        return masters or (_known(None),)

    def _learn(self, deadline: Deadline) -> None:
        problem: BackscrollError | None = None
        for seed, part in self._parts(deadline):
            try:
                within = Deadline(deadline.remaining() * part)
                [answer] = ask(self._seed_pools[seed], [self.topology.question], within)
                return self.topology.learn(answer, seed)
            except (Unavailable, StorageError) as error:
                problem = self._explained(error)
        raise problem or Unavailable("redis: nobody tells where the servers are")

    def close(self) -> None:
        """Close all connections."""
        for pool in self.taken():
            pool.disconnect()


class AsyncRoute(_Route):
    """The way of the async form, for one event loop.

    Args:
        topology: What is known of where servers are.
        pools: Makes pools of connections to them.
        seed_pools: Makes those to the servers that tell where they are, where these are others.
        owns: Whether the pools are closed with the route.
    """

    async def ask(
        self, key: bytes, commands: Sequence[Command], deadline: Deadline, *, writes: bool = False
    ) -> list[Any]:
        """Send commands to the server that has a key; see `exchange.aask`."""
        return await self.ask_at(await self.address(key, deadline), commands, deadline, writes=writes)

    async def ask_at(
        self, address: Address, commands: Sequence[Command], deadline: Deadline, *, writes: bool = False
    ) -> list[Any]:
        """Send commands to a server, or to where it sends them."""
        sent = commands
        with self._forgetting():
            for _ in range(HOPS):
                try:
                    answers = await aask(self._pools[address], sent, deadline, writes=writes)
                    return _answers(answers, commands)
                except AskError as error:
                    address, sent = self.topology.redirected(error, address), _sent_on(error, commands)
            raise _tossed()

    async def ask_all(self, keyed: Sequence[Keyed], deadline: Deadline, *, writes: bool = False) -> list[Any]:
        """Send each command to the server that has its key, all commands of a server at once."""
        answers = dict[int, Any]()
        for address, places in _by_server([await self.address(key, deadline) for key, _ in keyed]):
            commands = [keyed[place][1] for place in places]
            try:
                with self._forgetting():
                    found = await aask(self._pools[address], commands, deadline, writes=writes)
            except AskError:
                self.topology.forget()
                found = [(await self.ask(*_alone(keyed[place]), deadline, writes=writes))[0] for place in places]
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(keyed))]

    async def address(self, key: bytes, deadline: Deadline) -> Address:
        """Where the server of a key is."""
        if (address := self.topology.address(key)) is None:
            await self._learn(deadline)
            address = self.topology.address(key)
        return _known(address)

    async def masters(self, deadline: Deadline) -> tuple[Address, ...]:
        """All servers that take writes."""
        if not (masters := self.topology.masters()):
            await self._learn(deadline)
            masters = self.topology.masters()
        return masters or (_known(None),)

    async def _learn(self, deadline: Deadline) -> None:
        problem: BackscrollError | None = None
        for seed, part in self._parts(deadline):
            try:
                within = Deadline(deadline.remaining() * part)
                [answer] = await aask(self._seed_pools[seed], [self.topology.question], within)
                return self.topology.learn(answer, seed)
            except (Unavailable, StorageError) as error:
                problem = self._explained(error)
        raise problem or Unavailable("redis: nobody tells where the servers are")

    async def close(self) -> None:
        """Close all connections."""
        for pool in self.taken():
            await pool.disconnect()


def _sent_on(error: AskError, commands: Sequence[Command]) -> Sequence[Command]:
    """What a server gets to which another one sends: while it still takes a key over, it wants to be told."""
    if isinstance(error, MovedError):
        return commands
    return [one for command in commands for one in (ASKING, command)]


def _answers(answers: list[Any], commands: Sequence[Command]) -> list[Any]:
    """The answers to the commands themselves."""
    step = len(answers) // len(commands)
    return answers[step - 1 :: step]


def _alone(keyed: Keyed) -> tuple[bytes, list[Command]]:
    key, command = keyed
    return key, [command]


def _by_server(addresses: Sequence[Address]) -> list[tuple[Address, list[int]]]:
    """Each server with the places of its commands."""
    places: dict[Address, list[int]] = {}
    for place, address in enumerate(addresses):
        places.setdefault(address, []).append(place)
    return list(places.items())


def _tossed() -> Unavailable:
    return Unavailable("redis: the servers of the cluster send the command to each other: do they agree by now?")


def _known(address: Address | None) -> Address:
    if address is None:
        raise Unavailable("redis: nobody knows of a master for these keys: is the cluster complete?")
    return address
