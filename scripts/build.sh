#!/usr/bin/env bash
# Builds the page, then the binary that holds it. The first time this compiles some 450 crates and RocksDB: 10 to 20
# minutes on two cores. After that it takes seconds.
#
# Ends with the path of the binary on stdout. CARGO_TARGET_DIR is respected.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
if [ ! -e "$target/debug/weir" ]; then
  echo "build: the first build takes 10 to 20 minutes on two cores" >&2
  mkdir -p "$target"
  free_gb=$(($(df -Pk "$target" | awk 'NR == 2 { print $4 }') / 1048576))
  [ "$free_gb" -ge 13 ] || echo "build: only $free_gb GB are free in $target; with tests and checks it takes up to 12" >&2
fi
cargo xtask page >&2
cargo build --package weir-server >&2
echo "$target/debug/weir"
