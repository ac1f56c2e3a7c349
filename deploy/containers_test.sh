#!/bin/sh
# Builds the image, runs the containers of docker-compose.yml under load, kills, wipes and
# adds nodes, and checks that no acknowledged write is lost. Exit code 0 only when all holds.
#
# It uses a compose project, network, volumes and images of its own and removes them at the
# end, however it ends; the ports 8080 to 8084 and 6379 to 6382 of the loopback address must be free. About
# four minutes; the test ends itself after ten.
#
# Without a Docker engine it says so and ends with 0; with REQUIRE_DOCKER=1 it fails.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)

if ! docker info >/dev/null 2>&1; then
    [ "${REQUIRE_DOCKER:-}" = 1 ] || { echo "skipped: no Docker engine answers (docker info fails)"; exit 0; }
    echo "failed: no Docker engine answers (docker info fails), and REQUIRE_DOCKER=1" >&2
    exit 1
fi

base=golang:1.26-bookworm
had_base=$(docker image inspect --format yes "$base" 2>/dev/null || true)
programs=$(mktemp -d)
child=

# Runs a program so that a signal to this script reaches it at once.
run() {
    "$@" &
    child=$!
    wait "$child"
}

# What the test itself removes is gone already, unless it was killed.
clean_up() {
    status=$?
    trap '' INT TERM
    [ ! -x "$programs/containers.test" ] || (cd "$root/deploy" && "$programs/containers.test" -test.run '^TestNothingIsLeft$') || status=1
    for label in pxkv.stage=build org.opencontainers.image.title=pxkv; do
        docker image prune --force --filter "label=$label" >/dev/null
    done
    [ "$had_base" = yes ] || docker image rm "$base" >/dev/null 2>&1 || true
    rm -r "$programs"
    exit "$status"
}
interrupted() {
    trap '' INT TERM
    [ -z "$child" ] || { kill -TERM "$child" && wait "$child"; } 2>/dev/null || true
    exit 130
}
trap clean_up EXIT
trap interrupted INT TERM

run go build -o "$programs/baseimage" ./deploy/baseimage
run go test -c -tags containers -o "$programs/containers.test" ./deploy
run "$programs/baseimage"
cd deploy
run "$programs/containers.test" -test.timeout 13m -test.v -test.run '^TestContainers$'
