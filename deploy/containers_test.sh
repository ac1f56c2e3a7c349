#!/bin/sh
# Builds the image, runs the containers of docker-compose.yml under load, kills, wipes and
# adds nodes, and checks that no acknowledged write is lost. Exit code 0 only when all holds.
#
# It uses a compose project, network, volumes and image of its own and removes them at the
# end; the ports 8080 to 8084 of the loopback address must be free. About five minutes; the
# test ends itself after ten, and -timeout only guards that.
set -eu
cd "$(dirname "$0")/.."

base=golang:1.26-bookworm
had_base=$(docker image inspect --format yes "$base" 2>/dev/null || true)

# Removes a stand-in for the base image that this script made, and what was built on it.
clean_up() {
    [ "$had_base" != yes ] || return 0
    local_base=$(docker image inspect --format '{{index .Config.Labels "pxkv.baseimage"}}' "$base" 2>/dev/null || true)
    [ "$local_base" = local ] || return 0
    docker image prune --force --filter label=pxkv.baseimage=local >/dev/null
    docker image rm "$base" >/dev/null
}
trap clean_up EXIT
trap 'exit 130' INT TERM

go run ./deploy/baseimage
go test -tags containers -count=1 -timeout 13m -v -run '^TestContainers$' ./deploy
