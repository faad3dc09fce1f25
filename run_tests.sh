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
if [ "${1:-}" = --slow ]; then
  shift
  exec python -m pytest "$@"
fi
exec python -m pytest -m "not slow" "$@"
