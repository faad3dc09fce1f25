#!/usr/bin/env bash
# Makes the environment that everything else runs in, from the lock.
#
#   ./environment.sh          into the active virtual or conda environment, else into .venv
#   ./environment.sh --test   the same with the test tools
#
# run_all.sh and run_tests.sh read this file and call `use_environment`; nobody needs to run it by hand, except after
# `conda env create -f environment.yml && conda activate dfd`.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "$1" >&2
  exit 1
}

# What an environment was made from: when one of these files changes, it is made up to date.
environment_key() {
  cat "$here/requirements.txt" "$here/requirements-test.txt" "$here/environment.sh" "$here/pyproject.toml" | sha256sum | cut -c1-16
}

find_python() {
  local python
  for python in python3.11 python3 python; do
    if command -v "$python" >/dev/null && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  fail "Python 3.11 was not found; install it (Debian: apt install python3.11 python3.11-venv) or use conda: environment.yml"
}

# install PYTHON [--test]: everything in the lock, then dfdlib itself as it lies here.
install_lock() {
  local python=$1 pip=("$1" -m pip --disable-pip-version-check --quiet)
  local torch build
  torch=$(grep '^torch==' "$here/requirements.txt")
  # fairseq and a few others come as source: what builds them must be there first.
  build=$(grep -E '^(setuptools|wheel|cython|numpy)==' "$here/requirements.txt")
  echo "installing $(grep -c '==' "$here/requirements.txt") packages; this takes a few minutes once" >&2
  # torch brings its own dependencies: its wheel for an ordinary Linux machine needs CUDA packages that no lock made
  # for a CPU lists. All else is exactly the lock.
  "${pip[@]}" install "$torch" || return
  # shellcheck disable=SC2086
  "${pip[@]}" install --no-deps $build || return
  # fairseq's own switch for a build without its C++ extensions, which wav2vec 2.0 does not use.
  READTHEDOCS=1 "${pip[@]}" install --no-deps --no-build-isolation -r "$here/requirements.txt" || return
  if [ "${2:-}" = --test ]; then
    "${pip[@]}" install --no-deps -r "$here/requirements-test.txt" || return
  fi
  "${pip[@]}" install --no-deps --no-build-isolation --editable "$here"
}

# use_environment [--test]: leaves the folder of the environment's programs first on PATH.
use_environment() {
  local prefix=${VIRTUAL_ENV:-${CONDA_PREFIX:-}} needs="dfdlib" key stamp
  [ "${1:-}" = --test ] && needs="dfdlib pytest hypothesis ruff"
  if [ -n "$prefix" ] && [ -x "$prefix/bin/python" ] && "$prefix/bin/python" -c '
import importlib.util, sys
sys.exit(any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))' $needs; then
    export PATH="$prefix/bin:$PATH"
    return
  fi
  prefix=$here/.venv
  key=$(environment_key)
  stamp=$prefix/.made-from
  if [ ! -x "$prefix/bin/python" ]; then
    "$(find_python)" -m venv "$prefix" || fail "a virtual environment could not be made in $prefix; on Debian: apt install python3-venv"
  fi
  if ! grep -qsx "$key${1:-}" "$stamp"; then
    install_lock "$prefix/bin/python" "${1:-}" || fail "the packages could not be installed; see pip's message above, then run this again"
    # An environment with the test tools serves both uses.
    printf '%s\n' "$key" "$key${1:-}" >"$stamp"
  fi
  export VIRTUAL_ENV=$prefix PATH="$prefix/bin:$PATH"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  prefix=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
  if [ -n "$prefix" ]; then
    install_lock "$prefix/bin/python" "${1:-}"
  else
    use_environment "${1:-}"
  fi
  echo "ready: ${prefix:-$here/.venv}"
fi
