#!/usr/bin/env bats
# Tests scripts/test.sh with stand-ins: what runs, what is counted, how it ends.
# Builds nothing.

load common

PASSED='test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n'
FAILED='test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n'

with_tools() {
  stand_in cargo shellcheck bats buildah yq nodejs npm chromium
  ln -s "$(command -v tee)" "$BIN/tee" 2>/dev/null || ln -s /usr/bin/tee "$BIN/tee"
}

last_line() { tail -n 1 <<<"$output"; }

@test "--quick runs everything but Go and the control plane, and the last line counts" {
  with_tools
  answer 0 'cargo test *' "$PASSED$PASSED"
  answer 0 'bats *' '1..3\nok 1 a\nok 2 b\nok 3 c # skip why\n'
  run_script test.sh --quick
  assert_status 0
  assert_calls <<EOF
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo doc --workspace --no-deps
cargo run --quiet --package xtask -- check
cargo test --workspace --exclude aisched-e2e --no-fail-fast
npm ci --silent
npm test --silent
$(grep '^shellcheck' "$RECORD")
bats --formatter tap scripts/tests
EOF
  [ "$(last_line)" = "8 passed, 0 failed, 3 skipped" ]
}

@test "a failed test fails the run, the later stages run all the same" {
  with_tools
  answer 101 'cargo test *' "$PASSED$FAILED"
  answer 0 'bats *' 'ok 1 a\n'
  run_script test.sh --quick
  assert_status 1
  grep -q '^bats' "$RECORD"
  [ "$(last_line)" = "6 passed, 1 failed, 1 skipped" ]
}

@test "a stage that fails without a test counts as one failure and is named" {
  with_tools
  answer 0 'cargo test *' "${PASSED/1 ignored/0 ignored}"
  answer 1 'cargo clippy *'
  run_script test.sh --quick
  assert_status 1
  [[ $output =~ clippy\ +FAILED ]]
  [ "$(last_line)" = "3 passed, 1 failed" ]
}

@test "a run without a test is a failure" {
  with_tools
  run_script test.sh --quick
  assert_status 1
  assert_output_has "no test ran"
  [ "$(last_line)" = "0 passed, 0 failed" ]
}

@test "wrong usage exits 2 and runs nothing, -h names the stages" {
  with_tools
  run_script test.sh --fast
  assert_status 2
  run_script test.sh --quick now
  assert_status 2
  assert_calls </dev/null
  run_script test.sh -h
  assert_status 0
  assert_output_has "format clippy docs generated unit-tests web scripts controlplane conformance e2e-tests page cluster-scripts"
}
