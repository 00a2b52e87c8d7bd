#!/usr/bin/env bash
# Asks the real kube-scheduler and ours the same over generated scenarios, and prints how far they agree, family by family.
# Builds what it needs; what is compared and how is in README.md.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib/common.sh"

usage() {
  cat <<EOF
Compares the AI Storage Scheduler, its own plugins switched off, with the real kube-scheduler over generated scenarios.

usage: conformance/${0##*/} [--cluster] [--family NAME]... [--scenarios N] [--seed N] [--output table|json|tap] [--folder DIR]
       conformance/${0##*/} --replay FILE

  --cluster          both as they are, on a real API server, instead of in one process
  --family NAME      only this family; a wrong name lists all          [all]
  --scenarios N      scenarios of each family                          [400]
  --seed N           another seed, other scenarios                     [1]
  --output FORMAT    table, json for one object, tap for a test run    [table]
  --folder DIR       where disagreements are written, a file each      [target/conformance]
  --replay FILE      ask again about a disagreement; prints both answers
  -h, --help         this text

environment:
  AISCHED_CONTROLPLANE   use this control plane binary and build none

exit codes: 0 they agree everywhere, 1 they do not, 2 something failed or wrong usage
EOF
}

case "${1:-}" in
  -h | --help)
    usage
    exit 0
    ;;
esac

need cargo "to build the comparison (https://rustup.rs)"
cargo build --quiet --manifest-path "$ROOT/Cargo.toml" --package aisched-conformance --package ai-storage-scheduler >&2 ||
  fail "the comparison could not be built"
AISCHED_CONTROLPLANE=$("$ROOT/scripts/lib/controlplane.sh") || fail "the control plane could not be built"
target="${CARGO_TARGET_DIR:-$ROOT/target}/debug"
export AISCHED_CONTROLPLANE AISCHED_BIN="$target/ai-storage-scheduler"
exec "$target/aisched-conformance" --controlplane "$AISCHED_CONTROLPLANE" "$@"
