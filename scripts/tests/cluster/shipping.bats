#!/usr/bin/env bats
# Renders the kustomize base, its example and the Helm chart, and has a real API server judge them (server-side dry run).
# Nothing is installed; what an installation does is tested by deployment.bats. Helm is not installed for the chart's test: without it
# on PATH (or HELM=FILE) that one is skipped.

bats_require_minimum_version 1.5.0
ROOT=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)
CHART=deployments/helm/ai-storage-scheduler

setup_file() {
  local controlplane cluster="$BATS_FILE_TMPDIR/cluster"
  controlplane=$("$ROOT/scripts/lib/controlplane.sh")
  mkdir "$BATS_FILE_TMPDIR/bin"
  ln -s "$controlplane" "$BATS_FILE_TMPDIR/bin/kubectl"
  export PATH="$BATS_FILE_TMPDIR/bin:$PATH" KUBECONFIG="$cluster/kubeconfig"
  # Not bats' file descriptor 3: it would wait for this program at the end.
  "$controlplane" up "$cluster" >"$BATS_FILE_TMPDIR/controlplane.log" 2>&1 3>&- &
  echo $! >"$BATS_FILE_TMPDIR/pid"
  local limit=$((SECONDS + 60))
  until [ -e "$cluster/ready" ]; do
    ((SECONDS < limit)) || {
      tail "$BATS_FILE_TMPDIR/controlplane.log" >&2
      return 1
    }
    sleep 0.2
  done
  # A dry run makes no namespace and no kind, so those that the others need have to be there.
  kubectl create namespace keti >&2
  kubectl create namespace ai-storage >&2
  kubectl create -f "$ROOT/config/crd/aistorageconfig.yaml" >&2
}

teardown_file() {
  kill "$(cat "$BATS_FILE_TMPDIR/pid")" 2>/dev/null || true
}

setup() { cd "$ROOT" || return 1; }

# objects [FILE...]: the documents one a line, comparable.
objects() { yq -S -c . "$@" | sort; }

is_without() {
  if grep -nE "$1" <<<"$output" >&2; then
    echo "should not be there: $1" >&2
    return 1
  fi
}

is_yq_there() { [[ $(yq --version 2>&1) =~ ^yq\ [0-9] ]] || skip "Debian's yq is not installed"; }

# accepted: the API server takes every document on standard input as it is; unknown fields are faults.
accepted() { kubectl apply --server-side --force-conflicts --dry-run=server --validate=strict -f -; }

@test "the kustomize base is what the deployment script applies, but for the configuration" {
  is_yq_there
  diff <(kubectl kustomize deployments | objects) <(objects config/crd/aistorageconfig.yaml deployments/ai-storage-scheduler.yaml)
}

@test "the API server takes the kustomize base" {
  run accepted < <(kubectl kustomize deployments)
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c ' serverside-applied ' <<<"$output")" -eq "$(kubectl kustomize deployments | grep -c '^kind: ')" ]
}

@test "the kustomize example is in its own namespace throughout, with its image and one replica, and the API server takes it" {
  run kubectl kustomize examples/kustomize
  [ "$status" -eq 0 ]
  [[ $output == *"image: registry.example.com/ai-storage-scheduler:1.0"* ]]
  [[ $output == *"replicas: 1"* ]]
  [ "$(grep -cE '^ +namespace: ai-storage$' <<<"$output")" -ge 6 ]
  is_without '(namespace|name): keti$'
  run accepted <<<"$output"
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "the Helm chart says what the manifest says, takes every value, and the API server takes it" {
  local helm=${HELM:-helm}
  command -v "$helm" >/dev/null || skip "helm is not on PATH"
  is_yq_there
  "$helm" lint --strict "$CHART"
  diff <("$helm" template x "$CHART" -n keti | objects) <(objects deployments/ai-storage-scheduler.yaml | grep -v '"kind":"Namespace"')
  # Helm names the links that it follows on standard error.
  run --separate-stderr "$helm" template x "$CHART" -n ai-storage --include-crds --set image=registry.example.com/s:1 --set replicas=0 \
    --set 'args={--v=4}' --set resources.limits.memory=2Gi --set config.ioAccounting=false
  [ "$status" -eq 0 ]
  local wanted
  for wanted in 'image: registry.example.com/s:1' 'replicas: 0' '- --v=4' 'memory: 2Gi' 'ioAccounting: false'; do
    [[ $output == *"$wanted"* ]] || {
      echo "not in the chart's output: $wanted" >&2
      return 1
    }
  done
  is_without '(namespace|name): keti$'
  run accepted <<<"$output"
  echo "$output"
  [ "$status" -eq 0 ]
}
