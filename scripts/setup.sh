#!/usr/bin/env bash
# Installs what building needs and is missing: some Debian packages and the wasm target of Rust.
#
#   scripts/setup.sh          for building and the demo
#   scripts/setup.sh --test   for the tests too: a browser, Kafka and a schema registry as jars, clients of registries
#
# Does nothing, and takes a moment, where all is there. Needs rustup; packages need root or sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }

install() {
  [ "$#" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    say "please install: $*"
    exit 1
  fi
  say "installing $* (one to three minutes)"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >&2
}

if ! command -v rustup >/dev/null; then
  say "rustup is missing: see https://rustup.rs"
  exit 1
fi

missing=()
has() { command -v "$1" >/dev/null || missing+=("$2"); }
has make make
has pkg-config pkg-config
# RocksDB's C++ is compiled by clang, several times faster than by g++; bindgen reads headers with libclang.
has clang++ clang
ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 || missing+=(libclang-dev)
# TLS of librdkafka and of the registry client.
pkg-config --exists openssl 2>/dev/null || missing+=(libssl-dev)
if [ "${1:-}" = --test ]; then
  has chromium chromium
  has node nodejs
  # Debian's nodejs comes without it, others' with it.
  has npm npm
  has mvn maven
  has javac openjdk-17-jdk-headless
  python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
fi
install "${missing[@]}"

toolchain=$(rustup show active-toolchain 2>/dev/null || true)
if [ -z "$toolchain" ]; then
  say "installing the Rust toolchain of rust-toolchain.toml (about a minute)"
  rustup toolchain install >&2
fi
if ! rustup target list --installed | grep -qx wasm32-unknown-unknown; then
  say "installing the wasm target (a few seconds)"
  rustup target add wasm32-unknown-unknown >&2
fi

if [ "${1:-}" = --test ]; then
  scripts/services.sh >/dev/null
  scripts/browser.sh >/dev/null
  scripts/clients.sh >/dev/null
fi
