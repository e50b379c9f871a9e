#!/usr/bin/env bash
# What is checked without running it: format, lints, documentation, the repository's own rules.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cargo fmt --all --check
cargo clippy --workspace --exclude weir-xtask --all-targets --quiet -- -D warnings
cargo clippy --package weir-xtask --all-targets --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude weir-xtask --no-deps --quiet
RUSTDOCFLAGS="-D warnings" cargo doc --package weir-xtask --no-deps --quiet
cargo xtask tidy
