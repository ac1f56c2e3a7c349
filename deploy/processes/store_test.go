//go:build processes

package processes

import "testing"

// anyStore keeps the data of all nodes of a test on disk or in memory, as it is drawn. It is for tests in which no
// process ends before the last check: what nodes in memory have goes with it.
func anyStore(t *testing.T) setting {
	t.Helper()
	store := []string{"disk", "memory"}[draw(t, "store").IntN(2)]
	t.Logf("--store %s (PROCESSES_SEED=%d)", store, drawSeed())
	return flags("--store", store)
}
