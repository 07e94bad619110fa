# Makes a virtual environment of hashed, pinned packages; sourced by ./apollo and ./dev (POSIX sh, or bash).
#
# A call that finds the environment up to date starts no process at all: it compares times of a few files.

OLDEST_PYTHON="3.11"
PACKAGE_FOLDERS="libs/apollo_client libs/apollo_common libs/apollo_proto libs/apollo_sdk services/coordinator services/worker"

say() { printf '%s\n' "apollo: $*" >&2; }

fail() {
  say "$@"
  exit 1
}

# is_current VENV LOCK...: whether VENV was made from what LOCK... and the packages' pyprojects say now, for this folder.
is_current() {
  stamp=$1/.stamp
  [ -x "$1/bin/python" ] && [ -f "$stamp" ] || return 1
  { IFS= read -r made_at && IFS= read -r made_with && IFS= read -r _; } <"$stamp" || return 1
  [ "$made_at" = "$PWD" ] || return 1
  [ -z "${APOLLO_PYTHON:-}" ] || [ "$made_with" = "$APOLLO_PYTHON" ] || return 1
  shift
  for file in "$@" scripts/environment.sh; do [ "$stamp" -nt "$file" ] || return 1; done
  for folder in $PACKAGE_FOLDERS; do [ "$stamp" -nt "$folder/pyproject.toml" ] || return 1; done
}

digest_of() {
  (for file in "$@" scripts/environment.sh; do cat "$file"; done
  for folder in $PACKAGE_FOLDERS; do cat "$folder/pyproject.toml"; done) | sha256sum | cut -d ' ' -f 1
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < tuple(map(int, sys.argv[1].split("."))))' "$OLDEST_PYTHON" 2>/dev/null
}

# Prints the Python to make environments with: APOLLO_PYTHON, or the newest release that the locks were tried with.
find_python() {
  if [ -n "${APOLLO_PYTHON:-}" ]; then
    is_new_enough "$APOLLO_PYTHON" || fail "APOLLO_PYTHON=$APOLLO_PYTHON is not a Python $OLDEST_PYTHON or newer."
    candidates=$APOLLO_PYTHON
  else
    candidates="python3.13 python3.12 python3.11 python3"
  fi
  lacks_venv=
  for candidate in $candidates; do
    is_new_enough "$candidate" || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
    lacks_venv=${lacks_venv:-$candidate}
  done
  [ -z "$lacks_venv" ] || fail "$lacks_venv has no venv module. On Debian or Ubuntu: apt-get install" \
    "$("$lacks_venv" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  fail "No Python $OLDEST_PYTHON or newer was found. Install one (Debian: apt-get install python3 python3-venv)" \
    "or name it in APOLLO_PYTHON."
}

# tell_uv PYTHON: what pip was told about indexes and certificates holds for uv too.
tell_uv() {
  index=${PIP_INDEX_URL:-$("$1" -m pip config get global.index-url 2>/dev/null)} || index=
  [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
  [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
}

# make_environment VENV LOCK...: from nothing; the stamp comes last, so that a broken attempt is made again.
make_environment() {
  venv=$1
  shift
  python=$(find_python) || exit 1
  say "Making $venv with $("$python" -V 2>&1); this happens once and takes half a minute or more."
  trap 'say "Interrupted. The next call begins anew."; exit 130' INT
  rm -rf "$venv"
  # What it says is kept for its failure: interrupted, it would show a traceback.
  said=$("$python" -m venv "$venv" 2>&1) || fail "Could not make a virtual environment in $PWD/$venv: $said"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    -r requirements/bootstrap.txt || fail "Could not install the installer; pip says why above. Is there a network?"
  tell_uv "$venv/bin/python"
  locks=
  for file in "$@"; do locks="$locks -r $file"; done
  editables=
  for folder in $PACKAGE_FOLDERS; do editables="$editables -e $folder"; done
  # shellcheck disable=SC2086  # both are lists of words
  {
    "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes --no-deps $locks &&
      "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation $editables
  } || fail "Could not install the packages; uv says why above. Try the same command again."
  # Where PYTHONDONTWRITEBYTECODE is set, every start would compile our own sources anew.
  # shellcheck disable=SC2086
  "$venv/bin/python" -m compileall -q $PACKAGE_FOLDERS || say "Could not compile the sources; commands start slower."
  trap - INT
}

# ensure_environment VENV LOCK...: makes VENV, or makes it again when LOCK... or a pyproject changed. Call it in the
# repository's root. Two calls at once: the second waits for the first.
ensure_environment() {
  is_current "$@" && return
  exec 9>"$1.lock"
  flock -n 9 || {
    say "Waiting for another command that prepares $1."
    flock 9
  }
  is_current "$@" && { exec 9>&-; return; }
  environment=$1
  shift
  made_with=
  [ ! -f "$environment/.stamp" ] || { IFS= read -r _ && IFS= read -r made_with; } <"$environment/.stamp" || :
  # A Python that was named once stays chosen, as long as it is there.
  [ -n "${APOLLO_PYTHON:-}" ] || [ -z "$made_with" ] || ! is_new_enough "$made_with" || APOLLO_PYTHON=$made_with
  wanted="$PWD
${APOLLO_PYTHON:-}
$(digest_of "$@")"
  had=$(cat "$environment/.stamp" 2>/dev/null) || had=
  # A checkout touches files without changing them.
  [ "$had" = "$wanted" ] && [ -x "$environment/bin/python" ] || make_environment "$environment" "$@"
  printf '%s\n' "$wanted" >"$environment/.stamp.new" && mv "$environment/.stamp.new" "$environment/.stamp"
  exec 9>&-
}
