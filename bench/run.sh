#!/usr/bin/env bash
# Runs kube-scheduler and ours in turn on one real control plane and workload, and prints throughput, CPU and memory of each.
# Builds what it needs and starts the bench; what is measured and how is in README.md.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib/common.sh"

usage() {
  cat <<EOF
Runs kube-scheduler and the AI Storage Scheduler in turn, round by round, on the same control plane and workload.

usage: bench/${0##*/} --report [FLAG...]
       bench/${0##*/} [--nodes N] [--pods N] [--bound N] [--rounds N] [--workload A,B | --all] [--schedulers A,B] [--output table|json] [--timeout S]

  --report          ten workloads on 5,000 nodes, 1,000 pods, three rounds of kube-scheduler, ours and the null binder; the table and
                    plots go to bench/RESULTS.md and bench/plots, anew after every workload: about half an hour on two idle cores, by reckoning.
                    One that fails is named, and the others are measured all the same. Other flags may follow
  --nodes N         nodes                                            [500]
  --pods N          pods, or as many as the nodes take of a workload [1000]
  --bound N         small pods that have nodes before any scheduler starts: for memory and cold start   [0]
  --rounds N        counted runs of each scheduler                   [3]
  --workload A,B    basic, ai, node-affinity, pod-affinity, pod-anti-affinity, preferred-pod-anti-affinity, spread,
                    preferred-spread, csi-volumes, in-tree-volumes, unschedulable   [basic]
  --all             every workload, one after another
  --schedulers A,B  kube-scheduler, ours, ours-plain (AI plugins off), null-binder   [all]
  --output FORMAT   table, or json: one object for each workload     [table]
  --timeout S       seconds that all pods may take to be bound       [300]
  -h, --help        this text

environment:
  SCHEDULER            use this ai-storage-scheduler binary; only the bench is built
  AISCHED_CONTROLPLANE use this control plane binary and build none

Ctrl-C stops everything that was started. Progress goes to stderr, the result to stdout.
exit codes: 0 measured, and every run placed every pod rightly; 1 failed; 2 wrong usage
EOF
}

case "${1:-}" in
  -h | --help)
    usage
    exit 0
    ;;
esac

need cargo "to build the scheduler and the bench (https://rustup.rs)"
packages=(--package aisched-bench)
if [ -n "${SCHEDULER:-}" ]; then
  [ -x "$SCHEDULER" ] || fail "SCHEDULER=$SCHEDULER is no executable file"
else
  packages+=(--package ai-storage-scheduler)
fi
say "building (the first time takes some minutes)"
cargo build --release --manifest-path "$ROOT/Cargo.toml" "${packages[@]}" >&2 || fail "the programs could not be built"
target="${CARGO_TARGET_DIR:-$ROOT/target}/release"
controlplane=$("$ROOT/scripts/lib/controlplane.sh") || fail "the control plane could not be built"

if [ "${1:-}" = --report ]; then
  shift
  command="bench/run.sh --report${*:+ $*}"
  set -- --nodes 5000 --pods 1000 --rounds 3 --schedulers kube-scheduler,ours,null-binder \
    --workload basic,csi-volumes,in-tree-volumes,pod-affinity,pod-anti-affinity,preferred-pod-anti-affinity,node-affinity,spread,preferred-spread,unschedulable \
    --report "$ROOT/bench/RESULTS.md" \
    --title "$(date -u +%F), commit $(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo unknown), load average $(cut -d' ' -f1 /proc/loadavg) at the start: \`$command\`" "$@"
fi

exec "$target/aisched-bench" compare --controlplane "$controlplane" --scheduler "${SCHEDULER:-$target/ai-storage-scheduler}" \
  --crd "$ROOT/config/crd/aistorageconfig.yaml" "$@"
