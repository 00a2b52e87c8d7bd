#!/usr/bin/env bats
# Tests scripts/3.trace-log.sh and scripts/logs.sh with a stand-in for kubectl.
# Waits no longer than the scripts' own shortest pause.

load common

RUNNING='kubectl get pods -n keti -l app=ai-storage-scheduler --field-selector=status.phase=Running *'
ANY='kubectl get pods -n keti -l app=ai-storage-scheduler -o *'

@test "trace-log waits for a running pod, then follows it" {
  stand_in kubectl
  answer once:0 "$RUNNING" ''
  answer once:0 "$ANY" 'sched-1 is Pending ContainerCreating; '
  answer 0 "$RUNNING" 'sched-1\n'
  answer 0 'kubectl logs *' 'line of the log\n'
  run_script 3.trace-log.sh
  assert_status 0
  assert_output_has "sched-1 is Pending ContainerCreating (0 s)"
  assert_output_has "line of the log"
  [ "$(tail -n 1 "$RECORD")" = "kubectl logs -n keti sched-1 --follow" ]
}

@test "trace-log gives up after TIMEOUT and says what it saw" {
  stand_in kubectl
  TIMEOUT=1 run_script 3.trace-log.sh
  assert_status 1
  assert_output_has "no pod yet"
  assert_output_has "2.apply-deployment.sh apply"
}

@test "trace-log shows kubectl's own error while it waits" {
  stand_in kubectl
  answer 1 "$RUNNING"
  answer 1 "$ANY"
  TIMEOUT=1 run_script 3.trace-log.sh
  assert_status 1
  assert_output_has "kubectl says: kubectl: stand-in fails"
}

@test "trace-log passes on a failure of kubectl logs" {
  stand_in kubectl
  answer 0 "$RUNNING" 'sched-1\n'
  answer 1 'kubectl logs *'
  run_script 3.trace-log.sh
  assert_status 1
}

@test "trace-log uses NAMESPACE" {
  stand_in kubectl
  answer 0 'kubectl get pods -n other *' 'sched-1\n'
  NAMESPACE=other run_script 3.trace-log.sh
  assert_status 0
  grep -qx 'kubectl logs -n other sched-1 --follow' "$RECORD"
}

@test "logs follows by default, with -f and with --follow, and reconnects to the same pod where it stopped" {
  stand_in kubectl
  answer 0 "$RUNNING" 'sched-1\n'
  local option
  for option in '' -f --follow; do
    : >"$RECORD"
    MAX_RECONNECTS=1 RECONNECT_SECONDS=0 run_script logs.sh ${option:+"$option"}
    assert_status 1
    assert_output_has "gave up after 1 reconnects"
    grep '^kubectl logs' "$RECORD" >"$BATS_TEST_TMPDIR/logs"
    [ "$(sed -n 1p "$BATS_TEST_TMPDIR/logs")" = "kubectl logs -n keti sched-1 --follow --tail=100" ]
    grep -qE '^kubectl logs -n keti sched-1 --follow --since-time=[0-9-]+T[0-9:]+Z$' "$BATS_TEST_TMPDIR/logs"
  done
}

@test "logs shows a new pod from its start, after a broken connection and a time without a pod" {
  stand_in kubectl
  answer once:0 "$RUNNING" 'sched-1\n'
  answer once:0 "$RUNNING" ''
  answer 0 "$RUNNING" 'sched-1\nsched-2\n'
  answer 1 'kubectl logs -n keti sched-1 *'
  MAX_RECONNECTS=2 RECONNECT_SECONDS=0 run_script logs.sh
  assert_output_has "no running pod of ai-storage-scheduler in namespace keti (no pod yet)"
  grep -qx 'kubectl logs -n keti sched-2 --follow' "$RECORD"
}

@test "of two running pods the one that leads is shown, by both, and the youngest while none leads" {
  stand_in kubectl
  answer 0 "$RUNNING" 'sched-1\nsched-2\n'
  answer once:0 'kubectl get lease ai-storage-scheduler -n keti *' 'sched-1_0123456789abcdef'
  run_script logs.sh -t 5
  assert_status 0
  [ "$(tail -n 1 "$RECORD")" = "kubectl logs -n keti sched-1 --tail=5" ]
  answer once:0 'kubectl get lease *' 'sched-1_0123456789abcdef'
  run_script 3.trace-log.sh
  [ "$(tail -n 1 "$RECORD")" = "kubectl logs -n keti sched-1 --follow" ]
  local holder
  for holder in 'once:0|gone-3_0123456789abcdef' 'once:0|' 'once:1|'; do
    answer "${holder%|*}" 'kubectl get lease *' "${holder#*|}"
    run_script logs.sh -t 5
    assert_status 0
    [ "$(tail -n 1 "$RECORD")" = "kubectl logs -n keti sched-2 --tail=5" ]
  done
}

@test "logs -t N and --tail N print the last lines and end" {
  stand_in kubectl
  answer 0 "$RUNNING" 'sched-1\n'
  answer 0 'kubectl logs *' '[ScoreMap] x\n'
  local option
  for option in -t --tail; do
    run_script logs.sh "$option" 200
    assert_status 0
    [ "$output" = '[ScoreMap] x' ]
    [ "$(tail -n 1 "$RECORD")" = "kubectl logs -n keti sched-1 --tail=200" ]
  done
}

@test "logs -t of a crashed pod shows its log" {
  stand_in kubectl
  answer 0 "$RUNNING" ''
  answer 0 "$ANY" 'sched-1 is Pending CrashLoopBackOff; '
  answer 0 'kubectl logs *' 'why it crashed\n'
  run_script logs.sh -t 5
  assert_status 0
  assert_output_has "why it crashed"
  [ "$(tail -n 1 "$RECORD")" = "kubectl logs -n keti -l app=ai-storage-scheduler --tail=5" ]
}

@test "logs -t without a pod, or with a failing kubectl, ends with 1" {
  stand_in kubectl
  run_script logs.sh -t 5
  assert_status 1
  assert_output_has "no pod of ai-storage-scheduler in namespace keti"
  answer 0 "$RUNNING" 'sched-1\n'
  answer 1 'kubectl logs *'
  run_script logs.sh -t 5
  assert_status 1
  answer 1 'kubectl *'
  run_script logs.sh -t 5
  assert_status 1
}

@test "wrong usage exits 2 and calls nothing" {
  stand_in kubectl
  local words
  for words in '-t' '-t many' '--tail 0' '--tail -3' '-x' 'pod'; do
    # shellcheck disable=SC2086  # words are meant
    run_script logs.sh $words
    assert_status 2
  done
  run_script 3.trace-log.sh -f
  assert_status 2
  TIMEOUT=soon run_script 3.trace-log.sh
  assert_status 2
  assert_calls </dev/null
}

@test "-h explains both, and no kubectl is an error" {
  local script
  for script in logs.sh 3.trace-log.sh; do
    run_script "$script" -h
    assert_status 0
    assert_output_has NAMESPACE
    run_script "$script"
    assert_status 1
    assert_output_has "'kubectl' is not on PATH"
  done
  run_script logs.sh --help
  assert_output_has "-t|--tail N"
}
