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

# A process for each core, with one thread each; a file's tests stay together, and with them what they share. Files are
# begun in the order that tests/conftest.py gives them.
side_by_side() {
  OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder "$@"
}

case "${1:-}" in
--slow)
  side_by_side -m "not slow"
  side_by_side -m "slow and not alone" "${@:2}"
  python -m pytest -m alone "${@:2}"
  ;;
"") side_by_side -m "not slow" ;;
*) python -m pytest -m "not slow" "$@" ;;
esac
