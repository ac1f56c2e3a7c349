# shellcheck shell=bash
# Starting servers for a measurement, waiting for them, and ending all of them however the
# script ends. Sourced by compare.sh, versus.sh, redisbench.sh and lists.sh, which set $root before.

pids=() # every process that the script has started
work="" # everything that the script writes, but for its result
host=127.0.0.1

say() { printf '%s\n' "$*" >&2; }

die() {
	say "${0##*/}: $*"
	[ -n "$work" ] || exit 1
	for log in "$work"/*.log; do
		[ -s "$log" ] && { say "--- the end of ${log##*/}:"; tail -n 5 "$log" >&2; }
	done
	exit 1
}

cleanup() {
	trap - EXIT INT TERM
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	local deadline=$((SECONDS + 20))
	for pid in "${pids[@]}"; do
		while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
		kill -9 "$pid" 2>/dev/null || true
	done
	[ -z "$work" ] || rm -rf "$work"
}

# make_work DIR NAME: makes $work, and sees to it that all ends with the script.
make_work() {
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	work=$(mktemp -d "$1/$2.XXXXXX")
	case $(stat -f -c %T "$work") in
	tmpfs | ramfs) say "warning: $1 is memory, where fsync costs nothing; give DIR= a directory on a disk" ;;
	esac
}

# start NAME COMMAND...: runs it in the background; its pid is in $started.
start() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 &
	started=$!
	pids+=("$started")
}

# wait_for SECONDS WHAT COMMAND...: repeats the command until it succeeds.
wait_for() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || die "waited too long until $what"
		for pid in "${pids[@]}"; do
			kill -0 "$pid" 2>/dev/null || die "a server ended while waiting until $what"
		done
		sleep 0.2
	done
}

# start_cluster NAME BINARY PORT [FLAG...]: three pxkv nodes; HTTP on PORT+1 to PORT+3, the Redis protocol
# on PORT+4 to PORT+6 (in the environment, where builds without it overlook it), peers on PORT+11
# to PORT+13, gossip on PORT+21 to PORT+23. Their pids are in $cluster.
start_cluster() {
	local name=$1 binary=$2 base=$3 i join
	shift 3
	cluster=()
	for i in 1 2 3; do
		join=()
		[ "$i" = 1 ] || join=(--join "$host:$((base + 21))")
		PXKV_RESP="$host:$((base + 3 + i))" start "$name$i" "$binary" serve --name "n$i" --data-dir "$work/$name$i" \
			--http "$host:$((base + i))" --peer "$host:$((base + 10 + i))" --gossip "$host:$((base + 20 + i))" \
			--advertise "$host" "${join[@]}" "$@"
		cluster+=("$started")
		[ "$i" != 1 ] || wait_for 30 "the first node of $name is ready" "$binary" status --quiet --server "http://$host:$((base + 1))"
	done
	for i in 1 2 3; do
		wait_for 120 "node $i of $name sees three members and every partition on three nodes" settled "$binary" "http://$host:$((base + i))"
	done
}

# settled BINARY URL: complete (builds that do not say so: ready without a warning), three members, as
# many replicas on each as there are partitions.
settled() {
	"$1" status --server "$2" --output json >"$work/status" && grep -q -e '"may_fail"' -e '"warnings": \[\]' "$work/status" &&
		"$1" members --server "$2" | awk -v want="$("$1" partitions --server "$2" | grep -c '^[0-9]')" '
			NR > 1 { n++; if ($4 != "yes" || $5 != want || $6 == 0) bad = 1 }
			END { exit !(n == 3 && !bad) }'
}

# urls PORT: the three HTTP addresses of a cluster.
urls() { echo "http://$host:$(($1 + 1)),http://$host:$(($1 + 2)),http://$host:$(($1 + 3))"; }

# field NAME: the first value of that name in the JSON on standard input.
field() { sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" | head -n 1; }
