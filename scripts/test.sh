#!/usr/bin/env bash
# All tests, against a real Kafka, a real schema registry and a real browser. They are started for the run, on free
# ports, and stopped after it. The first time they are fetched (about three minutes) and everything is built.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --test
scripts/build.sh >/dev/null
exec cargo test --workspace "$@"
