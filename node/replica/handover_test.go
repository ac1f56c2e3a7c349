package replica

import (
	"testing"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// A node that has handed all over and is about to go takes no write, also when a leadership comes
// back to it: it would not be there to tell how it ended. Another one that leads alone serves to the last.
func TestANodeThatHandedOverTakesNoWrite(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	h := c.nodes[1].h
	for range 20 {
		c.tick()
		if h.HandOver() {
			break
		}
	}
	if h.Leading() != 0 {
		t.Fatalf("it leads %d groups", h.Leading())
	}
	heir := kv.NodeID(h.groups.of[0].raft.lead)
	c.order(heir, func(h *Host) { // the other one gives it back
		if err := h.Transfer(0, 1); err != nil {
			t.Error(err)
		}
	})
	c.settle()
	if h.HandOver() || h.Leading() != 1 {
		t.Fatalf("it may go, and leads %d groups", h.Leading())
	}
	write := kv.Command{Op: kv.OpPut, Key: []byte("k"), Value: text("v")}
	var got *entry.Reply
	c.nodes[1].in.Ops = append(c.nodes[1].in.Ops,
		Op{Command: write.AppendTo(nil), Reply: func(r entry.Reply) { got = &r }})
	c.turn(1)
	if got == nil || got.Err == nil || got.Err.Kind != kv.Unavailable {
		t.Errorf("a write ends with %+v", got)
	}
}

func TestANodeAloneServesWhileItStops(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 1, Limits{})
	if !s.h.HandOver() {
		t.Error("it waits for nobody")
	}
	got := s.write(0, kv.Command{Op: kv.OpPut, Key: []byte("k"), Value: text("v")})
	for range 4 {
		s.step()
	}
	if len(*got) != 1 || (*got)[0].Err != nil {
		t.Errorf("a write ends with %+v", *got)
	}
}
