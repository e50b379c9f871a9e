#!/usr/bin/env bash
# Finds what the browser tests drive: Debian's Chromium, and from the npm registry playwright-core (no browser of its own)
# and axe-core (rules of accessibility). stdout has one line for each of CHROMIUM, NODE_MODULES: `NAME=path`.
set -euo pipefail

playwright_version=1.64.1
axe_version=4.14.1
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
folder=$cache/browser-$playwright_version-$axe_version

say() { echo "browser: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/browser.lock"
flock 9

if ! chromium=$(command -v chromium); then
  say "chromium is missing: scripts/setup.sh --test installs it"
  exit 1
fi
if ! [ -d "$folder" ]; then
  say "fetching playwright-core $playwright_version and axe-core $axe_version (a few seconds)"
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  npm install --silent --no-audit --no-fund --prefix "$folder.new" "playwright-core@$playwright_version" \
    "axe-core@$axe_version" >&2
  mv "$folder.new" "$folder"
fi

echo "CHROMIUM=$chromium"
echo "NODE_MODULES=$folder/node_modules"
