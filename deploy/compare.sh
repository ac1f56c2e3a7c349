#!/usr/bin/env bash
# Compares pxkv with etcd and with a bare net/http handler, side by side on this machine:
# three nodes of each, all on 127.0.0.1, data on the same disk, the same load engine
# (pxkv bench) for all. Rounds are interleaved, and ratios are taken within a round, since
# the speed of a machine drifts. Called by `make compare`; takes about six minutes.
#
# Settings, from the environment:
#   ROUNDS=5        rounds; the table shows medians
#   DURATION=5      seconds of each measurement
#   CONNECTIONS=64  connections, one request in flight each
#   KEYS=10000 SIZE=256   keys, and bytes of a value
#   IDLE=20         seconds over which the idle nodes' CPU is measured; 0 leaves it out
#   LIST=0          1: also load LIST_KEYS=1000000 keys and watch the memory during GET /kv
#   DIR=/var/tmp    where the data goes (in a new directory, removed in the end); a real disk
#   OUT=bin/compare.md  where the result goes
#   BASE_PORT=23700 ports from here to +60 must be free
#   ETCD=           path of an etcd binary; default: etcd from PATH, else Debian's package
#                   etcd-server, unpacked below bin/ (not installed, needs no root)
#   PXKV=           path of a pxkv binary; default: built from this repository
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ROUNDS=${ROUNDS:-5} DURATION=${DURATION:-5} CONNECTIONS=${CONNECTIONS:-64}
KEYS=${KEYS:-10000} SIZE=${SIZE:-256} IDLE=${IDLE:-20} LIST=${LIST:-0} LIST_KEYS=${LIST_KEYS:-1000000}
DIR=${DIR:-/var/tmp} OUT=${OUT:-$root/bin/compare.md} BASE_PORT=${BASE_PORT:-23700}
ETCD=${ETCD:-} PXKV=${PXKV:-}

# shellcheck source=deploy/servers.sh
. "$root/deploy/servers.sh"
# shellcheck source=deploy/tables.sh
. "$root/deploy/tables.sh"

# --- programs -------------------------------------------------------------------------

