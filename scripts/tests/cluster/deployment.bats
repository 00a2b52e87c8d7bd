#!/usr/bin/env bats
# Runs the guide's deployment scripts and manifests against a real API server, in the guide's order.
# No container starts here: kube-scheduler places the Deployment's pod, and the node's kubelet is played.

ROOT=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)

setup_file() {
  local controlplane cluster="$BATS_FILE_TMPDIR/cluster"
  controlplane=$("$ROOT/scripts/lib/controlplane.sh")
  mkdir "$BATS_FILE_TMPDIR/bin"
  ln -s "$controlplane" "$BATS_FILE_TMPDIR/bin/kubectl"
  export PATH="$BATS_FILE_TMPDIR/bin:$PATH" KUBECONFIG="$cluster/kubeconfig"
  # Not bats' file descriptor 3: it would wait for this program at the end.
  "$controlplane" up "$cluster" -scheduler -kubelets >"$BATS_FILE_TMPDIR/controlplane.log" 2>&1 3>&- &
  echo $! >"$BATS_FILE_TMPDIR/pid"
  eventually 60 test -e "$cluster/ready"
  kubectl apply -f "$ROOT/examples/quickstart/nodes.yaml" >&2
}

teardown_file() {
  kill "$(cat "$BATS_FILE_TMPDIR/pid")" 2>/dev/null || true
}

setup() { cd "$ROOT" || return 1; }

# eventually SECONDS COMMAND...: true as soon as the command is, false when it never was.
eventually() {
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < limit)) || {
      echo "not within the time: $*" >&2
      "$@" >&2
      return 1
    }
    sleep 0.2
  done
}

is() { [ "$("${@:2}")" = "$1" ]; }

@test "apply brings CRD, configuration and Deployment, and both replicas run" {
  run ./scripts/2.apply-deployment.sh apply
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(kubectl get aisc -n keti -o name)" = aistorageconfig.ai-storage.keti/default ]
  eventually 30 is 'Running Running' kubectl get pods -n keti -l app=ai-storage-scheduler -o 'jsonpath={.items[*].status.phase}'
}

@test "trace-log finds the running pod" {
  ./scripts/2.apply-deployment.sh apply
  # The played kubelet has no log to give; the real one is another test's.
  run ./scripts/3.trace-log.sh
  [[ $output == *"following ai-storage-scheduler-"* ]]
  [ "$status" -eq 1 ]
}

@test "a restart (d, then a) keeps an edited configuration" {
  ./scripts/2.apply-deployment.sh apply
  kubectl patch aisc default -n keti --type merge -p '{"spec":{"plugins":{"dataLocalityAware":{"weight":7}}}}'
  run ./scripts/2.apply-deployment.sh d
  echo "$output"
  [ "$status" -eq 0 ]
  [ -z "$(kubectl get deployments,serviceaccounts,poddisruptionbudgets -n keti -l app=ai-storage-scheduler -o name)" ]
  [ -z "$(kubectl get clusterroles,clusterrolebindings -l app=ai-storage-scheduler -o name)" ]
  ./scripts/2.apply-deployment.sh a
  [ "$(kubectl get aisc default -n keti -o 'jsonpath={.spec.plugins.dataLocalityAware.weight}')" = 7 ]
}

@test "deleting twice is no error" {
  ./scripts/2.apply-deployment.sh apply
  ./scripts/2.apply-deployment.sh delete
  run ./scripts/2.apply-deployment.sh delete
  [ "$status" -eq 0 ]
}

@test "another namespace and image work" {
  NAMESPACE=elsewhere IMAGE=registry.example/s:1 ./scripts/2.apply-deployment.sh apply
  [ "$(kubectl get deployment ai-storage-scheduler -n elsewhere -o 'jsonpath={.spec.template.spec.containers[0].image}')" = registry.example/s:1 ]
  [ "$(kubectl get aisc -n elsewhere -o name)" = aistorageconfig.ai-storage.keti/default ]
  [ "$(kubectl auth can-i create pods --subresource=binding --as=system:serviceaccount:elsewhere:ai-storage-scheduler)" = yes ]
  NAMESPACE=elsewhere ./scripts/2.apply-deployment.sh delete
}

@test "the account may do what the scheduler does, and not more" {
  ./scripts/2.apply-deployment.sh apply
  local answer verb resource where
  while read -r answer verb resource where; do
    # resource:subresource, or resource/name as kubectl writes it.
    [[ $resource != *:* ]] || resource="${resource%:*} --subresource=${resource#*:}"
    # shellcheck disable=SC2086  # two words are meant
    run kubectl auth can-i "$verb" $resource ${where:+-n "$where"} --as=system:serviceaccount:keti:ai-storage-scheduler
    [ "${lines[-1]}" = "$answer" ] || {
      echo "$verb $resource $where: ${lines[-1]}, wanted $answer" >&2
      return 1
    }
  done <<EOF
yes watch nodes
yes create pods:binding default
yes patch pods:status default
yes create events.events.k8s.io default
yes watch csistoragecapacities.storage.k8s.io default
yes create tokenreviews.authentication.k8s.io
yes watch aistorageconfigs.ai-storage.keti keti
yes patch aistorageconfigs.ai-storage.keti:status keti
no get secrets keti
yes delete pods default
yes watch poddisruptionbudgets.policy default
no create pods default
no update nodes
no update aistorageconfigs.ai-storage.keti keti
no list leases.coordination.k8s.io keti
yes create leases.coordination.k8s.io keti
yes update leases.coordination.k8s.io/ai-storage-scheduler keti
no update leases.coordination.k8s.io/another keti
no create leases.coordination.k8s.io kube-system
no list aistorageconfigs.ai-storage.keti kube-system
EOF
}

@test "the API server takes the test pods and the quick start's pods" {
  run kubectl apply --dry-run=server -f deployments/test-gpu-pod.yaml -f deployments/test-preprocess-pod.yaml -f examples/quickstart/pods.yaml
  echo "$output"
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 10 ]
}

@test "resetting the configuration works as the guide writes it" {
  ./scripts/2.apply-deployment.sh apply
  kubectl delete aisc default -n keti
  kubectl apply -f config/crd/default-config.yaml
  [ "$(kubectl get aisc default -n keti -o 'jsonpath={.spec.plugins.dataLocalityAware.weight}')" = 3 ]
}
