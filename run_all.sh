#!/usr/bin/env bash
# From a fresh clone to the report: makes the environment, builds the data, runs the five notebooks, writes one page.
#
#   ./run_all.sh                                  the demo, in reports/demo/index.html
#   ./run_all.sh --profile original-study         the study's detector and data, once they are in place
#   ./run_all.sh --set finetune.epochs=2 --only 02 --force
#
# Everything after the name is handed to `dfd report`; see `./run_all.sh --help`.
set -euo pipefail
cd "$(dirname "$0")"
source ./environment.sh
use_environment
exec dfd report "$@"
