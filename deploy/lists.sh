#!/usr/bin/env bash
# Measures lists whose filter finds nothing in many keys, on three nodes of this machine: how much memory the nodes take
# with them, and how many puts a second there are with and without them. Called by `make lists`; it prints a table, and
# judges nothing. With the default settings it takes some two minutes, most of them for writing the keys.
#
# Settings, from the environment:
#   KEYS=200000     pairs that are looked through; each value is an object of about 100 bytes
#   LISTS=1         lists at one time, each at another node in turn
#   WHERE='value.age > 1000'   what they look for
#   ROUNDS=5        of puts without lists, and puts with lists, in turn
#   SLICE=5         seconds of each
#   CONNECTIONS=16  of the puts
#   PXKV=           a pxkv binary; built from this repository when it is not given
#   DIR=/var/tmp    where the data goes (in a new directory, removed in the end); a real disk
#   BASE_PORT=23900 ports from here to +23 must be free
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
KEYS=${KEYS:-200000} LISTS=${LISTS:-1} WHERE=${WHERE:-value.age > 1000} ROUNDS=${ROUNDS:-5} SLICE=${SLICE:-5}
CONNECTIONS=${CONNECTIONS:-16} PXKV=${PXKV:-} DIR=${DIR:-/var/tmp} BASE_PORT=${BASE_PORT:-23900}
# shellcheck source=deploy/servers.sh
. "$root/deploy/servers.sh"
# shellcheck source=deploy/tables.sh
. "$root/deploy/tables.sh"

# fill writes the keys that the lists look through.
fill() {
	awk -v n="$KEYS" 'BEGIN { for (i = 0; i < n; i++)
		printf "{\"key\":\"user:%09d\",\"value\":{\"name\":\"name %d\",\"age\":%d,\"tags\":[\"a\",\"b\"],\"city\":\"Ulm an der Donau\"}}\n", i, i, i % 100 }' |
		"$PXKV" import - --format ndjson --server "$(urls "$BASE_PORT")" >&2 || die "writing the keys failed"
}

# resident: the most that a node takes, in MiB.
resident() {
	local pid
	for pid in "${cluster[@]}"; do awk '/^VmRSS:/ { print $2 / 1024 }' "/proc/$pid/status"; done | sort -g | tail -n 1
}

# in_flight: requests of HTTP that the nodes are at, but for the question itself.
in_flight() {
	local i
	for i in 1 2 3; do curl -s "http://$host:$((BASE_PORT + i))/metrics" | awk '/^pxkv_http_in_flight_requests / { print $2 - 1 }'; done |
		awk '{ n += $1 } END { print n + 0 }'
}

idle() { [ "$(in_flight)" = 0 ]; }

# lists: one list after the other at a node, until it is killed; a line for each that ended.
lists() {
	while :; do
		curl -sS -G -o "$work/found.$1" -w '%{http_code} %{size_download} %{time_total}\n' --data-urlencode "where=$WHERE" "http://$host:$((BASE_PORT + 1 + $1 % 3))/kv"
	done
}

# begin_lists and end_lists: LISTS of them; the connections of those that are under way are closed.
begin_lists() {
	local i
	looking=()
	for ((i = 0; i < LISTS; i++)); do
		setsid bash -c "$(declare -f lists); work=$work host=$host BASE_PORT=$BASE_PORT WHERE=$(printf %q "$WHERE"); lists $i" >>"$work/lists.out" 2>>"$work/lists.log" &
		looking+=("$!")
		pids+=("$!")
	done
}

end_lists() {
	local pid
	for pid in "${looking[@]}"; do
		kill -- "-$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	wait_for 30 "no list is under way" idle
}

# puts SERIES: a slice of puts; the most memory that was seen meanwhile goes to another series.
puts() {
	local most=0 now
	"$PXKV" bench put --servers "$(urls "$BASE_PORT")" --connections "$CONNECTIONS" --output json --prepare=false --warmup 200ms \
		--duration "${SLICE}s" >"$work/slice.json" &
	local bench=$!
	while kill -0 "$bench" 2>/dev/null; do
		now=$(resident)
		most=$(printf '%s\n%s\n' "$most" "$now" | sort -g | tail -n 1)
		sleep 0.2
	done
	wait "$bench" || die "puts failed"
	field throughput <"$work/slice.json" >>"$work/puts-$1.series"
	field p99_ms <"$work/slice.json" >>"$work/p99-$1.series"
	echo "$most" >>"$work/memory-$1.series"
}

main() {
	local round
	make_work "$DIR" pxkv-lists
	if [ -z "$PXKV" ]; then
		PXKV=$work/pxkv
		(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$PXKV" ./cmd/pxkv)
	fi
	say "starting three nodes"
	start_cluster lists "$PXKV" "$BASE_PORT"
	say "writing $KEYS keys"
	fill
	say "one list by itself"
	curl -sS -G -o "$work/found" -w '%{http_code} %{size_download} %{time_total}\n' --data-urlencode "where=$WHERE" \
		"http://$host:$((BASE_PORT + 1))/kv" >"$work/alone.out"
	for ((round = 1; round <= ROUNDS; round++)); do
		say "round $round of $ROUNDS"
		puts alone
		begin_lists
		puts beside
		end_lists
	done
	echo "| $KEYS keys, $LISTS lists at once | median | each round |"
	echo "|---|---|---|"
	row "puts a second, without lists" puts-alone "%.0f"
	row "puts a second, with lists" puts-beside "%.0f"
	ratio "with / without" puts-beside puts-alone
	row "p99 of a put without lists, ms" p99-alone "%.1f"
	row "p99 of a put with lists, ms" p99-beside "%.1f"
	row "memory of the largest node without lists, MiB" memory-alone "%.0f"
	row "memory of the largest node with lists, MiB" memory-beside "%.0f"
	awk '{ printf "\nA list by itself: status %s, %s bytes, %.1f s\n", $1, $2, $3 }' "$work/alone.out"
	awk '$1 == 200 { ended++ } $1 != 200 && $1 != "000" { failed++ }
		END { printf "Beside puts %d lists ended well and %d did not; those that were under way when a round ended broke off with their clients\n", ended, failed }' "$work/lists.out"
	awk '$1 != 200 && $1 != "000"' "$work/lists.out" >&2
	say "requests under way in the end: $(in_flight)"
}

main
