#!/usr/bin/env bash
# Simulates COUNT schedules from SEED on: sim.sh SEED COUNT. A schedule runs on one core and pins
# its process's randomness, so there is one process a core (JOBS=n: n of them), each with its share.
set -euo pipefail
cd "$(dirname "$0")/.."
seed=$1 count=$2 jobs=${JOBS:-$(nproc)}
(( jobs <= count )) || jobs=$count
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go test -c -o "$dir/sim.test" ./node/sim
share=$(( (count + jobs - 1) / jobs ))
pids=()
for (( i = 0; i < count; i += share )); do
	n=$(( count - i < share ? count - i : share ))
	( cd node/sim && SIM_SEED=$(( seed + i )) SIM_COUNT=$n GOGC=400 exec "$dir/sim.test" -test.v -test.timeout 0 -test.run '^TestSchedules$' ) &
	pids+=($!)
done
bad=0
for pid in "${pids[@]}"; do wait "$pid" || bad=1; done
( cd node/sim && "$dir/sim.test" -test.run '^TestSchedulesThatOnceFailed$' ) || bad=1
exit $bad
