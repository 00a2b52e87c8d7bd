#!/usr/bin/env bash
# Shows the scheduler at work on a real control plane: builds, starts, places ten AI pods, prints where each went and why.
# Needs Rust and Go toolchains and the package registries; starts no container (the nodes' kubelets are played).
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/manifests.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/manifests.sh"

EXAMPLES="$ROOT/examples/quickstart"
PODS=(-f "$ROOT/deployments/test-gpu-pod.yaml" -f "$ROOT/deployments/test-preprocess-pod.yaml" -f "$EXAMPLES/pods.yaml")
N_PODS=10
: "${BIND_TIMEOUT:=120}"

keep=''
users_kubeconfig=''
made_nodes=''
dir=''
pids=()

usage() {
  cat <<EOF
Shows the AI Storage Scheduler at work: places the guide's two test pods and eight more, and prints where each went and why.

usage: ${0##*/} [--keep] [--kubeconfig FILE]

  --keep             leave everything running, and print the KUBECONFIG line and how to stop it
  --kubeconfig FILE  use the cluster that FILE names instead of a local control plane; when it has no node at all, simulated
                     ones are created. Afterwards the pods, nodes, account and permissions are removed; the CRD,
                     AIStorageConfig 'default' and namespace $NAMESPACE stay
  -h, --help         this text

environment:
  SCHEDULER            use this ai-storage-scheduler binary and build none
  AISCHED_CONTROLPLANE use this control plane binary and build none
  BIND_TIMEOUT         seconds to wait for all pods to be placed   [$BIND_TIMEOUT]

Ctrl-C cleans up. The first run builds the scheduler and the control plane, which takes some minutes; later ones take seconds.
exit codes: 0 all pods placed, 1 failed, 2 wrong usage
EOF
}

step() { say "[$(printf '%3d' "$SECONDS") s] $*"; }

# die MESSAGE LOG...: fails with the ends of the logs that can tell why.
die() {
  local message=$1 log
  shift
  for log in "$@"; do
    if [ -s "$log" ]; then
      say "--- last lines of $log"
      tail -n 20 "$log" >&2
    fi
  done
  fail "$message"
}

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --keep) keep=1 ;;
      --kubeconfig)
        [ $# -ge 2 ] || usage_error "--kubeconfig needs a file"
        users_kubeconfig=$2
        shift
        ;;
      --kubeconfig=*) users_kubeconfig=${1#*=} ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) usage_error "unknown argument '$1'" ;;
    esac
    shift
  done
  [[ $BIND_TIMEOUT =~ ^[0-9]+$ ]] || usage_error "BIND_TIMEOUT=$BIND_TIMEOUT is no number of seconds"
  [ -z "$users_kubeconfig" ] || [ -r "$users_kubeconfig" ] || usage_error "--kubeconfig: cannot read '$users_kubeconfig'"
}

# background NAME COMMAND...: runs it until the end, with its output in DIR/NAME.log; Ctrl-C reaches only this script.
background() {
  local name=$1
  shift
  setsid "$@" >"$dir/$name.log" 2>&1 </dev/null &
  pids+=("$!")
}

