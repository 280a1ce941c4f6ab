#!/bin/sh
# One node. CASSANDRA_COMMITLOG_SYNC=batch makes what it acknowledged survive kill -9; CASSANDRA_AUTHENTICATOR, _SEEDS,
# _LISTEN_ADDRESS, _BROADCAST_RPC_ADDRESS, _NATIVE_TRANSPORT_PORT, _INITIAL_TOKEN and MAX_HEAP_SIZE are what they say.
set -eu
listen=${CASSANDRA_LISTEN_ADDRESS:-$(hostname -i | cut -d' ' -f1)}
authenticator=${CASSANDRA_AUTHENTICATOR:-AllowAllAuthenticator}
case "$authenticator" in
  AllowAllAuthenticator) authorizer=AllowAllAuthorizer ;;
  *) authorizer=CassandraAuthorizer ;;
esac
case "${CASSANDRA_COMMITLOG_SYNC:-periodic}" in
  batch) sync="commitlog_sync: batch" ;;
  *) sync="commitlog_sync: periodic
commitlog_sync_period: 10s" ;;
esac
mkdir -p /etc/cassandra
cat > /etc/cassandra/cassandra.yaml <<END
cluster_name: ${CASSANDRA_CLUSTER_NAME:-tests}
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
num_tokens: 1
initial_token: ${CASSANDRA_INITIAL_TOKEN:-0}
auto_bootstrap: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "${CASSANDRA_SEEDS:-$listen}"
endpoint_snitch: SimpleSnitch
listen_address: $listen
rpc_address: 0.0.0.0
broadcast_rpc_address: ${CASSANDRA_BROADCAST_RPC_ADDRESS:-$listen}
native_transport_port: ${CASSANDRA_NATIVE_TRANSPORT_PORT:-9042}
authenticator: $authenticator
authorizer: $authorizer
$sync
commitlog_segment_size: 8MiB
commitlog_total_space: 64MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
concurrent_compactors: 1
disk_failure_policy: stop
auto_snapshot: false
paxos_variant: v2
END
heap=${MAX_HEAP_SIZE:-768M}
exec java -Xms"$heap" -Xmx"$heap" @/opt/cassandra/jvm.options -cp "/opt/cassandra/lib/*" \
  org.apache.cassandra.service.CassandraDaemon
