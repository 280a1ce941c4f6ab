#!/bin/sh
# A broker that is its own controller. As in the official image, KAFKA_A_B=v sets a.b=v.
set -eu
node=${KAFKA_NODE_ID:-1}
settings=/tmp/server.properties
cat > $settings <<END
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$node@localhost:9093
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093
advertised.listeners=PLAINTEXT://localhost:9092
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=/var/lib/kafka
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
END
# Of two lines for one setting the later one counts.
env | sed -n 's/^KAFKA_//p' | grep -v '^NODE_ID=\|^CLUSTER_ID=\|^HEAP_OPTS=' | while IFS='=' read -r name value; do
  echo "$(echo "$name" | tr 'A-Z_' 'a-z.')=$value" >> $settings
done
set -- java ${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp "/opt/kafka/lib/*"
"$@" kafka.tools.StorageTool format --ignore-formatted --cluster-id "${KAFKA_CLUSTER_ID:-YmFja3Njcm9sbHRlc3RzMQ}" \
  --config $settings
exec "$@" kafka.Kafka $settings
