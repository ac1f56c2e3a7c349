#!/usr/bin/env bash
# Compares two builds of pxkv on this machine: a cluster of three nodes of each, loaded in
# turn for a second and a half, many times, since the speed of a machine drifts more within a
# minute than most changes are worth. Ratios are taken of neighbouring slices. Called by
# `make versus OLD=path NEW=path`; takes about three minutes.
#
# Settings, from the environment:
#   OLD= NEW=      two pxkv binaries; NEW is built from this repository when it is not given.
#                  The load comes from OLD in both cases
#   OLD_FLAGS= NEW_FLAGS=  of pxkv serve besides, for each: with one binary twice, flags are compared
#   DIST=uniform   how keys are drawn: uniform or zipf
#   SLICES=14      of each build, for each of the three measurements
#   KEYS=10000 SIZE=256
#   DIR=/var/tmp   where the data goes (in a new directory, removed in the end); a real disk
#   BASE_PORT=23700  ports from here to +123 must be free
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OLD=${OLD:-} NEW=${NEW:-} SLICES=${SLICES:-14} KEYS=${KEYS:-10000} SIZE=${SIZE:-256}
OLD_FLAGS=${OLD_FLAGS:-} NEW_FLAGS=${NEW_FLAGS:-} DIST=${DIST:-uniform}
DIR=${DIR:-/var/tmp} BASE_PORT=${BASE_PORT:-23700}
# shellcheck source=deploy/servers.sh
. "$root/deploy/servers.sh"

# slice PORT MODE CONNECTIONS: the rate and the median latency of one slice.
slice() {
	"$OLD" bench "$2" --servers "$(urls "$1")" --connections "$3" --output json --prepare=false \
		--warmup 200ms --duration 1500ms --keys "$KEYS" --size "$SIZE" --dist "$DIST" >"$work/slice.json" || die "a slice of load failed"
	echo "$(field throughput <"$work/slice.json") $(field p50_ms <"$work/slice.json")"
}

# quartiles COLUMN: of the ratios in that column of the standard input.
quartiles() {
	awk -v c="$1" '{ print $c }' | sort -g |
		awk '{ v[NR] = $1 } END { printf "%.2f (%.2f to %.2f)", v[int((NR + 1) / 2)], v[int((NR + 3) / 4)], v[int((3 * NR + 1) / 4)] }'
}

# versus MODE CONNECTIONS: one line of the table.
versus() {
	local i old new
	say "$1 over $2 connections"
	for ((i = 0; i < SLICES; i++)); do
		old=$(slice "$BASE_PORT" "$1" "$2")
		new=$(slice "$((BASE_PORT + 100))" "$1" "$2")
		awk -v o="$old" -v n="$new" 'BEGIN { split(o, a); split(n, b); print b[1] / a[1], b[2] / a[2] }'
	done >"$work/ratios"
	echo "| $1, $2 connections | $(quartiles 1 <"$work/ratios") | $(quartiles 2 <"$work/ratios") |"
}

# hits PORT: the share of lookups that the value caches of a cluster had.
hits() {
	local i
	for i in 1 2 3; do curl -s "http://$host:$(($1 + i))/metrics" | grep '^pxkv_cache_lookups_total'; done |
		awk '/hit/ { h += $2 } { n += $2 } END { print n ? sprintf("%.2f", h / n) : "none" }'
}

main() {
	[ -x "$OLD" ] || die "give OLD= the path of a pxkv binary to compare with"
	make_work "$DIR" pxkv-versus
	if [ -z "$NEW" ]; then
		NEW=$work/pxkv
		(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$NEW" ./cmd/pxkv)
	fi
	say "starting three nodes of each"
	local flags
	read -ra flags <<<"$OLD_FLAGS"
	start_cluster old "$OLD" "$BASE_PORT" "${flags[@]}"
	read -ra flags <<<"$NEW_FLAGS"
	start_cluster new "$NEW" "$((BASE_PORT + 100))" "${flags[@]}"
	local port
	for port in "$BASE_PORT" "$((BASE_PORT + 100))"; do
		"$OLD" bench put --servers "$(urls "$port")" --keys "$KEYS" --size "$SIZE" --prepare --requests 1 --warmup 0 >/dev/null ||
			die "writing the keys failed"
	done
	echo "| new / old, median (quartiles) of $SLICES slices | rate | p50 |"
	echo "|---|---|---|"
	versus get 64
	versus put 64
	versus put 1
	echo
	echo "share of reads of single keys that the value cache answered: old $(hits "$BASE_PORT"), new $(hits "$((BASE_PORT + 100))")"
}

main
