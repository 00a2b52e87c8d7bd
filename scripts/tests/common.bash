# shellcheck shell=bash
# What the script tests share: a PATH of stand-ins that record how they are called.
# Loaded by every .bats file; tests nothing.
# shellcheck disable=SC2154  # bats sets status and output

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup() {
  RECORD="$BATS_TEST_TMPDIR/record"
  ANSWERS="$BATS_TEST_TMPDIR/answers"
  BIN="$BATS_TEST_TMPDIR/bin"
  export RECORD ANSWERS
  : >"$RECORD"
  : >"$ANSWERS"
  mkdir "$BIN"
  # A PATH of its own, so that a docker or kubectl of this machine is never called.
  local tool
  for tool in awk basename bash cat chmod cut date dirname env find grep head id install ldd ln ls mkdir mktemp mv printf readlink rm sed sleep sort tail tr uname xargs; do
    ln -s "$(command -v "$tool")" "$BIN/$tool" 2>/dev/null || true
  done
  PATH="$BIN"
  unset NAMESPACE REGISTRY IMAGE_NAME TAG IMAGE KUBECTL PUSH ARCH TARGET CARGO_PROFILE BINARY BUILDER TIMEOUT CARGO_TARGET_DIR
}

# stand_in NAME...: these programs record and answer.
stand_in() {
  local name
  for name in "$@"; do ln -s "$ROOT/scripts/tests/stand-ins/recorder" "$BIN/$name"; done
}

# answer STATUS PATTERN [OUTPUT]: what a stand-in does when its name and arguments match.
answer() { printf '%s|%s|%s\n' "$1" "$2" "${3:-}" >>"$ANSWERS"; }

# run_script NAME ARGS: like bats' run, by the name of the script.
run_script() {
  local script=$1
  shift
  run "$ROOT/scripts/$script" "$@"
}

assert_status() {
  [ "$status" -eq "$1" ] || {
    echo "exit code $status, wanted $1; output:" >&2
    echo "$output" >&2
    return 1
  }
}

assert_output_has() {
  [[ $output == *"$1"* ]] || {
    echo "the output lacks '$1':" >&2
    echo "$output" >&2
    return 1
  }
}

# assert_calls: the stand-ins were called exactly so (standard input), in this order; input given to them left out.
assert_calls() {
  local wanted got
  wanted=$(cat)
  got=$(grep -v '^  | ' "$RECORD" || true)
  [ "$got" = "$wanted" ] || {
    printf 'calls:\n%s\nwanted:\n%s\n' "$got" "$wanted" >&2
    return 1
  }
}

# assert_given TEXT: some stand-in was given this line of input.
assert_given() {
  grep -qF -- "  | $1" "$RECORD" || {
    printf "no stand-in was given '%s':\n" "$1" >&2
    cat "$RECORD" >&2
    return 1
  }
}

# refute_recorded REGEX: no call and no input of a stand-in matches.
refute_recorded() {
  if grep -nE -- "$1" "$RECORD" >&2; then
    echo "was recorded, and '$1' should not be" >&2
    return 1
  fi
}
