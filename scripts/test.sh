#!/usr/bin/env bash
# All tests, against a real Kafka, a real schema registry and a real browser. They are started for the run, on free
# ports, and stopped after it. The first time they are fetched (about three minutes) and everything is built.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --test
scripts/build.sh >/dev/null

# The xtask apart: among the others its dependencies would change the features of theirs, and RocksDB would be built
# once for the binary and once more for the tests.
cargo test --workspace --exclude weir-xtask "$@"
cargo test --package weir-xtask "$@"
