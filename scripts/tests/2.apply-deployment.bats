#!/usr/bin/env bats
# Tests scripts/2.apply-deployment.sh with a stand-in for kubectl.
# The e2e tests run it against a real API server.

load common

GET='kubectl get aistorageconfigs.ai-storage.keti default -n keti --ignore-not-found -o name'

@test "apply and a apply the CRD, wait for it, then the configuration, then the deployment" {
  stand_in kubectl
  local word
  for word in apply a; do
    : >"$RECORD"
    run_script 2.apply-deployment.sh "$word"
    assert_status 0
    assert_calls <<EOF
kubectl apply -f $ROOT/config/crd/aistorageconfig.yaml
kubectl wait --for=condition=Established crd/aistorageconfigs.ai-storage.keti --timeout=60s
kubectl apply -f -
$GET
kubectl apply -f -
kubectl apply -f -
EOF
    assert_given 'kind: Deployment'
    assert_given 'kind: ClusterRole'
    assert_given '          image: ketidevit2/keti-ai-storage-scheduler:latest'
  done
}

@test "apply leaves a configuration that is there as it is" {
  stand_in kubectl
  answer 0 "$GET" 'aistorageconfig.ai-storage.keti/default\n'
  run_script 2.apply-deployment.sh apply
  assert_status 0
  assert_output_has "stays as it is"
  [ "$(grep -c '^kubectl apply' "$RECORD")" -eq 3 ]
  refute_recorded 'kind: AIStorageConfig$'
}

@test "delete and d delete the deployment and keep CRD, configuration and namespace" {
  stand_in kubectl
  local word
  for word in delete d; do
    : >"$RECORD"
    run_script 2.apply-deployment.sh "$word"
    assert_status 0
    assert_calls <<<'kubectl delete --ignore-not-found -f -'
    assert_given 'kind: Deployment'
    refute_recorded 'kind: (Namespace|CustomResourceDefinition|AIStorageConfig)$'
    run_script 2.apply-deployment.sh "$word"
    assert_output_has "AIStorageConfig objects stay"
  done
}

@test "NAMESPACE and IMAGE go into every document" {
  stand_in kubectl
  NAMESPACE=other IMAGE=registry.example/x/y:z run_script 2.apply-deployment.sh apply
  assert_status 0
  assert_given '          image: registry.example/x/y:z'
  assert_given '  name: other'
  grep -q -- 'default -n other' "$RECORD"
  refute_recorded '(namespace|name): keti$'
}

@test "a failure of kubectl at any step ends it with 1" {
  stand_in kubectl
  local step
  for step in 'kubectl apply -f *aistorageconfig.yaml' 'kubectl wait *' 'kubectl get *' 'kubectl apply -f -'; do
    : >"$ANSWERS"
    : >"$RECORD"
    answer 1 "$step"
    run_script 2.apply-deployment.sh apply
    assert_status 1
    assert_output_has "error: "
    # shellcheck disable=SC2053  # a pattern is meant
    [[ $(grep '^kubectl' "$RECORD" | tail -n 1) == $step ]]
  done
  answer 1 'kubectl delete *'
  run_script 2.apply-deployment.sh delete
  assert_status 1
}

@test "no kubectl is an error that says so" {
  run_script 2.apply-deployment.sh apply
  assert_status 1
  assert_output_has "'kubectl' is not on PATH"
}

@test "wrong usage exits 2 and calls nothing" {
  stand_in kubectl
  run_script 2.apply-deployment.sh
  assert_status 2
  run_script 2.apply-deployment.sh install
  assert_status 2
  assert_output_has "install"
  run_script 2.apply-deployment.sh apply delete
  assert_status 2
  assert_calls </dev/null
}

@test "-h explains" {
  run_script 2.apply-deployment.sh -h
  assert_status 0
  local word
  for word in 'apply|a' 'delete|d' NAMESPACE IMAGE KUBECTL; do assert_output_has "$word"; done
}
