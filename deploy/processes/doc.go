// Package processes proves, with real processes on real disks, what pxkv promises about
// faults: it builds the program, starts clusters on ports of the loopback address, kills,
// stops, restarts and wipes nodes under load, and checks what clients saw.
//
// Nouns: a node is one command line with its data directory; it may have a process or not.
// A cluster is several nodes that live as long as one test. A history is what clients asked
// and what they were told; porcupine decides whether one copy of the data could have answered
// so. A probe writes to one partition again and again, and shows how long it took no writes.
//
// There is nothing here but tests, and they are behind the build tag processes because they
// take minutes. They need Linux and a Go toolchain:
//
//	go test -tags processes -count=1 -timeout 20m ./deploy/processes
//
// With -v they print what they measured. The logs of nodes are kept with -artifacts, and are
// more talkative with PXKV_LOG_LEVEL=debug. GOFLAGS=-tags=NAME builds the program under test
// with a build tag, such as one that plants a bug.
//
// In half of the tests, drawn anew each time, the data directories are encrypted; a test says so, with
// the PROCESSES_SEED that draws it again.
//
// With the build tag soak as well, TestSoak plays all faults at once for as long as the variable
// SOAK says: see make soak. As root it has a network of namespaces to cut and a small disk to
// fill up; it needs iproute2 and nftables for that, and says so where it goes without.
//
// The tests of load balancers run docs/load-balancer.md with a real HAProxy and a real nginx, those of
// the Redis protocol a real Redis; where one is not installed its tests are skipped and say so.
//
// No process outlives its test, whichever way the test ends.
package processes
