#!/usr/bin/env bash
# Finds what the browser test drives: Debian's Chromium, and playwright-core from the npm registry (no browser of its
# own). stdout has one line for each of CHROMIUM, NODE_MODULES: `NAME=path`.
set -euo pipefail

playwright_version=1.64.1
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
folder=$cache/playwright-$playwright_version

say() { echo "browser: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/browser.lock"
flock 9

if ! chromium=$(command -v chromium); then
  say "chromium is missing: scripts/setup.sh --test installs it"
  exit 1
fi
if ! [ -d "$folder" ]; then
  say "fetching playwright-core $playwright_version (a few seconds)"
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  npm install --silent --no-audit --no-fund --prefix "$folder.new" "playwright-core@$playwright_version" >&2
  mv "$folder.new" "$folder"
fi

echo "CHROMIUM=$chromium"
echo "NODE_MODULES=$folder/node_modules"
