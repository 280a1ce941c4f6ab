"""Redis servers that belong to a cluster, or are watched by a sentinel, in one container each."""

from backscroll.hookspecs import ServerSpec

READY = "the group is ready"

_CLUSTER = f"""
redis-server --port $PORTS --protected-mode no --daemonize yes --dir /data --cluster-enabled yes --cluster-port 7001 \
  --cluster-announce-ip 127.0.0.1 --appendonly yes
until redis-cli -p $PORTS cluster addslotsrange 0 16383 | grep -q OK; do sleep 0.05; done
until redis-cli -p $PORTS cluster info | grep -q cluster_state:ok; do sleep 0.05; done
echo {READY}
sleep infinity
"""

# The first sentinel wants no password, the second one that of the master.
_WATCHED = f"""
set -- $PORTS
redis-server --port $1 --protected-mode no --daemonize yes --dir /data --requirepass secret --appendonly yes
for port in $2 $3; do
  cat > /data/$port.conf <<END
port $port
bind 0.0.0.0
protected-mode no
sentinel monitor mymaster 127.0.0.1 $1 1
sentinel auth-pass mymaster secret
END
done
echo requirepass secret >> /data/$3.conf
for port in $2 $3; do redis-server /data/$port.conf --sentinel --daemonize yes; done
until redis-cli -p $2 ping | grep -q PONG && redis-cli -p $3 -a secret ping | grep -q PONG; do sleep 0.05; done
echo {READY}
sleep infinity
"""


def _spec(script: str, ports: int) -> ServerSpec:
    return ServerSpec(
        backend="redis",
        url="redis://localhost:{port}",
        image="redis:7",
        command=("sh", "-c", script),
        environment={"PORTS": "{ports}"},
        container_port="{port}",
        ports=ports,
        ready=READY,
    )


CLUSTER = _spec(_CLUSTER, 1)
"""A cluster of one server."""

WATCHED = _spec(_WATCHED, 3)
"""A master and two sentinels, in this order."""
