#!/usr/bin/env bash
# Compares pxkv with Redis, side by side on this machine, with Redis's own redis-benchmark: three
# pxkv nodes in cluster mode (the node that is asked leads the keys), one redis-server that keeps
# nothing on disk, and one that syncs every write (appendonly yes, appendfsync always), which is
# what a pxkv node promises, but on one machine only. Rounds are interleaved, and ratios are
# taken within a round, since the speed of a machine drifts. Called by `make redisbench`; takes
# about five minutes.
#
# Settings, from the environment:
#   ROUNDS=5        rounds; the table shows medians
#   REQUESTS=100000 a measure of requests: twice as many SETs, six times as many GETs, and with
#                   pipelining eight and sixty times as many, so that each measurement takes
#                   seconds. (In cluster mode redis-benchmark looks only four times a second
#                   whether it is done.)
#   CONNECTIONS=64  connections
#   SIZE=256 KEYS=10000  bytes of a value, and different keys on each node, which all exist
#   PIPELINES="1 16"  commands that a connection sends at once
#   DIR=/var/tmp    where the data goes (in a new directory, removed in the end); a real disk
#   OUT=bin/redisbench.md  where the result goes
#   BASE_PORT=23900 ports from here to +60 must be free
#   PXKV=           path of a pxkv binary; default: built from this repository
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ROUNDS=${ROUNDS:-5} REQUESTS=${REQUESTS:-100000} CONNECTIONS=${CONNECTIONS:-64} SIZE=${SIZE:-256} KEYS=${KEYS:-10000}
PIPELINES=${PIPELINES:-1 16} DIR=${DIR:-/var/tmp} OUT=${OUT:-$root/bin/redisbench.md} BASE_PORT=${BASE_PORT:-23900}
PXKV=${PXKV:-}

# shellcheck source=deploy/servers.sh
. "$root/deploy/servers.sh"
# shellcheck source=deploy/tables.sh
. "$root/deploy/tables.sh"

memory_port=$((BASE_PORT + 41)) synced_port=$((BASE_PORT + 42)) pxkv_port=$((BASE_PORT + 4))

find_programs() {
	local program
	for program in redis-server redis-cli redis-benchmark; do
		command -v $program >/dev/null || die "there is no $program here; on Debian: apt-get install redis-server redis-tools"
	done
	if [ -z "$PXKV" ]; then
		say "building pxkv"
		PXKV=$work/pxkv
		(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$PXKV" ./cmd/pxkv)
	fi
}

# start_redis NAME PORT SETTINGS...
start_redis() {
	local name=$1 port=$2
	shift 2
	mkdir "$work/$name"
	start "$name" redis-server --bind "$host" --port "$port" --dir "$work/$name" --save "" "$@"
	wait_for 10 "$name answers" redis-cli -h "$host" -p "$port" PING
}

# measure SERIES PORT PIPELINE ARGUMENTS...: one run of redis-benchmark; the rates of SET and GET
# go to SERIES.set and SERIES.get.
measure() {
	local series=$1 port=$2 pipeline=$3 requests=$REQUESTS test rate
	shift 3
	for test in set get; do
		case $pipeline-$test in
		1-set) requests=$((2 * REQUESTS)) ;;
		1-get) requests=$((6 * REQUESTS)) ;;
		*-set) requests=$((8 * REQUESTS)) ;;
		*) requests=$((60 * REQUESTS)) ;;
		esac
		timeout 300 redis-benchmark -h "$host" -p "$port" -c "$CONNECTIONS" -d "$SIZE" -r "$KEYS" -n "$requests" \
			-P "$pipeline" -t $test --csv "$@" >"$work/out.csv" 2>"$work/err.txt" ||
			die "measuring $series failed: $(tail -n 1 "$work/err.txt")"
		rate=$(awk -F '"' '$2 ~ /^(SET|GET)$/ { print $4 }' "$work/out.csv")
		[ -n "$rate" ] || die "measuring $series gave no rate: $(tail -n 2 "$work/out.csv" "$work/err.txt")"
		echo "$rate" >>"$work/$series.$test.series"
	done
}

report() {
	local cpu p test
	cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	echo "Measured $(date -u +%Y-%m-%d) on $(nproc) x ${cpu:-$(uname -m)}, Linux $(uname -r), $("$PXKV" version)," \
		"$(redis-server --version | awk '{ print "Redis " $3 }' | sed 's/v=//'). All servers and the client share the machine; $CONNECTIONS connections," \
		"$SIZE-byte values, $KEYS keys a node, $ROUNDS interleaved rounds."
	echo
	echo "| commands/s | median | rounds |"
	echo "|---|---|---|"
	for p in $PIPELINES; do
		for test in GET SET; do
			row "pxkv, 3 nodes, on disk on a majority: $test, -P $p" "pxkv$p.${test,,}" "%.0f"
			row "Redis, 1 node, in memory only: $test, -P $p" "memory$p.${test,,}" "%.0f"
			row "Redis, 1 node, appendfsync always: $test, -P $p" "synced$p.${test,,}" "%.0f"
			ratio "**pxkv / Redis in memory: $test, -P $p**" "pxkv$p.${test,,}" "memory$p.${test,,}"
			ratio "**pxkv / Redis appendfsync always: $test, -P $p**" "pxkv$p.${test,,}" "synced$p.${test,,}"
		done
	done
}

main() {
	make_work "$DIR" pxkv-redisbench
	find_programs
	say "starting three pxkv nodes and two Redis servers"
	start_cluster pxkv "$PXKV" "$BASE_PORT"
	start_redis memory "$memory_port" --appendonly no
	start_redis synced "$synced_port" --appendonly yes --appendfsync always
	local round p
	for ((round = 1; round <= ROUNDS; round++)); do
		say "round $round of $ROUNDS"
		for p in $PIPELINES; do
			measure "memory$p" "$memory_port" "$p"
			measure "pxkv$p" "$pxkv_port" "$p" --cluster
			measure "synced$p" "$synced_port" "$p"
		done
	done
	mkdir -p "$(dirname "$OUT")"
	report | tee "$OUT"
	say
	say "written to $OUT"
}

main
