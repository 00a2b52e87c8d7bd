#!/usr/bin/env bash
# Shows the scheduler's log: follows it and reconnects by itself, or prints the last lines.
# Waits for no particular state (3.trace-log.sh does).
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/pods.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/pods.sh"

usage() {
  cat <<EOF
Shows the AI Storage Scheduler's log.

usage: ${0##*/} [-f|--follow]     follows the log, and reconnects when the pod restarts or the connection breaks (default)
       ${0##*/} -t|--tail N       prints the last N lines and ends
       ${0##*/} -h|--help

environment:
  NAMESPACE          where the scheduler runs                 [$NAMESPACE]
  RECONNECT_SECONDS  pause before connecting again            [2]
  MAX_RECONNECTS     give up after as many, 0 for never       [0]
  KUBECTL            the kubectl to call                      [$KUBECTL]
  KUBECONFIG         the cluster, as for kubectl

examples:
  ${0##*/} -t 100 | grep -E "\\[ScoreMap\\]|\\[score\\]"

exit codes: 0 done, 1 failed, 2 wrong usage
EOF
}

# follow loses no line: a pod already seen is taken up from the second at which it was lost, a new one from its start.
follow() {
  local pod before='' since='' n_reconnects=0
  local -a from
  trap 'exit 130' INT
  while :; do
    pod=$(running_pod) || pod=''
    if [ -z "$pod" ]; then
      say "--- no running pod of $APP in namespace $NAMESPACE ($(pods_state)); looking again in $RECONNECT_SECONDS s"
    else
      from=()
      [ "$pod" != "$before" ] || from=(--since-time="$since")
      [ -n "$before" ] || from=(--tail=100)
      before=$pod
      say "--- following $pod in namespace $NAMESPACE (Ctrl-C ends)"
      "$KUBECTL" logs -n "$NAMESPACE" "$pod" --follow ${from[@]+"${from[@]}"} || true
      since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
      say "--- the log of $pod ended; connecting again in $RECONNECT_SECONDS s"
    fi
    if ((MAX_RECONNECTS > 0 && n_reconnects >= MAX_RECONNECTS)); then
      fail "gave up after $MAX_RECONNECTS reconnects"
    fi
    n_reconnects=$((n_reconnects + 1))
    sleep "$RECONNECT_SECONDS"
  done
}

tail_lines() {
  local pod
  pod=$(running_pod) || fail "the scheduler's pods cannot be listed; $(pods_state)"
  if [ -n "$pod" ]; then
    "$KUBECTL" logs -n "$NAMESPACE" "$pod" --tail="$1" || fail "the log of $pod could not be read"
  else
    # Without a running pod, the log of one that crashed is what is wanted.
    local state
    state=$(pods_state)
    [ "$state" != 'no pod yet' ] || fail "no pod of $APP in namespace $NAMESPACE; is it applied? ./scripts/2.apply-deployment.sh apply"
    say "no running pod of $APP in namespace $NAMESPACE ($state)"
    "$KUBECTL" logs -n "$NAMESPACE" -l "app=$APP" --tail="$1" || fail "the log could not be read"
  fi
}

main() {
  local lines=''
  while [ $# -gt 0 ]; do
    case "$1" in
      -f | --follow) lines='' ;;
      -t | --tail)
        [ $# -ge 2 ] || usage_error "$1 needs a number of lines"
        is_count "$2" || usage_error "$1 wants a number of lines, not '$2'"
        lines=$2
        shift
        ;;
      -h | --help)
        usage
        return
        ;;
      *) usage_error "unknown argument '$1'" ;;
    esac
    shift
  done
  : "${RECONNECT_SECONDS:=2}" "${MAX_RECONNECTS:=0}"
  [[ $RECONNECT_SECONDS =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage_error "RECONNECT_SECONDS=$RECONNECT_SECONDS is no number of seconds"
  [[ $MAX_RECONNECTS =~ ^[0-9]+$ ]] || usage_error "MAX_RECONNECTS=$MAX_RECONNECTS is no number"
  need "$KUBECTL" "to reach the cluster"
  if [ -n "$lines" ]; then tail_lines "$lines"; else follow; fi
}

main "$@"
