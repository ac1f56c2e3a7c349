#!/usr/bin/env bash
# Plants each bug of bugs.txt in turn and requires that it is found: a harness that cannot fail
# proves nothing. Arguments name the bugs; without any it is all of them. One runs on each core
# (JOBS=n: n of them); all are tried, and those that were not found are named at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
jobs=${JOBS:-$(nproc)}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

simulated() { # name, kind of schedules or nothing
	SIM_KIND=${2:-} go test -timeout 15m -count=1 -v -tags "planted,bug_$1" -run '^TestPlantedBugIsFound$' ./node/sim </dev/null |
		grep -E 'found by|not found|FAIL|panic' # with pipefail the test's own end counts as well
}

# A test that passes without the bug must fail with it, and by itself: a build that is broken
# has found nothing.
by_test() { # name, package, test
	local said
	if said=$(go test -timeout 5m -count=1 -tags "bug_$1" -run "^$3\$" "$2" 2>&1 </dev/null); then
		echo "$3 did not find it"
		return 1
	fi
	grep -E -m 1 -- "^(--- FAIL: $3|panic: )" <<<"$said" || { echo "$said"; return 1; }
}

plant() { # name, where, test or kind
	local said began=$SECONDS
	if said=$(if [[ $2 == sim ]]; then simulated "$1" "$3"; else by_test "$@"; fi 2>&1); then
		printf 'bug_%s (%d s)\n%.400s\n' "$1" $((SECONDS - began)) "$said"
	else
		printf 'bug_%s was NOT FOUND (%d s)\n%s\n' "$1" $((SECONDS - began)) "$said"
		echo "$1" >>"$out/missed"
	fi
}

while read -r name where test; do
	[[ -z $name || $name == \#* ]] && continue
	[[ $# -gt 0 && " $* " != *" $name "* ]] && continue
	while (( $(jobs -rp | wc -l) >= jobs )); do wait -n || true; done
	plant "$name" "$where" "$test" &
done < deploy/planted/bugs.txt
wait
[[ ! -e $out/missed ]] || { echo "not found: $(sort -u "$out/missed" | tr '\n' ' ')"; exit 1; }
