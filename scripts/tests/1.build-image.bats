#!/usr/bin/env bats
# Tests scripts/1.build-image.sh with stand-ins, and for real with buildah where it is installed.
# Pushes nowhere.

load common

# A stand-in for cargo that leaves a binary behind, as cargo does.
with_cargo() {
  stand_in cargo
  printf '#!/bin/sh\necho "host: x86_64-unknown-linux-gnu"\n' >"$BIN/rustc"
  chmod +x "$BIN/rustc"
  export CARGO_TARGET_DIR="$BATS_TEST_TMPDIR/target"
  local folder
  for folder in dist release aarch64-unknown-linux-musl/dist; do
    install -D "$(command -v env)" "$CARGO_TARGET_DIR/$folder/ai-storage-scheduler"
  done
}

# calls without the folder whose name differs each time
calls() { sed -e 's| /tmp/[^ ]*$| CONTEXT|' -e "s|$BATS_TEST_TMPDIR/[^ ]*\$|CONTEXT|" -i "$RECORD"; }

@test "without arguments it builds, tags and pushes the guide's names" {
  with_cargo
  stand_in docker
  run_script 1.build-image.sh
  assert_status 0
  calls
  assert_calls <<EOF
docker info
cargo build --manifest-path $ROOT/Cargo.toml --package ai-storage-scheduler --profile dist
docker build --file $ROOT/Containerfile --platform linux/amd64 --tag keti-ai-storage-scheduler:latest CONTEXT
docker tag keti-ai-storage-scheduler:latest ketidevit2/keti-ai-storage-scheduler:latest
docker push ketidevit2/keti-ai-storage-scheduler:latest
EOF
  assert_output_has "done: ketidevit2/keti-ai-storage-scheduler:latest"
}

@test "registry, name, tag, architecture, profile and pushing are overridable" {
  with_cargo
  stand_in docker
  export REGISTRY=registry.example:5000/team IMAGE_NAME=sched TAG=v1 ARCH=arm64 TARGET=aarch64-unknown-linux-musl PUSH=0
  run_script 1.build-image.sh
  assert_status 0
  calls
  assert_calls <<EOF
docker info
cargo build --manifest-path $ROOT/Cargo.toml --package ai-storage-scheduler --profile dist --target aarch64-unknown-linux-musl
docker build --file $ROOT/Containerfile --platform linux/arm64 --tag sched:v1 CONTEXT
docker tag sched:v1 registry.example:5000/team/sched:v1
EOF
}

@test "CARGO_PROFILE chooses the profile" {
  with_cargo
  stand_in docker
  CARGO_PROFILE=release run_script 1.build-image.sh
  assert_status 0
  grep -q -- '--profile release' "$RECORD"
}

@test "IMAGE names the whole image" {
  stand_in docker
  BINARY=$(command -v env) IMAGE=registry.example/a/b:c run_script 1.build-image.sh
  assert_status 0
  grep -qx 'docker push registry.example/a/b:c' "$RECORD"
}

@test "BINARY spares the compilation" {
  stand_in docker cargo
  BINARY=$(command -v env) run_script 1.build-image.sh
  assert_status 0
  refute_recorded '^cargo'
}

@test "a BINARY that is not there is an error that names it" {
  stand_in docker
  BINARY=/nowhere/x run_script 1.build-image.sh
  assert_status 1
  assert_output_has "BINARY=/nowhere/x"
}

@test "docker without a daemon is passed over for podman, and the push names docker.io" {
  stand_in docker podman
  answer 1 'docker info'
  BINARY=$(command -v env) run_script 1.build-image.sh
  assert_status 0
  grep -qx 'podman push docker.io/ketidevit2/keti-ai-storage-scheduler:latest docker://docker.io/ketidevit2/keti-ai-storage-scheduler:latest' "$RECORD"
}

@test "docker without a daemon alone is an error" {
  stand_in docker
  answer 1 'docker info'
  BINARY=$(command -v env) run_script 1.build-image.sh
  assert_status 1
  assert_output_has "docker's daemon does not answer"
}

@test "no builder at all is an error that says what to install" {
  BINARY=$(command -v env) run_script 1.build-image.sh
  assert_status 1
  assert_output_has "none of docker, podman, buildah"
}

@test "BUILDER chooses the tool" {
  stand_in docker buildah
  BINARY=$(command -v env) BUILDER=buildah PUSH=0 run_script 1.build-image.sh
  assert_status 0
  refute_recorded '^docker'
  grep -q '^buildah build' "$RECORD"
}

@test "failures of cargo, build, tag and push are passed on" {
  with_cargo
  stand_in docker
  local step
  for step in 'cargo build*' 'docker build*' 'docker tag*' 'docker push*'; do
    : >"$ANSWERS"
    answer 7 "$step"
    run_script 1.build-image.sh
    assert_status 1
    assert_output_has "error: "
    grep -v '^  | ' "$RECORD" | tail -n 1 | grep -q "^${step%'*'}"
  done
}

@test "wrong usage exits 2 and calls nothing" {
  stand_in docker cargo
  local setting
  run_script 1.build-image.sh --push
  assert_status 2
  for setting in ARCH=mips PUSH=maybe BUILDER=kaniko; do
    run env "$setting" "$ROOT/scripts/1.build-image.sh"
    assert_status 2
    assert_output_has "$setting"
  done
  assert_calls </dev/null
}

@test "-h explains every variable and calls nothing" {
  stand_in docker
  run_script 1.build-image.sh -h
  assert_status 0
  local name
  for name in REGISTRY IMAGE_NAME TAG IMAGE PUSH ARCH TARGET CARGO_PROFILE BINARY BUILDER; do assert_output_has "  $name "; done
  assert_calls </dev/null
}

@test "buildah makes an image whose binary runs in it as the non-root user" {
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  command -v buildah >/dev/null || skip "buildah is not installed"
  [ "$(id -u)" = 0 ] || skip "mounting an image needs root"
  # A store of its own: the developer's images stay as they are.
  export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF="$BATS_TEST_TMPDIR/storage.conf"
  printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" >"$CONTAINERS_STORAGE_CONF"
  # `id` is linked against more than libc, and tells who runs it.
  BINARY=$(command -v id) BUILDER=buildah PUSH=0 run_script 1.build-image.sh
  assert_status 0
  run buildah inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Architecture}}' docker.io/ketidevit2/keti-ai-storage-scheduler:latest
  [ "$output" = "65532:65532 [/ai-storage-scheduler] amd64" ]
  local container mount
  container=$(buildah from --pull-never keti-ai-storage-scheduler:latest)
  mount=$(buildah mount "$container")
  run chroot --userspec=65532:65532 "$mount" /ai-storage-scheduler -un
  buildah rm "$container"
  assert_status 0
  [ "$output" = nonroot ]
  buildah rmi --all --force
}
