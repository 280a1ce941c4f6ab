"""Several Redis servers that work together, in one container, and what happens to a writer while one of them ends."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import attrs
import docker

from backscroll import Store
from backscroll.hookspecs import ServerSpec
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running

READY = "the group is ready"

# It ends when it is asked to, and all servers with it; started again, each finds what it had.
SCRIPT = """
set -eu
end() { kill $(cat /data/*/pid); exit; }
trap end TERM
serve() {
  port=$1; shift
  mkdir -p /data/$port
  redis-server --port $port --bind 0.0.0.0 --protected-mode no --daemonize yes --dir /data/$port \
    --pidfile /data/$port/pid --appendonly yes --appendfsync always --repl-diskless-sync-delay 0 "$@"
}
at() { redis-cli -p "$@"; }
until_() { until "$@"; do sleep 0.05; done; }
%s
echo the group is ready
sleep infinity & wait
"""

CLUSTER = """
bus=7000 nodes=
for port in $PORTS; do
  bus=$((bus + 1)) nodes="$nodes 127.0.0.1:$port@$bus"
  serve $port --cluster-enabled yes --cluster-port $bus --cluster-node-timeout 1000 --cluster-announce-ip 127.0.0.1
done
for port in $PORTS; do until_ at $port ping; done
[ -e /data/made ] || redis-cli --cluster create $nodes --cluster-replicas $REPLICAS --cluster-yes
touch /data/made
is_whole() {
  at $1 cluster info | grep -q cluster_state:ok && [ "$(at $1 cluster nodes | grep -c slave)" = $((REPLICAS * 3)) ]
}
for port in $PORTS; do until_ is_whole $port; done
is_synced() { ! at $1 info replication | grep -q master_link_status:down; }
for port in $PORTS; do until_ is_synced $port; done
"""

SENTINEL = """
set -- $PORTS
for port in $1 $2; do serve $port --masterauth s3cret --requirepass s3cret; done
until_ at $2 -a s3cret replicaof 127.0.0.1 $1
is_linked() { at $1 -a s3cret info replication | grep -q master_link_status:up; }
until_ is_linked $2
cat > /data/sentinel.conf <<END
port $3
bind 0.0.0.0
protected-mode no
requirepass guard
user reader on >peek allcommands allchannels
sentinel monitor chats 127.0.0.1 $1 1
sentinel auth-pass chats s3cret
sentinel down-after-milliseconds chats 500
sentinel failover-timeout chats 5000
END
redis-server /data/sentinel.conf --sentinel --daemonize yes
is_known() { at $1 -a guard sentinel replicas chats | grep -q 127.0.0.1:$2; }
until_ is_known $3 $2
"""


def spec(script: str, url: str, ports: int, **environment: str) -> ServerSpec:
    """How a group is started."""
    return ServerSpec(
        backend="redis",
        url=url,
        image="redis:7",
        command=("sh", "-c", SCRIPT % script),
        environment={"PORTS": "{ports}", **environment},
        container_port="{port}",
        ports=ports,
        ready=READY,
    )


THREE_MASTERS = spec(CLUSTER, "redis+cluster://localhost:{port}", 3, REPLICAS="0")
WITH_REPLICAS = spec(CLUSTER, "redis+cluster://localhost:{port}", 6, REPLICAS="1")
WATCHED = spec(SENTINEL, "", 3)
"""A master, its replica and a sentinel, in this order."""


@attrs.frozen
class Group:
    """Servers in a container.

    Args:
        server: The container.
    """

    server: Server

    @property
    def url(self) -> str:
        """What opens it."""
        return self.server.url

    @property
    def ports(self) -> tuple[int, ...]:
        """Where the servers listen, inside and outside."""
        return self.server.published

    def run(self, script: str) -> None:
        """Run a script of the shell beside them."""
        with closing(docker.from_env()) as engine:
            status, output = engine.containers.get(self.server.container).exec_run(["sh", "-ec", script])
        assert status == 0, output.decode()

    def wait_for_keys(self, count: int, ports: Sequence[int], auth: str = "") -> None:
        """Wait until servers have so many keys together, since what a replica lacks yet is lost with its master."""
        each = " ".join(f"$(redis-cli -p {port} {auth} dbsize)" for port in ports)
        self.run(
            f"while sum=0; for one in {each}; do sum=$((sum + one)); done; [ $sum != {count} ]; do sleep 0.05; done"
        )

    def kill(self, port: int) -> None:
        """End the server at a port at once."""
        self.run(f"kill -9 $(cat /data/{port}/pid)")


@contextmanager
def started(spec: ServerSpec) -> Iterator[Group]:
    """A group of servers, which ends with the block."""
    with running(spec) as server:
        yield Group(server)


@attrs.define
class Written:
    """What a writer had acknowledged, each text with the time at which that was."""

    texts: list[str] = attrs.Factory(list)
    times: list[float] = attrs.Factory(list)


def write_through(store: Store, event: Callable[[], None], seconds: float = 30) -> tuple[Written, float]:
    """Append turn after turn while something happens, until some are acknowledged after it; gives when it happened."""
    written, stop, problems = Written(), threading.Event(), list[Exception]()

    def write() -> None:
        number = 0
        try:
            while not stop.is_set():
                store.append("s", {"role": "user", "content": f"{number}"})
                written.texts.append(f"{number}")
                written.times.append(time.monotonic())
                number += 1
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            problems.append(error)

    def wait_for(count: int) -> None:
        end = time.monotonic() + seconds
        while len(written.texts) < count and not problems:
            assert time.monotonic() < end, "the writer did not go on"
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(50)
        happened = time.monotonic()
        event()
        before = len(written.texts)
        wait_for(before + 50)
    finally:
        stop.set()
        writer.join()
    assert not problems, problems
    return written, happened


def check_kept(written: Written, happened: float, found: list[str], moment: float = 1.0) -> None:
    """What was read is in order and without doubles; what is missing was acknowledged just before it happened."""
    numbers = [int(text) for text in found]
    assert numbers == sorted(set(numbers))
    for text, when in zip(written.texts, written.times, strict=True):
        assert text in found or happened - moment < when < happened + moment, f"{text} was lost"
