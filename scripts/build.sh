#!/usr/bin/env bash
# Builds the page, then the binary that holds it. The first time this compiles some 450 crates and RocksDB: 10 to 20
# minutes on two cores. After that it takes seconds.
#
# Ends with the path of the binary on stdout. CARGO_TARGET_DIR is respected.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
[ -e "$target/debug/weir" ] || echo "build: the first build takes 10 to 20 minutes on two cores" >&2
cargo xtask page >&2
cargo build --package weir-server >&2
echo "$target/debug/weir"
