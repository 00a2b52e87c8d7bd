#!/usr/bin/env bats
# Runs the quick start as a newcomer would, with the binary that the tests built.
# What the scheduler decides is the e2e tests' business.

ROOT=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)

setup() {
  cd "$ROOT" || return 1
  SCHEDULER="${CARGO_TARGET_DIR:-target}/debug/ai-storage-scheduler"
  AISCHED_CONTROLPLANE=$(./scripts/lib/controlplane.sh)
  # A folder of its own for what it leaves behind, which must be nothing.
  TMPDIR="$BATS_TEST_TMPDIR/left"
  mkdir "$TMPDIR"
  export SCHEDULER AISCHED_CONTROLPLANE TMPDIR
}

# Bats waits for everything that holds its descriptor 3.
quickstart() { "${before[@]}" ./scripts/quickstart.sh "$@" 3>&-; }
before=()

left_behind() { find "$TMPDIR" -mindepth 1; }

@test "ten pods are placed, explained, and everything is cleaned up" {
  run quickstart
  echo "$output"
  [ "$status" -eq 0 ]
  local pod
  for pod in test-gpu-pod test-preprocess-pod load-commoncrawl filter-commoncrawl aggregate-archive train-imagenet evaluate-coco serve-ranker checkpoint-ranker policy-decides; do
    [[ $output == *"$pod"* ]]
  done
  [ -z "$(left_behind)" ]
}

@test "--keep leaves it running, --kubeconfig uses a cluster that is there" {
  run quickstart --keep
  echo "$output"
  [ "$status" -eq 0 ]
  local stop kubeconfig
  stop=$(sed -n 's/^ *\(kill .*\); rm -rf .*$/\1/p' <<<"$output")
  kubeconfig=$(sed -n 's/^ *export KUBECONFIG=\([^ ]*\) .*$/\1/p' <<<"$output")
  [ -r "$kubeconfig" ]
  # The kept scheduler would take the pods of the second run.
  kill "${stop##* }"
  run quickstart --kubeconfig "$kubeconfig"
  echo "$output"
  eval "$stop" 2>/dev/null || true
  [ "$status" -eq 0 ]
  [[ $output == *"using the cluster of $kubeconfig"* ]]
  [[ $output == *"AIStorageConfig 'default' and namespace keti stay"* ]]
}

@test "Ctrl-C cleans up" {
  before=(timeout --signal=INT 3)
  run quickstart
  echo "$output"
  [[ $output == *"stopped; cleaning up"* ]]
  [ -z "$(left_behind)" ]
}

@test "a scheduler that does not start is shown with its log" {
  SCHEDULER="$BATS_TEST_TMPDIR/broken"
  printf '#!/bin/sh\necho "why it failed" >&2\nexit 1\n' >"$SCHEDULER"
  chmod +x "$SCHEDULER"
  run quickstart
  [ "$status" -eq 1 ]
  [[ $output == *"why it failed"* ]]
  [[ $output == *"error: the policy server did not come up"* ]]
  [ -z "$(left_behind)" ]
}

@test "wrong usage exits 2, -h explains" {
  run quickstart --kubeconfig
  [ "$status" -eq 2 ]
  run quickstart --kubeconfig /nowhere
  [ "$status" -eq 2 ]
  [[ $output == *"/nowhere"* ]]
  run quickstart --now
  [ "$status" -eq 2 ]
  run quickstart -h
  [ "$status" -eq 0 ]
  [[ $output == *"--keep"*"--kubeconfig FILE"* ]]
}