find_programs() {
	if [ -z "$PXKV" ]; then
		say "building pxkv"
		PXKV=$work/pxkv
		(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$PXKV" ./cmd/pxkv)
	fi
	[ -n "$ETCD" ] || ETCD=$(command -v etcd || true)
	[ -n "$ETCD" ] || ETCD=$root/bin/etcd/usr/bin/etcd
	if [ ! -x "$ETCD" ]; then
		command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
			die "there is no etcd here; give the path of one: make compare ETCD=/path/to/etcd"
		say "fetching Debian's etcd-server (unpacked below bin/etcd, not installed)"
		mkdir -p "$root/bin/etcd" "$work/deb"
		(cd "$work/deb" && apt-get -qq download etcd-server) ||
			die "apt-get knows no etcd-server: run apt-get update as root, or give ETCD=/path/to/etcd"
		dpkg-deb -x "$work"/deb/etcd-server_*.deb "$root/bin/etcd"
	fi
}

# --- servers --------------------------------------------------------------------------

port() { echo $((BASE_PORT + $1)); }
url() { echo "http://$host:$(port "$1")"; }
pxkv_servers=$(urls "$BASE_PORT")
etcd_servers=$(urls $((BASE_PORT + 30)))
bare_server=$(url 51)

start_etcd() {
	local i cluster
	cluster="e1=$(url 41),e2=$(url 42),e3=$(url 43)"
	for i in 1 2 3; do
		start "etcd$i" "$ETCD" --name "e$i" --data-dir "$work/etcd$i" \
			--listen-client-urls "$(url 3"$i")" --advertise-client-urls "$(url 3"$i")" \
			--listen-peer-urls "$(url 4"$i")" --initial-advertise-peer-urls "$(url 4"$i")" \
			--initial-cluster "$cluster" --initial-cluster-token pxkv-compare --initial-cluster-state new
	done
	for i in 1 2 3; do
		wait_for 60 "etcd node $i takes writes" "$PXKV" bench put --target etcd --servers "$(url 3"$i")" \
			--requests 1 --connections 1 --warmup 0 --timeout 2s
	done
}

start_bare() {
	start bare "$PXKV" bench serve-bare --listen "${bare_server#http://}" --size "$SIZE"
	wait_for 10 "the bare handler answers" "$PXKV" bench --target raw --servers "$bare_server" \
		--requests 1 --connections 1 --warmup 0
}

# --- measurements ---------------------------------------------------------------------

# note SERIES VALUE: adds a value, one a round.
note() { echo "$2" >>"$work/$1.series"; }

failures=0

# measure SERIES ARGUMENTS...: one run of pxkv bench; its rate goes to SERIES.rate and its
# median latency to SERIES.p50.
measure() {
	local series=$1 json
	shift
	json=$(timeout $((DURATION + 120)) "$PXKV" bench "$@" --output json --prepare=false \
		--duration "${DURATION}s" --keys "$KEYS" --size "$SIZE") || die "measuring $series failed"
	note "$series.rate" "$(field throughput <<<"$json")"
	note "$series.p50" "$(field p50_ms <<<"$json")"
	local failed
	failed=$(field failed <<<"$json")
	if [ "$failed" != 0 ]; then
		say "  $series: $failed requests failed"
		failures=$((failures + failed))
	fi
}

prepare() {
	say "writing $KEYS keys to both"
	local target servers
	for target in pxkv etcd; do
		servers=$pxkv_servers
		[ $target = pxkv ] || servers=$etcd_servers
		timeout 600 "$PXKV" bench put --target $target --servers "$servers" --keys "$KEYS" --size "$SIZE" \
			--prepare --requests 1 --warmup 0 >/dev/null || die "writing the keys to $target failed"
	done
}

run_rounds() {
	local round many="--connections $CONNECTIONS"
	for ((round = 1; round <= ROUNDS; round++)); do
		say "round $round of $ROUNDS"
		# shellcheck disable=SC2086 # $many is two words
		{
			measure bare get --target raw --servers "$bare_server" $many
			measure get get --servers "$pxkv_servers" $many
			measure etcd-get get --target etcd --servers "$etcd_servers" $many
			measure put put --servers "$pxkv_servers" $many
			measure etcd-put put --target etcd --servers "$etcd_servers" $many
		}
		measure put1 put --servers "$pxkv_servers" --connections 1
		measure etcd-put1 put --target etcd --servers "$etcd_servers" --connections 1
		local fsync
		fsync=$("$PXKV" bench fsync --dir "$work" --count 1000 --output json) || die "measuring fsync failed"
		note fsync.p50 "$(field p50_ms <<<"$fsync")" # the first is fdatasync
	done
}

# cpu_ticks PID: user and system time so far, in clock ticks.
cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# rss_mib PID: resident memory.
rss_mib() { awk '/^VmRSS:/ { printf "%.0f\n", $2 / 1024 }' "/proc/$1/status"; }

idle_lines=""
measure_idle() {
	[ "$IDLE" -gt 0 ] || return 0
	say "measuring the idle nodes for $IDLE s"
	sleep 3 # what starting has left to do
	local i before=()
	for i in 0 1 2; do before[i]=$(cpu_ticks "${pxkv_pids[i]}"); done
	sleep "$IDLE"
	for i in 0 1 2; do
		idle_lines+=$(awk -v n=$((i + 1)) -v a="${before[i]}" -v b="$(cpu_ticks "${pxkv_pids[i]}")" \
			-v hz="$(getconf CLK_TCK)" -v s="$IDLE" -v rss="$(rss_mib "${pxkv_pids[i]}")" \
			'BEGIN { printf "| n%d | %.1f %% | %d MiB |", n, 100 * (b - a) / hz / s, rss }')$'\n'
	done
}

list_lines=""
measure_list() {
	[ "$LIST" = 1 ] || return 0
	say "writing $LIST_KEYS small keys (this takes a while)"
	timeout 3600 "$PXKV" bench put --servers "$pxkv_servers" --connections 128 --keys "$LIST_KEYS" --size 16 \
		--prepare --requests 1 --warmup 0 >/dev/null || die "writing $LIST_KEYS keys failed"
	sleep 5 # flushes and compactions
	local i before=() peak=() now began=$SECONDS
	for i in 0 1 2; do before[i]=$(rss_mib "${pxkv_pids[i]}") peak[i]=${before[i]}; done
	"$PXKV" list --server "$(url 1)" --timeout 60s >"$work/list.out" &
	local list=$!
	pids+=("$list")
	while kill -0 "$list" 2>/dev/null; do
		for i in 0 1 2; do
			now=$(rss_mib "${pxkv_pids[i]}")
			[ "$now" -le "${peak[i]}" ] || peak[i]=$now
		done
		sleep 0.1
	done
	wait "$list" || die "the list failed"
	local n
	n=$(wc -l <"$work/list.out")
	list_lines="GET /kv of $n keys through n1 in $((SECONDS - began)) s."$'\n\n'"| node | RSS before | highest during the list |"$'\n'"|---|---|---|"$'\n'
	for i in 0 1 2; do list_lines+="| n$((i + 1)) | ${before[i]} MiB | ${peak[i]} MiB |"$'\n'; done
}

# --- result ---------------------------------------------------------------------------

report() {
	local cpu
	cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	echo "Measured $(date -u +%Y-%m-%d) on $(nproc) x ${cpu:-$(uname -m)}, Linux $(uname -r), $("$PXKV" version)," \
		"etcd $("$ETCD" --version | sed -n 's/etcd Version: //p'). Three nodes each and the client share the machine;" \
		"$CONNECTIONS connections with one request in flight over HTTP, $KEYS keys, $SIZE-byte values," \
		"$ROUNDS interleaved rounds of $DURATION s each. Failed requests: $failures."
	echo
	echo "| measure | median | rounds |"
	echo "|---|---|---|"
	row "bare net/http handler, GET/s" bare.rate "%.0f"
	row "pxkv, any node, linearizable GET/s" get.rate "%.0f"
	row "etcd, any node, linearizable range/s" etcd-get.rate "%.0f"
	row "pxkv, any node, PUT/s" put.rate "%.0f"
	row "etcd, any node, put/s" etcd-put.rate "%.0f"
	row "pxkv, one connection, PUT p50 ms" put1.p50 "%.3f"
	row "etcd, one connection, put p50 ms" etcd-put1.p50 "%.3f"
	row "256-byte append and fdatasync, p50 ms" fsync.p50 "%.3f"
	ratio "**pxkv GET / bare handler**" get.rate bare.rate
	ratio "**pxkv GET / etcd range**" get.rate etcd-get.rate
	ratio "**pxkv PUT / etcd put**" put.rate etcd-put.rate
	ratio "**pxkv PUT p50, one connection, in fdatasyncs**" put1.p50 fsync.p50
	if [ -n "$idle_lines" ]; then
		printf '\nIdle, over %s s, before any load:\n\n| node | of one core | RSS |\n|---|---|---|\n%s' "$IDLE" "$idle_lines"
	fi
	[ -z "$list_lines" ] || printf '\n%s' "$list_lines"
}

main() {
	make_work "$DIR" pxkv-compare
	find_programs
	say "starting three pxkv nodes, three etcd nodes and a bare handler"
	start_cluster pxkv "$PXKV" "$BASE_PORT"
	pxkv_pids=("${cluster[@]}")
	measure_idle
	start_etcd
	start_bare
	prepare
	run_rounds
	measure_list
	mkdir -p "$(dirname "$OUT")"
	report | tee "$OUT"
	say
	say "written to $OUT"
}

main
