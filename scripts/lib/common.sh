# shellcheck shell=bash
# What the scripts share: names that the environment can override, messages, exit codes.
# Sourced, never run; does nothing by itself.

EXIT_FAILED=1
EXIT_USAGE=2

: "${NAMESPACE:=keti}"
: "${REGISTRY:=ketidevit2}"
: "${IMAGE_NAME:=keti-ai-storage-scheduler}"
: "${TAG:=latest}"
: "${IMAGE:=${REGISTRY:+$REGISTRY/}$IMAGE_NAME:$TAG}"
: "${KUBECTL:=kubectl}"

# shellcheck disable=SC2034  # used by those who source this
APP=ai-storage-scheduler
# shellcheck disable=SC2034
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE: something went wrong; usage_error MESSAGE: the command line is wrong.
fail() {
  say "error: $*"
  exit "$EXIT_FAILED"
}
usage_error() {
  say "error: $*"
  say "Try '${0##*/} -h'."
  exit "$EXIT_USAGE"
}

# need COMMAND WHY: ends with a clear message when a program is missing.
need() {
  command -v "$1" >/dev/null 2>&1 || fail "'$1' is not on PATH; it is needed $2"
}

# is_count VALUE: true for a whole number that is at least 1.
is_count() { [[ $1 =~ ^[0-9]+$ ]] && ((10#$1 > 0)); }
