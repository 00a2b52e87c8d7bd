# shellcheck shell=bash
# Finds the scheduler's pods; common.sh must be sourced before.
# Reads no log.

# running_pod prints the name of a running pod of the scheduler, or nothing; fails when kubectl does. Of several it is the one that
# leads (the Lease names it, with something after an underscore), or the youngest while none does.
running_pod() {
  local names leader=''
  names=$("$KUBECTL" get pods -n "$NAMESPACE" -l "app=$APP" --field-selector=status.phase=Running \
    --sort-by=.metadata.creationTimestamp -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' 2>/dev/null) || return 1
  if [[ $names == *$'\n'* ]]; then
    leader=$("$KUBECTL" get lease "$APP" -n "$NAMESPACE" -o 'jsonpath={.spec.holderIdentity}' 2>/dev/null) || leader=''
    leader=${leader%_*}
  fi
  if [ -n "$leader" ] && grep -qxF -- "$leader" <<<"$names"; then
    printf '%s\n' "$leader"
  else
    tail -n 1 <<<"$names"
  fi
}

# pods_state prints what there is, for someone who waits; kubectl's own error when it has one.
pods_state() {
  local text
  if ! text=$("$KUBECTL" get pods -n "$NAMESPACE" -l "app=$APP" \
    -o 'jsonpath={range .items[*]}{.metadata.name}{" is "}{.status.phase}{" "}{.status.containerStatuses[0].state.waiting.reason}{"; "}{end}' 2>&1); then
    printf 'kubectl says: %s\n' "$(tail -n 1 <<<"$text")"
  elif [ -z "$text" ]; then
    printf 'no pod yet\n'
  else
    text=${text%; }
    printf '%s\n' "${text% }"
  fi
}
