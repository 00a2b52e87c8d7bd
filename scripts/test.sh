#!/usr/bin/env bash
# Runs every check and test of the project: what CI runs. Stages go on after a failure; the last line counts the tests.
# Installs the Debian packages it needs when root; starts a control plane only without --quick.
set -uo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

PACKAGES=(shellcheck bats buildah yq nodejs npm chromium)

usage() {
  cat <<EOF
Runs all checks and tests.

usage: ${0##*/} [--quick | --long]

  --quick   the inner loop: leaves out what needs a control plane or Go
  --long    everything, with 10,000 histories of a cluster in trouble, 20 rounds of killing the scheduler, ten minutes beside
            kube-scheduler, and ten minutes of bad weather between it and the API server
  -h        this text

stages: ${STAGES[*]}

The last line is 'N passed, N failed' (and ', N skipped'); a stage that fails without a failed test counts as one failure.
exit codes: 0 all passed, 1 something failed or no test ran, 2 wrong usage
EOF
}

STAGES=(format clippy docs generated unit-tests web scripts)
FULL_STAGES=(controlplane conformance e2e-tests page cluster-scripts)

stage_format() { cargo fmt --all --check; }
stage_clippy() { cargo clippy --workspace --all-targets -- -D warnings; }
stage_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps; }
# Layers, the map in ARCHITECTURE.md, the CRD's YAML.
stage_generated() { cargo run --quiet --package xtask -- check; }
stage_unit-tests() { cargo test --workspace --exclude aisched-e2e --no-fail-fast; }

# The page's types and logic, and that web/dist is what its sources give.
stage_web() {
  have npm || return "$SKIPPED"
  (cd web && npm ci --silent && npm test --silent)
}

stage_scripts() {
  have bats shellcheck || return "$SKIPPED"
  shellcheck --external-sources scripts/*.sh scripts/lib/*.sh scripts/tests/*.bats scripts/tests/*.bash scripts/tests/*/* .ci/run conformance/run.sh || return 1
  bats --formatter tap scripts/tests
}

stage_controlplane() {
  local go
  go=$(bash -c '. scripts/lib/controlplane.sh && controlplane_go') || return 1
  AISCHED_CONTROLPLANE=$(scripts/lib/controlplane.sh) || return 1
  export AISCHED_CONTROLPLANE
  (
    cd e2e/controlplane || exit 1
    export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=''
    local unformatted
    unformatted=$("$(dirname "$("$go" env GOROOT)/bin/go")/gofmt" -l .) || exit 1
    [ -z "$unformatted" ] || {
      echo "not formatted by gofmt: $unformatted"
      exit 1
    }
    "$go" vet ./internal/... && "$go" test -v ./internal/...
  )
}

# A sample of what conformance/run.sh compares: many scenarios in one process, a few on a real API server.
stage_conformance() {
  conformance/run.sh --scenarios 40 --output tap && conformance/run.sh --cluster --scenarios 3 --output tap
}

# More at a time than processors: they wait for one another's answers most of the time.
stage_e2e-tests() {
  cargo build --package ai-storage-scheduler && cargo test --package aisched-e2e --no-fail-fast -- --test-threads=6
}

# The page in a browser, against a real API server.
stage_page() {
  have npm chromium || return "$SKIPPED"
  cargo build --package ai-storage-scheduler && (cd web && npm ci --silent && npm run --silent browser)
}

# Only with --long. One history again, with all that was told and asked for: --seed N.
stage_zero-loss() { cargo run --release --package aisched-sim --example zero_loss -- --seeds 10000; }

# The scripts against a real API server.
stage_cluster-scripts() {
  have bats || return "$SKIPPED"
  cargo build --package ai-storage-scheduler || return 1
  bats --formatter tap scripts/tests/cluster
}

SKIPPED=77

