#!/usr/bin/env bash
# Makes dashboard/static/editor.js, the editor of the page /sql, from dashboard/editor: after a change there, or to take
# newer packages (change package.json, then `npm install --package-lock-only` in that folder). Needs Node and the npm
# registry, and nobody else does: the file is checked in. The same input gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../dashboard/editor"

npm ci --ignore-scripts --silent --no-audit --no-fund
node build.mjs
git diff --stat -- ../static/editor.js
