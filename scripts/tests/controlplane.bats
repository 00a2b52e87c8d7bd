#!/usr/bin/env bats
# Tests scripts/lib/controlplane.sh with a Go that only pretends: when it builds, and what it says when it cannot.
# Whether the control plane works is tested by whatever uses it.
# shellcheck disable=SC2154  # bats sets stderr

bats_require_minimum_version 1.5.0
load common

@test "AISCHED_CONTROLPLANE spares the build, and must be executable" {
  AISCHED_CONTROLPLANE=$(command -v env) run_script lib/controlplane.sh
  assert_status 0
  [ "$output" = "$BIN/env" ]
  AISCHED_CONTROLPLANE=/nowhere/cp run_script lib/controlplane.sh
  assert_status 1
  assert_output_has /nowhere/cp
}

# A copy of the library beside sources of its own, and a Go that only pretends.
with_pretended_go() {
  mkdir -p "$BATS_TEST_TMPDIR/repo/scripts/lib" "$BATS_TEST_TMPDIR/repo/e2e/controlplane"
  install "$ROOT/scripts/lib/controlplane.sh" "$BATS_TEST_TMPDIR/repo/scripts/lib/"
  printf 'module x\n\ngo 1.26.0\n' >"$BATS_TEST_TMPDIR/repo/e2e/controlplane/go.mod"
  echo 'package main' >"$BATS_TEST_TMPDIR/repo/e2e/controlplane/main.go"
  local tool
  for tool in flock sha256sum touch; do ln -s "/usr/bin/$tool" "$BIN/$tool"; done
  cat >"$BIN/go" <<'EOF'
#!/usr/bin/env bash
[ "$1" != env ] || { echo "go${PRETENDED_GO:-1.26.8}"; exit; }
echo "go $1" >>"$RECORD"
[ -z "${GO_FAILS:-}" ] || { echo "main.go:1: broken"; exit 1; }
while [ "$1" != -o ]; do shift; done
install -m 0755 "$0" "$2"
EOF
  chmod +x "$BIN/go"
  export XDG_CACHE_HOME="$BATS_TEST_TMPDIR/cache"
}

control_plane() { run --separate-stderr "$BATS_TEST_TMPDIR/repo/scripts/lib/controlplane.sh"; }

@test "the control plane is built once, and again only when its sources change" {
  with_pretended_go
  control_plane
  assert_status 0
  [ -x "$output" ]
  local first=$output
  control_plane
  [ "$output" = "$first" ]
  assert_calls <<<'go build'
  echo '// a test' >"$BATS_TEST_TMPDIR/repo/e2e/controlplane/main_test.go"
  control_plane
  [ "$output" = "$first" ]
  echo '// changed' >>"$BATS_TEST_TMPDIR/repo/e2e/controlplane/main.go"
  control_plane
  [ "$output" != "$first" ]
  assert_calls <<EOF
go build
go build
EOF
}

@test "two callers at once build once" {
  with_pretended_go
  local script="$BATS_TEST_TMPDIR/repo/scripts/lib/controlplane.sh" other
  "$script" >"$BATS_TEST_TMPDIR/other" 2>/dev/null &
  other=$!
  control_plane
  assert_status 0
  wait "$other"
  [ "$(cat "$BATS_TEST_TMPDIR/other")" = "$output" ]
  assert_calls <<<'go build'
}

@test "a build that fails shows why and leaves no binary" {
  with_pretended_go
  GO_FAILS=1 control_plane
  assert_status 1
  [[ $stderr == *"main.go:1: broken"* ]]
  control_plane
  assert_status 0
}

@test "an old Go without python is an error that says what is missing" {
  with_pretended_go
  PRETENDED_GO=1.21.3 control_plane
  assert_status 1
  [[ $stderr == *"neither Go 1.26 nor python3"* ]]
}
