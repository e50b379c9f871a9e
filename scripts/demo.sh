#!/usr/bin/env bash
# A shop with live numbers: no Kafka and no registry needed.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
weir=$(scripts/build.sh)
exec "$weir" demo "$@"
