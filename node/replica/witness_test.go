package replica

import (
	"testing"
	"time"
)

// A member that leads the meta group may be asked to let its own place be taken: it is alive, and it
// says so, also when it leads every group alone.
func TestANodeSpeaksForItself(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	for _, at := range []time.Duration{0, time.Hour} {
		if _, err := h.Turn(Now{Boot: time.Hour + at}, &Input{Tick: true}); err != nil {
			t.Fatal(err)
		}
		if w := h.Witness(h.cfg.Node); w.Silence != 0 || w.Spares != nil {
			t.Errorf("after %v it says of itself: %+v", at, w)
		}
	}
	if w := h.Witness(h.cfg.Node + 1); w.Silence != time.Hour {
		t.Errorf("of one that it has never heard: %+v", w)
	}
}
