#!/usr/bin/env bash
# Applies or deletes the scheduler's deployment, with the CRD and the default configuration it needs.
# Builds no image (1.build-image.sh), and never overwrites or deletes a configuration that someone edited.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/manifests.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/manifests.sh"

CRD=aistorageconfigs.ai-storage.keti

usage() {
  cat <<EOF
Applies or deletes the AI Storage Scheduler's deployment.

usage: ${0##*/} apply|a     the CRD, the default configuration where there is none, account, permissions, Deployment
       ${0##*/} delete|d    Deployment, permissions, account; the CRD, AIStorageConfig objects and the namespace stay
       ${0##*/} -h

environment:
  NAMESPACE   where it runs                  [$NAMESPACE]
  IMAGE       the image it runs              [$IMAGE]
              (or its parts REGISTRY, IMAGE_NAME, TAG)
  KUBECTL     the kubectl to call            [$KUBECTL]
  KUBECONFIG  the cluster, as for kubectl

exit codes: 0 done, 1 failed, 2 wrong usage
EOF
}

apply() {
  say "[1/4] CRD $CRD"
  "$KUBECTL" apply -f "$ROOT/config/crd/aistorageconfig.yaml" || fail "the CRD could not be applied"
  "$KUBECTL" wait --for=condition=Established "crd/$CRD" --timeout=60s || fail "the CRD did not become Established within 60 s"
  say "[2/4] namespace $NAMESPACE"
  manifest deployments/ai-storage-scheduler.yaml | only Namespace | "$KUBECTL" apply -f - ||
    fail "namespace $NAMESPACE could not be applied"
  say "[3/4] default configuration"
  local present
  present=$("$KUBECTL" get "$CRD" default -n "$NAMESPACE" --ignore-not-found -o name) ||
    fail "AIStorageConfig 'default' in namespace $NAMESPACE could not be looked up"
  if [ -n "$present" ]; then
    say "AIStorageConfig 'default' is there already and stays as it is" \
      "(reset it: kubectl delete aisc default -n $NAMESPACE && kubectl apply -f config/crd/default-config.yaml)"
  else
    manifest config/crd/default-config.yaml | "$KUBECTL" apply -f - || fail "the default configuration could not be applied"
  fi
  say "[4/4] deployment, image $IMAGE"
  manifest deployments/ai-storage-scheduler.yaml | "$KUBECTL" apply -f - || fail "the deployment could not be applied"
  say "applied in namespace $NAMESPACE; its log: ./scripts/3.trace-log.sh"
}

delete() {
  manifest deployments/ai-storage-scheduler.yaml | without Namespace | "$KUBECTL" delete --ignore-not-found -f - ||
    fail "the deployment could not be deleted"
  say "deleted from namespace $NAMESPACE; the namespace, the CRD $CRD and its AIStorageConfig objects stay" \
    "(kubectl delete -f config/crd/aistorageconfig.yaml removes all configurations)"
}

main() {
  [ $# -le 1 ] || usage_error "one argument is wanted, apply or delete, not $#"
  case "${1:-}" in
    a | apply | d | delete) ;;
    -h | --help)
      usage
      return
      ;;
    '') usage_error "say apply or delete" ;;
    *) usage_error "unknown argument '$1': apply, a, delete or d" ;;
  esac
  need "$KUBECTL" "to reach the cluster"
  case "$1" in
    a | apply) apply ;;
    d | delete) delete ;;
  esac
}

main "$@"
