#!/usr/bin/env bash
# Makes the environment that everything else runs in, from the lock.
#
#   ./environment.sh          into the active virtual or conda environment, else into .venv
#   ./environment.sh --app    the same with what the page of dfd app needs
#   ./environment.sh --test   the same with both and the test tools
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
  cat "$here"/requirements*.txt "$here/environment.sh" "$here/pyproject.toml" | cksum | tr ' ' -
}

# The versions that the lock is for, newest first.
SUPPORTED="3.13 3.12 3.11"

# supports PYTHON [MODULE]: whether it runs, is one of these versions and has the module.
supports() {
  "$1" -c "import ${2:-sys}, sys"'
sys.exit("{}.{}".format(*sys.version_info[:2]) not in sys.argv[1:])' $SUPPORTED 2>/dev/null
}

find_python() {
  local version name path
  for name in $(for version in $SUPPORTED; do echo "python$version"; done) python3 python; do
    # All on PATH, not only the first: pyenv puts a program there that does not run for each version it has.
    while IFS= read -r path; do
      # Debian keeps what makes an environment, ensurepip, in a package of its own.
      if supports "$path" ensurepip; then
        echo "$path"
        return
      fi
    done < <(type -aP "$name")
  done
  fail "no Python ${SUPPORTED// / or } with its venv module was found; install one (Debian: apt install python3 python3-venv) or use conda: environment.yml"
}

# What PREFIX takes on disk, in MB.
megabytes() {
  du -sk "$1" | awk '{ printf "%d\n", $1 / 1024 }'
}

# step TITLE COMMAND...: says what is done, runs pip, says what came with it. Of pip's own lines those are shown that tell
# of a large download, so that a slow line is not taken for a stop; errors and warnings all are.
step() {
  local before began=$SECONDS
  number=$((number + 1))
  before=$(megabytes "$prefix")
  echo "$number/$steps $1" >&2
  PYTHONUNBUFFERED=1 "${@:2}" | grep --line-buffered -E '^ *(Downloading|Using cached) .*\(([0-9]{2,}\.[0-9] M|[0-9.]+ G)B\)' >&2
  [ "${PIPESTATUS[0]}" = 0 ] || return 1
  echo "    $(($(megabytes "$prefix") - before)) MB in $((SECONDS - began)) s" >&2
}

# install_lock PYTHON [--app|--test]: everything in the lock, then dfdlib itself as it lies here.
install_lock() {
  local python=$1 pip=("$1" -m pip --disable-pip-version-check install --progress-bar off)
  local prefix torch build extra extras="" number=0 lock=$here/requirements.txt
  supports "$python" || fail "$python is not Python ${SUPPORTED// / or }, which the lock is for; leave its environment, or make another"
  prefix=$("$python" -c 'import sys; print(sys.prefix)')
  case "${2:-}" in --app) extras="app" ;; --test) extras="app test" ;; esac
  local steps=$((4 + $(wc -w <<<"$extras")))
  torch=$(grep '^torch==' "$lock")
  # fairseq comes as source: what builds it must be there first.
  build=$(grep -E '^(setuptools|wheel|cython|numpy)==' "$lock")
  # torch brings its own dependencies: its wheel for an ordinary Linux machine needs CUDA packages that no lock made
  # for a CPU lists. All else is exactly the lock.
  step "$torch and what it needs" "${pip[@]}" "$torch" || return
  # shellcheck disable=SC2086
  step "what builds fairseq: $(echo $build)" "${pip[@]}" --no-deps $build || return
  # fairseq's own switch for a build without its C++ extensions, which wav2vec 2.0 does not use: no compiler is needed.
  READTHEDOCS=1 step "the $(grep -c == "$lock") packages of requirements.txt" \
    "${pip[@]}" --no-deps --no-build-isolation -r "$lock" || return
  for extra in $extras; do
    step "the $(grep -c == "$here/requirements-$extra.txt") packages of requirements-$extra.txt" \
      "${pip[@]}" --no-deps -r "$here/requirements-$extra.txt" || return
  done
  step "dfdlib as it lies here" "${pip[@]}" --no-deps --no-build-isolation --editable "$here" || return
  echo "done: $(megabytes "$prefix") MB in $prefix ($("$python" -V))" >&2
}

# use_environment [--app|--test]: leaves the folder of the environment's programs first on PATH.
use_environment() {
  local prefix=${VIRTUAL_ENV:-${CONDA_PREFIX:-}} needs="dfdlib" key stamp python
  case "${1:-}" in --app) needs="dfdlib gradio" ;; --test) needs="dfdlib pytest hypothesis ruff" ;; esac
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
    python=$(find_python) || exit 1
    "$python" -m venv "$prefix" || fail "$python could not make an environment in $prefix; see its message above"
  fi
  if ! grep -qsx "$key${1:-}" "$stamp"; then
    install_lock "$prefix/bin/python" "${1:-}" || fail "the packages could not be installed; see pip's message above, then run this again"
    # An environment serves what has less as well.
    printf '%s\n' "$key" "$key${1:-}" >"$stamp"
    [ "${1:-}" != --test ] || printf '%s\n' "$key--app" >>"$stamp"
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
