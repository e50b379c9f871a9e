#!/usr/bin/env bash
# Fetches the clients of Confluent's registry that are tried against ours, unless they are there: Confluent's own for
# Python from PyPI; its own and KafkaJS's for Node from the npm registry; its own for Java from Maven Central, where only a
# copy is, in a jar of Flink. (Confluent's jars, and so its serializers for Java, are in its own repository alone.)
# stdout has one line for each of PYTHONPATH, NODE_PATH, CLASSPATH: `NAME=path`.
set -euo pipefail

python_version=2.16.1
node_version=1.10.1
kafkajs_version=4.1.0
flink_version=2.2.0
slf4j_version=2.0.17
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
python=$cache/confluent-python-$python_version
node=$cache/registry-node-$node_version-$kafkajs_version
java=$cache/registry-java-$flink_version

say() { echo "clients: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/clients.lock"
flock 9

if ! [ -d "$python" ]; then
  say "fetching Confluent's client for Python, confluent-kafka $python_version (25 MB, some seconds)"
  rm -rf "$python.new"
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --target "$python.new" \
    "confluent-kafka[avro,schemaregistry]==$python_version" >&2
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
if ! [ -d "$java" ]; then
  say "fetching Confluent's client for Java, in Flink's format $flink_version (23 MB)"
  rm -rf "$java.new"
  for jar in "org.apache.flink:flink-sql-avro-confluent-registry:$flink_version" "org.slf4j:slf4j-api:$slf4j_version" \
    "org.slf4j:slf4j-nop:$slf4j_version"; do
    mvn -q -B -Dstyle.color=never dependency:copy -DoutputDirectory="$java.new" -Dartifact="$jar" >&2
  done
  mv "$java.new" "$java"
fi

echo "PYTHONPATH=$python"
echo "NODE_PATH=$node/node_modules"
echo "CLASSPATH=$java/*"
