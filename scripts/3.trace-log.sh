#!/usr/bin/env bash
# Waits until the scheduler's pod runs, then follows its log.
# Ends when the pod does; logs.sh is the one that reconnects.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/pods.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/pods.sh"

usage() {
  cat <<EOF
Waits until the AI Storage Scheduler's pod is Running, then follows its log.

usage: ${0##*/} [-h]

environment:
  NAMESPACE   where the scheduler runs                        [$NAMESPACE]
  TIMEOUT     seconds to wait for a running pod, 0 for ever   [300]
  KUBECTL     the kubectl to call                             [$KUBECTL]
  KUBECONFIG  the cluster, as for kubectl

exit codes: 0 done, 1 failed, 2 wrong usage
EOF
}

# wait_for_pod sets $pod.
wait_for_pod() {
  local start=$SECONDS state last='' waited
  until pod=$(running_pod) && [ -n "$pod" ]; do
    waited=$((SECONDS - start))
    state=$(pods_state)
    # Said when it changes and every ten seconds, so that a long wait is seen to be one.
    if [ "$state" != "$last" ] || ((waited % 10 == 0)); then
      say "waiting for a running pod of $APP in namespace $NAMESPACE: $state ($waited s)"
      last=$state
    fi
    if ((TIMEOUT > 0 && waited >= TIMEOUT)); then
      fail "no pod of $APP was Running in namespace $NAMESPACE within $TIMEOUT s ($state); is it applied? ./scripts/2.apply-deployment.sh apply"
    fi
    sleep 1
  done
}

main() {
  case "${1:-}" in
    '') ;;
    -h | --help)
      usage
      return
      ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  : "${TIMEOUT:=300}"
  [[ $TIMEOUT =~ ^[0-9]+$ ]] || usage_error "TIMEOUT=$TIMEOUT is no number of seconds"
  need "$KUBECTL" "to reach the cluster"
  wait_for_pod
  say "following $pod in namespace $NAMESPACE"
  "$KUBECTL" logs -n "$NAMESPACE" "$pod" --follow || fail "the log of $pod could not be followed to its end"
}

main "$@"