# until_true SECONDS LOG WHAT COMMAND...: polls, and fails early when the last background program died.
until_true() {
  local limit=$((SECONDS + $1)) log=$2 what=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    kill -0 "${pids[-1]}" 2>/dev/null || die "$what: the program ended" "$log"
    ((SECONDS < limit)) || die "$what: not within the time allowed" "$log"
    sleep 0.2
  done
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    if ! { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
    exec 3>&-
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

build() {
  if [ -n "${SCHEDULER:-}" ]; then
    [ -x "$SCHEDULER" ] || fail "SCHEDULER=$SCHEDULER is no executable file"
  else
    need cargo "to build the scheduler (https://rustup.rs)"
    step "building the scheduler"
    cargo build --release --manifest-path "$ROOT/Cargo.toml" --package ai-storage-scheduler || fail "the scheduler could not be built"
    SCHEDULER="${CARGO_TARGET_DIR:-$ROOT/target}/release/ai-storage-scheduler"
  fi
  step "looking for the control plane"
  controlplane=$("$ROOT/scripts/lib/controlplane.sh") || fail "the control plane could not be built"
}

start_cluster() {
  mkdir -p "$dir/bin"
  # kubectl of the same version is inside; a machine need not have one.
  ln -sf "$controlplane" "$dir/bin/kubectl"
  KUBECTL="$dir/bin/kubectl"
  if [ -n "$users_kubeconfig" ]; then
    export KUBECONFIG=$users_kubeconfig
    step "using the cluster of $users_kubeconfig"
    "$KUBECTL" version >"$dir/kubectl.log" 2>&1 || die "the cluster of $users_kubeconfig does not answer" "$dir/kubectl.log"
    [ -z "$("$KUBECTL" get deployment "$APP" -n "$NAMESPACE" --ignore-not-found -o name)" ] ||
      fail "this cluster runs $APP in namespace $NAMESPACE already; apply pods to it directly: kubectl apply -f deployments/test-gpu-pod.yaml"
  else
    step "starting etcd, kube-apiserver, kube-controller-manager"
    background controlplane "$controlplane" up "$dir/cluster" -kubelets
    until_true 120 "$dir/controlplane.log" "the control plane did not become ready" test -e "$dir/cluster/ready"
    export KUBECONFIG="$dir/cluster/kubeconfig"
  fi
}

# apply WHAT ARGS: kubectl apply, its list of objects in a log.
apply() {
  local what=$1
  shift
  "$KUBECTL" apply "$@" >>"$dir/kubectl.log" 2>&1 || die "$what could not be applied" "$dir/kubectl.log"
}

prepare_cluster() {
  step "applying the CRD, the default configuration, account and permissions"
  apply "the CRD" -f "$ROOT/config/crd/aistorageconfig.yaml"
  "$KUBECTL" wait --for=condition=Established crd/aistorageconfigs.ai-storage.keti --timeout=60s >>"$dir/kubectl.log" 2>&1 ||
    die "the CRD did not become Established" "$dir/kubectl.log"
  # The scheduler itself runs here as a program, so its Deployment stays out.
  manifest deployments/ai-storage-scheduler.yaml | without Deployment | apply "account and permissions" -f -
  if [ -z "$("$KUBECTL" get aistorageconfigs.ai-storage.keti default -n "$NAMESPACE" --ignore-not-found -o name)" ]; then
    manifest config/crd/default-config.yaml | apply "the default configuration" -f -
  fi
  if [ -z "$users_kubeconfig" ] || [ -z "$("$KUBECTL" get nodes -o name)" ]; then
    step "creating labelled nodes of all tiers"
    apply "the nodes" -f "$EXAMPLES/nodes.yaml"
    made_nodes=1
    [ -z "$users_kubeconfig" ] || background kubelets "$controlplane" kubelets -kubeconfig "$KUBECONFIG"
  fi
}

# scheduler_kubeconfig writes one with the service account's token: the scheduler gets the permissions it has in a cluster, no more.
scheduler_kubeconfig() {
  local file="$dir/scheduler.kubeconfig" token
  token=$("$KUBECTL" create token "$APP" -n "$NAMESPACE" --duration=24h 2>>"$dir/kubectl.log") ||
    die "no token for the service account" "$dir/kubectl.log"
  (umask 077 && "$KUBECTL" config view --minify --raw --flatten >"$file")
  local user
  user=$("$KUBECTL" --kubeconfig "$file" config view -o 'jsonpath={.users[0].name}')
  {
    "$KUBECTL" --kubeconfig "$file" config unset "users.$user"
    "$KUBECTL" --kubeconfig "$file" config set-credentials "$APP" --token="$token"
    "$KUBECTL" --kubeconfig "$file" config set-context --current --user="$APP"
  } >>"$dir/kubectl.log" 2>&1 || die "the scheduler's kubeconfig could not be written" "$dir/kubectl.log"
}

start_scheduler() {
  local policy_port
  policy_port=$(free_port)
  port=$(free_port)
  step "starting the policy server and the scheduler"
  background policy-server "$SCHEDULER" policy-server --rules "$EXAMPLES/policy-rules.yaml" --listen "127.0.0.1:$policy_port"
  until_true 15 "$dir/policy-server.log" "the policy server did not come up" listens "$policy_port"
  scheduler_kubeconfig
  background scheduler env APOLLO_ENDPOINT="127.0.0.1:$policy_port" "$SCHEDULER" run --kubeconfig "$dir/scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --secure-port "$port" --cert-dir "$dir" --config-namespace "$NAMESPACE"
  until_true 30 "$dir/scheduler.log" "the scheduler did not become ready" \
    "$KUBECTL" --kubeconfig "$dir/scheduler.kubeconfig" --server "https://127.0.0.1:$port" --insecure-skip-tls-verify get --raw /readyz
}

n_bound() {
  "$KUBECTL" get "${PODS[@]}" --ignore-not-found -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' 2>/dev/null | grep -c . || true
}

place_pods() {
  step "applying the guide's two test pods and eight more"
  "$KUBECTL" delete "${PODS[@]}" --ignore-not-found --wait >>"$dir/kubectl.log" 2>&1 || die "old pods could not be deleted" "$dir/kubectl.log"
  apply "the pods" "${PODS[@]}"
  local limit=$((SECONDS + BIND_TIMEOUT)) n last=-1
  while :; do
    n=$(n_bound)
    if [ "$n" != "$last" ]; then
      step "$n of $N_PODS pods placed"
      last=$n
    fi
    [ "$n" -lt "$N_PODS" ] || return 0
    kill -0 "${pids[-1]}" 2>/dev/null || die "the scheduler ended" "$dir/scheduler.log"
    if ((SECONDS >= limit)); then
      explain || true
      die "only $n of $N_PODS pods were placed within $BIND_TIMEOUT s" "$dir/scheduler.log"
    fi
    sleep 0.3
  done
}

explain() {
  "$SCHEDULER" explain pods -n default --server "https://127.0.0.1:$port" --certificate-authority "$dir/ai-storage-scheduler.crt"
}

show() {
  printf '\n'
  explain || die "the scheduler could not explain the pods" "$dir/scheduler.log"
  printf '\n'
}

# remove_objects takes back what was created in a cluster that goes on.
remove_objects() {
  say "removing pods, account and permissions; the CRD, AIStorageConfig 'default' and namespace $NAMESPACE stay"
  {
    "$KUBECTL" delete "${PODS[@]}" --ignore-not-found --wait=false
    [ -z "$made_nodes" ] || "$KUBECTL" delete -f "$EXAMPLES/nodes.yaml" --ignore-not-found
    manifest deployments/ai-storage-scheduler.yaml | without Deployment | without Namespace | "$KUBECTL" delete --ignore-not-found -f -
  } >/dev/null 2>&1 || say "not all of them could be removed"
}

clean_up() {
  local code=$? i
  trap '' INT TERM
  trap - EXIT
  [ -n "$dir" ] || exit "$code"
  [ -z "$users_kubeconfig" ] || [ -z "${prepared:-}" ] || remove_objects
  # Last started, first stopped; the control plane needs a moment to stop its own.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[i]}" 2>/dev/null || true
    wait "${pids[i]}" 2>/dev/null || true
  done
  rm -rf "$dir"
  exit "$code"
}

tell_how_to_go_on() {
  cat <<EOF
Everything is left running, in $dir:

  export KUBECONFIG=$KUBECONFIG PATH=$dir/bin:\$PATH
  kubectl get pods -o wide
  $SCHEDULER explain pod test-gpu-pod --server https://127.0.0.1:$port --certificate-authority $dir/ai-storage-scheduler.crt
  grep -E '\[ScoreMap\]|\[score\]' $dir/scheduler.log

Stop it with:

  kill ${pids[*]}; rm -rf $dir
EOF
}

main() {
  parse "$@"
  build
  dir=$(mktemp -d "${TMPDIR:-/tmp}/ai-storage-quickstart.XXXXXX")
  trap clean_up EXIT
  trap 'say "stopped; cleaning up"; exit 130' INT TERM
  start_cluster
  prepared=1
  prepare_cluster
  start_scheduler
  place_pods
  show
  if [ -n "$keep" ]; then
    trap - EXIT INT TERM
    tell_how_to_go_on
  else
    step "done; stopping everything (--keep leaves it running)"
  fi
}

main "$@"
