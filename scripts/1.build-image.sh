#!/usr/bin/env bash
# Builds the scheduler's binary and image, tags the image for the registry and pushes it.
# Needs cargo and one of docker, podman, buildah; pulls no base image.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

usage() {
  cat <<EOF
Builds the AI Storage Scheduler's image and pushes it.

usage: ${0##*/} [-h]

steps: 1. the binary (cargo build)
       2. the image $IMAGE_NAME:$TAG, from scratch: the binary, the libraries it links to, a non-root user
       3. its tag $IMAGE
       4. the push

environment:
  REGISTRY       registry and organisation                       [$REGISTRY]
  IMAGE_NAME     name of the image                               [$IMAGE_NAME]
  TAG            its tag                                         [$TAG]
  IMAGE          the whole name to tag and push, instead of \$REGISTRY/\$IMAGE_NAME:\$TAG
  PUSH           1 pushes, 0 stops after the tag                 [1]
  ARCH           amd64 or arm64                                  [amd64]
  TARGET         Rust's target triple, e.g. x86_64-unknown-linux-musl for a static binary
                                                                 [ARCH's linux-gnu]
  CARGO_PROFILE  cargo's profile: dist is small and fast and takes long to build; release is quicker
                                                                 [dist]
  BINARY         an executable to put into the image; nothing is compiled then
  BUILDER        docker, podman or buildah                       [the first that works]

exit codes: 0 done, 1 failed, 2 wrong usage
EOF
}

# pick_builder prints the tool to use; docker's client without a daemon is passed over when another is there.
pick_builder() {
  if [ -n "${BUILDER:-}" ]; then
    need "$BUILDER" "because BUILDER names it"
    printf '%s\n' "$BUILDER"
    return
  fi
  local docker_is_down='' tool
  for tool in docker podman buildah; do
    command -v "$tool" >/dev/null 2>&1 || continue
    if [ "$tool" = docker ] && ! docker info >/dev/null 2>&1; then
      docker_is_down=1
      continue
    fi
    [ -z "$docker_is_down" ] || say "docker's daemon does not answer; $tool is used"
    printf '%s\n' "$tool"
    return
  done
  [ -z "$docker_is_down" ] || fail "docker's daemon does not answer, and neither podman nor buildah is on PATH"
  fail "none of docker, podman, buildah is on PATH; install one (Debian: apt-get install buildah)"
}

# build_binary sets $binary.
build_binary() {
  if [ -n "${BINARY:-}" ]; then
    [[ -f $BINARY && -x $BINARY ]] || fail "BINARY=$BINARY is no executable file"
    binary=$BINARY
    return
  fi
  need cargo "to build the binary (or name one with BINARY)"
  local folder=$CARGO_PROFILE output="${CARGO_TARGET_DIR:-$ROOT/target}"
  local -a target=()
  [ "$folder" != dev ] || folder=debug
  # For the machine it runs on, cargo finds what other builds left only when no target is named.
  if [ "$TARGET" != "$(rustc -vV | sed -n 's/^host: //p')" ]; then
    target=(--target "$TARGET")
    output+="/$TARGET"
  fi
  cargo build --manifest-path "$ROOT/Cargo.toml" --package ai-storage-scheduler --profile "$CARGO_PROFILE" ${target[@]+"${target[@]}"} ||
    fail "cargo could not build the binary for $TARGET (is the target installed? rustup target add $TARGET)"
  binary="$output/$folder/ai-storage-scheduler"
}

# libraries prints the shared libraries that a binary needs, its loader included; nothing for a static one.
libraries() {
  local listing
  listing=$(LC_ALL=C ldd "$1" 2>&1) || {
    [[ $listing != *"not a dynamic executable"* ]] || return 0
    fail "the libraries of $1 cannot be listed: $listing"
  }
  [[ $listing != *"not found"* ]] || fail "libraries of $1 are missing: $listing"
  sed -n -e 's/^.* => \(\/[^ ]*\) (.*$/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*\) (.*$/\1/p' <<<"$listing"
}

# lay_out_root DIR fills DIR with the image's files.
lay_out_root() {
  local root=$1 list library certificates
  mkdir -p "$root/etc/ssl/certs" "$root/tmp"
  chmod 0755 "$root"
  chmod 1777 "$root/tmp"
  install -m 0755 "$binary" "$root/ai-storage-scheduler"
  list=$(libraries "$binary") || exit "$EXIT_FAILED"
  while IFS= read -r library; do
    [ -n "$library" ] || continue
    # The path that the binary names, with the file behind the links: /lib may be a link to /usr/lib here.
    install -D -m 0755 "$(readlink -f "$library")" "$root$library"
  done <<<"$list"
  # Who runs it, how names are looked up, whom TLS clients trust.
  printf 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$root/etc/passwd"
  printf 'nonroot:x:65532:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  for certificates in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    if [ -r "$certificates" ]; then
      install -m 0644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
      break
    fi
  done
}

# full_name IMAGE spells out docker.io where docker would imply it; podman and buildah would think of localhost.
full_name() {
  case "$1" in
    localhost/* | *.*/* | *:*/*) printf '%s\n' "$1" ;;
    */*) printf 'docker.io/%s\n' "$1" ;;
    *) printf 'docker.io/library/%s\n' "$1" ;;
  esac
}

# push_image: to a registry by its full name, whatever the tool's own short names mean.
push_image() {
  case "$builder" in
    docker) docker push "$IMAGE" ;;
    *) "$builder" push "$IMAGE" "docker://$IMAGE" ;;
  esac || fail "$builder could not push $IMAGE (logged in? '$builder login'; PUSH=0 skips the push)"
}

read_settings() {
  : "${PUSH:=1}" "${ARCH:=amd64}" "${CARGO_PROFILE:=dist}"
  case "$ARCH" in
    amd64) : "${TARGET:=x86_64-unknown-linux-gnu}" ;;
    arm64) : "${TARGET:=aarch64-unknown-linux-gnu}" ;;
    *) usage_error "ARCH=$ARCH is not known: amd64 or arm64" ;;
  esac
  case "$PUSH" in
    0 | 1) ;;
    *) usage_error "PUSH=$PUSH is not known: 0 or 1" ;;
  esac
  case "${BUILDER:-}" in
    '' | docker | podman | buildah) ;;
    *) usage_error "BUILDER=$BUILDER is not known: docker, podman or buildah" ;;
  esac
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
  read_settings
  local local_image="$IMAGE_NAME:$TAG" builder
  # Before the long build, not after it.
  builder=$(pick_builder) || exit "$EXIT_FAILED"
  [ "$builder" = docker ] || IMAGE=$(full_name "$IMAGE")

  say "[1/4] binary"
  build_binary
  say "[2/4] image $local_image ($builder)"
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  lay_out_root "$context"
  "$builder" build --file "$ROOT/Containerfile" --platform "linux/$ARCH" --tag "$local_image" "$context" ||
    fail "$builder could not build $local_image"
  say "[3/4] tag $IMAGE"
  "$builder" tag "$local_image" "$IMAGE" || fail "$builder could not tag $IMAGE"
  if [ "$PUSH" = 0 ]; then
    say "[4/4] push: skipped (PUSH=0)"
  else
    say "[4/4] push $IMAGE"
    push_image
  fi
  say "done: $IMAGE"
}

main "$@"
