#!/usr/bin/env bash
# The long proof: many seeds of the engine in simulation, kill -9 at many random moments under load, a death at every
# named step, also over Avro files and with dead letters to a topic, three brokers that die in turn, and a page whose cable
# is out for a minute. Prints the lines of the table in docs/reliability.md.
#
#   WEIR_SEEDS  seeds of the simulation (100000)    WEIR_KILLS  kills under load (100)    WEIR_SEED  the first seed (1)
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --test
scripts/build.sh >/dev/null

export WEIR_SEED="${WEIR_SEED:-1}"
WEIR_SEEDS="${WEIR_SEEDS:-100000}" cargo test --workspace --exclude weir-xtask --lib \
  simulated_pipeline -- --nocapture 2>&1 | grep -E 'seeds from|WEIR_SEED|panicked'
WEIR_CABLE_S=60 WEIR_KILLS="${WEIR_KILLS:-100}" cargo test --workspace --exclude weir-xtask --test it -- \
  kills file_sink kafka_sink leaders letters_topic wherever_the_process_died pulled_cable --nocapture --test-threads 1 2>&1 | grep -oE '\| .*|.*panicked.*'
