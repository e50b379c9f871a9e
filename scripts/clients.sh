#!/usr/bin/env bash
# Fetches the clients of Confluent's registry that are tried against ours, unless they are there: Confluent's own for
# Python from PyPI, and Kaskade, a console for Kafka that is made with it; its own and KafkaJS's for Node from the npm
# registry; its own for Java from Maven Central, where only copies are: the client in a jar of Flink, the serializers in one
# of Pulsar. (Confluent's jars are in its own repository alone.)
# stdout has one line for each of PYTHONPATH, NODE_PATH, CLASSPATH: `NAME=path`.
set -euo pipefail

python_version=2.16.1
kaskade_version=5.1.0
pyte_version=0.8.2
node_version=1.10.1
kafkajs_version=4.1.0
flink_version=2.2.0
pulsar_version=2.10.2
guava_version=32.0.1-jre
jackson_version=2.19.4
slf4j_version=2.0.17
kafka_version=$(sed -n 's#.*<kafka.version>\(.*\)</kafka.version>.*#\1#p' "$(dirname "$0")/../tests/services/pom.xml")
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
python=$cache/confluent-python-$python_version-kaskade-$kaskade_version
node=$cache/registry-node-$node_version-$kafkajs_version
java=$cache/registry-java-$flink_version
serializers=$cache/serializers-java-$pulsar_version-$kafka_version

say() { echo "clients: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/clients.lock"
flock 9

if ! [ -d "$python" ]; then
  say "fetching Confluent's client for Python, confluent-kafka $python_version, and the console Kaskade $kaskade_version" \
    "(60 MB, some seconds)"
  rm -rf "$python.new"
  python3 -m pip install -q --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore --target "$python.new" \
    "confluent-kafka[avro,json,protobuf,schemaregistry]==$python_version" "kaskade==$kaskade_version" \
    "pyte==$pyte_version" >&2
  mv "$python.new" "$python"
fi
if ! [ -d "$node" ]; then
  say "fetching clients for Node, @confluentinc/schemaregistry $node_version and @kafkajs/confluent-schema-registry" \
    "$kafkajs_version (180 MB with what they need, half a minute)"
  rm -rf "$node.new"
  mkdir -p "$node.new"
  npm install --silent --no-audit --no-fund --prefix "$node.new" "@confluentinc/schemaregistry@$node_version" \
    "@kafkajs/confluent-schema-registry@$kafkajs_version" >&2
  mv "$node.new" "$node"
fi
# jars FOLDER ARTIFACT…
jars() {
  local folder=$1 jar
  shift
  rm -rf "$folder.new"
  for jar in "$@"; do
    mvn -q -B -Dstyle.color=never dependency:copy -DoutputDirectory="$folder.new" -Dartifact="$jar" >&2
  done
  mv "$folder.new" "$folder"
}

if ! [ -d "$java" ]; then
  say "fetching Confluent's client for Java, in Flink's format $flink_version (23 MB)"
  jars "$java" "org.apache.flink:flink-sql-avro-confluent-registry:$flink_version" "org.slf4j:slf4j-api:$slf4j_version" \
    "org.slf4j:slf4j-nop:$slf4j_version"
fi
if ! [ -d "$serializers" ]; then
  say "fetching Confluent's serializers for Java, 7.0.1 in Pulsar's converter $pulsar_version (19 MB with what they need)"
  jars "$serializers" "org.apache.pulsar:kafka-connect-avro-converter-shaded:$pulsar_version" \
    "org.apache.kafka:kafka-clients:$kafka_version" "com.google.guava:guava:$guava_version" \
    "com.google.guava:failureaccess:1.0.1" "com.fasterxml.jackson.core:jackson-databind:$jackson_version" \
    "com.fasterxml.jackson.core:jackson-core:$jackson_version" \
    "com.fasterxml.jackson.core:jackson-annotations:$jackson_version"
fi

echo "PYTHONPATH=$python"
echo "NODE_PATH=$node/node_modules"
echo "CLASSPATH=$java/*:$serializers/*"
