#!/usr/bin/env bash
# Lint, format and tests.
#
#   ./run_tests.sh              all but the slow tests
#   ./run_tests.sh --slow       all of them
#   ./run_tests.sh -k metrics   anything else is handed to pytest
set -euo pipefail
cd "$(dirname "$0")"
source ./environment.sh
use_environment --test
ruff check .
ruff format --check .

# A process for each core, with one thread each; a file's tests stay together, and with them what they share.
fast() {
  OMP_NUM_THREADS=1 python -m pytest -m "not slow" --numprocesses auto --dist loadfile
}

case "${1:-}" in
--slow)
  fast
  # One at a time: some fill the memory, others time out beside company.
  python -m pytest -m slow "${@:2}"
  ;;
"") fast ;;
*) python -m pytest -m "not slow" "$@" ;;
esac