# have PROGRAM...: false with a line that says what is missing.
have() {
  local program missing=''
  for program in "$@"; do command -v "$program" >/dev/null 2>&1 || missing+=" $program"; done
  [ -z "$missing" ] || {
    echo "not installed, and not root to install it:$missing"
    return 1
  }
}

install_packages() {
  local package
  local -a missing=()
  for package in "${PACKAGES[@]}"; do command -v "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
  say "==> installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # One by one: a package that this release does not have must not keep out the others.
  apt-get update -qq >/dev/null 2>&1
  for package in "${missing[@]}"; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || say "    $package could not be installed"
  done
}

# count LOG prints "passed failed skipped" of what cargo test, bats (TAP) and go test -v printed.
count() {
  awk '
    /^test result: / { passed += $4; failed += $6; skipped += $8 }
    /^ok [0-9]+ .*# skip/ { skipped++; next }
    /^ok [0-9]+ / { passed++ }
    /^not ok [0-9]+ / { failed++ }
    /^ *--- PASS: / { passed++ }
    /^ *--- FAIL: / { failed++ }
    /^ *--- SKIP: / { skipped++ }
    END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

n_passed=0
n_failed=0
n_skipped=0
summary=''

# run_stage NAME NUMBER OF: runs it, counts its tests, notes its time.
run_stage() {
  local name=$1 log="$logs/$1.log" start=$SECONDS code verdict passed failed skipped
  printf '\n==> [%s/%s] %s\n' "$2" "$3" "$name"
  # Not in a pipe, so that what a stage exports stays.
  "stage_$name" > >(tee "$log") 2>&1
  code=$?
  # tee may still be writing its last lines.
  wait $! 2>/dev/null
  read -r passed failed skipped < <(count "$log")
  case $code in
    0) verdict=ok ;;
    "$SKIPPED")
      verdict=skipped
      skipped=$((skipped + 1))
      ;;
    *)
      verdict=FAILED
      [ "$failed" -gt 0 ] || failed=1
      ;;
  esac
  n_passed=$((n_passed + passed)) n_failed=$((n_failed + failed)) n_skipped=$((n_skipped + skipped))
  summary+=$(printf '%-16s %-8s %5d s' "$name" "$verdict" $((SECONDS - start)))
  [ $((passed + failed + skipped)) -eq 0 ] || summary+=$(printf '  %d passed, %d failed, %d skipped' "$passed" "$failed" "$skipped")
  summary+=$'\n'
}

main() {
  local quick='' i
  case "${1:-}" in
    '') ;;
    --quick) quick=1 ;;
    --long)
      export E2E_KILL_ROUNDS=20 E2E_TOGETHER_SECONDS=600 E2E_CHAOS_SECONDS=600
      FULL_STAGES+=(zero-loss)
      ;;
    -h | --help)
      STAGES+=("${FULL_STAGES[@]}")
      usage
      return
      ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  [ $# -le 1 ] || usage_error "one argument at most, not $#"
  need cargo "to build anything (https://rustup.rs)"
  [ -n "$quick" ] || STAGES+=("${FULL_STAGES[@]}")
  cd "$ROOT" || exit "$EXIT_FAILED"
  logs=$(mktemp -d)
  trap 'rm -rf "$logs"' EXIT
  trap 'exit 130' INT
  install_packages
  for ((i = 0; i < ${#STAGES[@]}; i++)); do run_stage "${STAGES[i]}" $((i + 1)) ${#STAGES[@]}; done

  printf '\n%s\n' "$summary"
  local code=0
  [ "$n_failed" -eq 0 ] || code=$EXIT_FAILED
  if [ $((n_passed + n_failed)) -eq 0 ]; then
    echo "no test ran"
    code=$EXIT_FAILED
  fi
  if [ "$n_skipped" -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped\n' "$n_passed" "$n_failed" "$n_skipped"
  else
    printf '%d passed, %d failed\n' "$n_passed" "$n_failed"
  fi
  exit "$code"
}

main "$@"
