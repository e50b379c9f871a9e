#!/usr/bin/env bash
# Fetches Flink with what it needs to read Avro from Kafka in SQL, unless it is there. Needs python3 and mvn.
#
# Talk goes to stderr. stdout has one line: `FLINK_HOME=path`. The cache folder is that of scripts/services.sh.
set -euo pipefail

flink_version=2.2.0
kafka_connector_version=5.0.0-2.2

cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
home=$cache/flink-$flink_version

jar() { # jar ARTIFACT FOLDER
  mvn -q -B -Dstyle.color=never dependency:copy -Dartifact="org.apache.flink:$1" -DoutputDirectory="$2" >&2
}

if [ ! -d "$home" ]; then
  echo "flink: fetching Flink $flink_version (about 320 MB)" >&2
  rm -rf "$home.new"
  mkdir -p "$home.new/wheels"
  # One package has the scripts, the other one the jars.
  python3 -m pip download -q --no-deps --disable-pip-version-check --dest "$home.new/wheels" \
    "apache-flink==$flink_version" "apache-flink-libraries==$flink_version" >&2
  for wheel in "$home.new"/wheels/*.whl; do
    python3 -m zipfile -e "$wheel" "$home.new/wheels"
  done
  for folder in bin conf lib opt; do
    mv "$home.new/wheels/pyflink/$folder" "$home.new/$folder"
  done
  rm -r "$home.new/wheels"
  chmod +x "$home.new"/bin/*
  jar "flink-sql-gateway:$flink_version" "$home.new/opt"
  jar "flink-sql-connector-kafka:$kafka_connector_version" "$home.new/lib"
  jar "flink-sql-avro-confluent-registry:$flink_version" "$home.new/lib"
  mv "$home.new" "$home"
fi
echo "FLINK_HOME=$home"
