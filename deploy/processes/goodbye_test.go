//go:build processes

package processes

import (
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

// TestRestartInTurnCostsClientsNothing restarts all nodes in turn under the load of clients that use all of them, on
// connections that they keep, those of the node that restarts among them. What was certainly not done they ask of the
// next node, once. Nothing fails, and of nothing is it unknown whether it was done, nor is anything done twice.
func TestRestartInTurnCostsClientsNothing(t *testing.T) {
	c := startThree(t)
	var ledger loadcheck.Ledger
	crowd := newPoliteCrowd(t, c.nodes)
	counters := startCounters(t, c.nodes)
	l := startLoad(t, &ledger, "goodbye-", c.nodes)
	time.Sleep(loadAround)
	for i, n := range c.nodes {
		asked := c.nodes[(i+1)%len(c.nodes)]
		await(t, n.name+" may be stopped", settledAfter, func() error {
			_, _, err := asked.look("/cluster/safe-to-stop?node=" + n.name)
			return err
		})
		before := len(crowd.history.all())
		n.terminate()
		n.start()
		n.awaitReady()
		writes, reads := unknowns(crowd.history.all()[before:])
		t.Logf("while %s restarted: %d operations, %d writes and %d reads unknown, %d failed so far", n.name,
			len(crowd.history.all())-before, writes, reads, crowd.failed.Load())
	}
	time.Sleep(loadAround)
	crowd.end()
	sum := l.end()
	ops := crowd.history.all()
	t.Logf("%d operations, %d attempts refused and %d unavailable; load: %v", len(ops), crowd.history.refused,
		crowd.history.unavailable, sum)
	if writes, reads := unknowns(ops); writes+reads > 0 {
		t.Errorf("%d writes and %d reads ended unknown, want none", writes, reads)
		for _, op := range ops {
			if op.unknown {
				t.Logf("unknown: %s of %s through %s at %v", kindNames[op.kind], op.key, op.node,
					time.Duration(op.call))
			}
		}
	}
	if failed := crowd.failed.Load(); failed > 0 {
		t.Errorf("%d operations were done neither by the first node nor by the next one", failed)
	}
	if sum.Failed+sum.Unknown+sum.Lost > 0 || sum.Acked == 0 {
		t.Errorf("the load: %v; want none failed, unknown or lost", sum)
	}
	if what := fault(ops); what != "" {
		t.Errorf("the history is not linearizable: %s", what)
	}
	counters.verify()
	verify(t, &ledger, c.nodes)
}
