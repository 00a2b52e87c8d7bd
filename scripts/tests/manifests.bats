#!/usr/bin/env bats
# Checks the manifests without a cluster: what must be in them, and what must not; and the documents that go with them.
# Whether the API server takes them is tested in cluster/.
# shellcheck disable=SC2016  # jq's variables are meant

load common

DEPLOYMENT=deployments/ai-storage-scheduler.yaml

setup_file() {
  # Debian's yq speaks jq; another program of that name does not.
  [[ $(yq --version 2>&1) =~ ^yq\ [0-9] ]] || skip "Debian's yq is not installed"
}

setup() { cd "$ROOT" || return 1; }

# facts FILE KIND JQ: prints what JQ says of the documents of that kind.
facts() { yq -r --arg kind "$2" 'select(.kind == $kind) | '"$3" "$1"; }

@test "the Deployment is what the guide's commands look for" {
  [ "$(facts $DEPLOYMENT Deployment '[.metadata.name, .metadata.namespace, .spec.template.metadata.labels.app, .spec.selector.matchLabels.app] | join(" ")')" = \
    "ai-storage-scheduler keti ai-storage-scheduler ai-storage-scheduler" ]
  [ "$(facts $DEPLOYMENT Deployment '.spec.template.spec.containers[] | [.image, .args[0]] | join(" ")')" = \
    "ketidevit2/keti-ai-storage-scheduler:latest run" ]
}

@test "the scheduler runs with no more rights on its node than it needs" {
  [ "$(facts $DEPLOYMENT Deployment '.spec.template.spec | [
      .securityContext.runAsNonRoot, .securityContext.seccompProfile.type,
      (.containers[] | .securityContext | .readOnlyRootFilesystem, .allowPrivilegeEscalation, .capabilities.drop[])] | map(tostring) | join(" ")')" = \
    "true RuntimeDefault true false ALL" ]
}

@test "probes ask the secure port" {
  [ "$(facts $DEPLOYMENT Deployment '.spec.template.spec.containers[] | .ports[0].containerPort as $port
      | (.startupProbe, .livenessProbe, .readinessProbe) | .httpGet | "\(.scheme) \(.port) \($port) \(.path)"')" = \
    "$(printf '%s\n' 'HTTPS https 10259 /healthz' 'HTTPS https 10259 /healthz' 'HTTPS https 10259 /readyz')" ]
}

@test "resources are requested and memory is limited" {
  [ "$(facts $DEPLOYMENT Deployment '.spec.template.spec.containers[].resources | [.requests.cpu, .requests.memory, .limits.memory] | all')" = true ]
}

@test "the permissions are those that SECURITY.md gives reasons for, and no more" {
  local rows='.rules[]? | select(.resources) | "| \(.apiGroups | map(if . == "" then "core" else . end) | join(", ")) | \(.resources + (.resourceNames // [] | map("named " + .)) | join(", ")) | \(.verbs | join(", ")) |"'
  diff <(facts $DEPLOYMENT ClusterRole "$rows" && facts $DEPLOYMENT Role "$rows") \
    <(sed -nE 's/^(\| [a-z0-9., -]+ \| [^|]+ \| [a-z, ]+ \|) [^|]+ \|$/\1/p' SECURITY.md)
}

@test "the Helm chart links the manifests that the scripts apply, and has the version of the binary" {
  local chart=deployments/helm/ai-storage-scheduler
  [ "$chart/crds/aistorageconfig.yaml" -ef config/crd/aistorageconfig.yaml ]
  [ "$chart/files/ai-storage-scheduler.yaml" -ef $DEPLOYMENT ]
  local version
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
  [ "$(yq -r '.version + " " + .appVersion' $chart/Chart.yaml)" = "$version $version" ]
}

@test "the GPU test pod asks our scheduler for a GPU" {
  [ "$(facts deployments/test-gpu-pod.yaml Pod '[.metadata.name, .spec.schedulerName, .spec.containers[0].resources.limits["nvidia.com/gpu"]] | map(tostring) | join(" ")')" = \
    "test-gpu-pod ai-storage-scheduler 1" ]
}

@test "the preprocessing test pod is the guide's, word for word" {
  local guide=docs/OPERATIONS.ko.md
  run sed -n '/^cat <<EOF | kubectl apply -f -$/,/^EOF$/p' "$guide"
  [ "$(sed '1d;$d' <<<"$output")" = "$(cat deployments/test-preprocess-pod.yaml)" ]
}

@test "the quick start has eight pods of its own, each for our scheduler, and nodes of every tier" {
  [ "$(facts examples/quickstart/pods.yaml Pod .spec.schedulerName | sort | uniq -c | xargs)" = "8 ai-storage-scheduler" ]
  [ "$(facts examples/quickstart/nodes.yaml Node '.metadata.labels | keys[] | select(startswith("storage-tier/"))' | sort | xargs)" = \
    "storage-tier/csd storage-tier/hdd storage-tier/memory storage-tier/nvme storage-tier/ssd" ]
  [ "$(facts examples/quickstart/nodes.yaml Node '.metadata.labels.layer' | sort -u | xargs)" = "compute orchestration storage" ]
}

@test "docs/troubleshooting.md has every reason for which a plugin refuses a node" {
  local reason n=0
  while read -r reason; do
    n=$((n + 1))
    grep -qF "\`$reason\`" docs/troubleshooting.md || {
      echo "not there: $reason" >&2
      return 1
    }
  done < <(grep -rhoE --exclude='tests*' '"node\(s\) [^"{}]*"' crates/core/src/plugins | tr -d '"' | sed -E 's/no [a-z]+ storage tier/no nvme storage tier/' | sort -u)
  [ "$n" -ge 20 ]
}
