//go:build processes

package processes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

const (
	loadRate    = 300                  // writes a second
	loadAround  = time.Second          // load before an event and after it
	verifyLimit = time.Minute          // for reading all that was acknowledged, and
	verifyEach  = 2 * time.Millisecond // for each key on each node
)

// load is a loadcheck.Load that runs beside a test.
type load struct {
	t      *testing.T
	stop   context.CancelFunc
	ended  chan struct{}
	result loadcheck.Summary
}

// startLoad writes and reads through some nodes until end is called. All loads of a test may
// share a ledger; prefix must be new.
func startLoad(t *testing.T, ledger *loadcheck.Ledger, prefix string, through []*node) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{t: t, stop: stop, ended: make(chan struct{})}
	run := &loadcheck.Load{Prefix: prefix, Rate: loadRate, Targets: targets(through), Ledger: ledger}
	go func() {
		defer close(l.ended)
		var err error
		if l.result, err = run.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) end() loadcheck.Summary {
	l.stop()
	<-l.ended
	return l.result
}

// duringLoad lets something happen under load through some nodes, with a while of load
// before and after it, and returns how clients fared.
func duringLoad(t *testing.T, ledger *loadcheck.Ledger, prefix string, through []*node,
	happen func()) loadcheck.Summary {
	t.Helper()
	l := startLoad(t, ledger, prefix, through)
	time.Sleep(loadAround)
	happen()
	time.Sleep(loadAround)
	return l.end()
}

// nothingWrong fails the test unless every request was answered as if nothing happened.
func nothingWrong(t *testing.T, what string, sum loadcheck.Summary) {
	t.Helper()
	t.Logf("%s: %v", what, sum)
	if sum.Failed+sum.Unknown+sum.Lost+sum.Repeated > 0 || sum.Acked == 0 {
		t.Errorf("%s: of %d writes %d failed, %d ended unknown and %d attempts were answered 503; %d reads found "+
			"nothing; want none of these", what, sum.Acked, sum.Failed, sum.Unknown, sum.Repeated, sum.Lost)
	}
}

// verify reads every acknowledged key from every node.
func verify(t *testing.T, ledger *loadcheck.Ledger, nodes []*node) {
	t.Helper()
	limit := verifyLimit + time.Duration(ledger.Len()*len(nodes))*verifyEach
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	begin := time.Now()
	if err := ledger.Verify(ctx, targets(nodes)); err != nil {
		t.Fatal(err)
	}
	t.Logf("all %d acknowledged pairs are on each of %d nodes (checked in %v)", ledger.Len(), len(nodes),
		round(time.Since(begin)))
}
