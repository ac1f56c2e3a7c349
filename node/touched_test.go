package node

import (
	"fmt"
	"strings"
	"testing"

	"pxkv/node/kv"
)

func appending(key, data string) kv.Command {
	return kv.Command{Op: kv.OpAppend, Key: []byte(key), Value: kv.Value{Data: []byte(data)}}
}

// A batch that has to touch more than one entry may is carried out in several, and answered as if
// nothing had come between.
func TestABatchThatTouchesMuchIsDoneInSeveralEntries(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, func(c *cluster) { c.touch = 5000 })
	long := strings.Repeat("x", 1000)
	for turn, s := range servers {
		var cmds []kv.Command
		for i := range 30 {
			key := fmt.Sprint("{tag}", turn, ".", i)
			s.write(put(key, long))
			cmds = append(cmds, appending(key, "y"), appending(key, "z"))
		}
		cmds = append(cmds, reading(fmt.Sprint("{tag}", turn, ".7")))
		for i, a := range s.node.Batch(within(t, patience), cmds) {
			switch {
			case a.Err != nil:
				t.Fatalf("through %s, command %d: %v", s.name, i, a.Err)
			case i == len(cmds)-1 && value(a) != long+"yz":
				t.Errorf("through %s a read behind the writes found %d bytes", s.name, len(value(a)))
			case i < len(cmds)-1 && a.Result.Number != int64(len(long)+1+i%2):
				t.Errorf("through %s, command %d made %d bytes", s.name, i, a.Result.Number)
			}
		}
	}
}

// A transaction cannot be done in several: one that may touch far too much is refused, and its client
// knows that nothing was done.
func TestATransactionThatMayTouchTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, func(c *cluster) { c.touch = 2000 })
	long := strings.Repeat("x", 1000)
	for _, s := range servers {
		tx := &kv.Transaction{Commands: []kv.Command{incr("{tag}n", 1)}}
		for i := range 3 {
			key := fmt.Sprint("{tag}", i)
			s.write(put(key, long))
			tx.Commands = append(tx.Commands, appending(key, "y"), appending(key, "y"))
		}
		for _, asks := range []bool{false, true} {
			tx.Commands[1].ReturnOld = asks
			_, err := s.node.Transact(within(t, patience), tx)
			wantKind(t, err, kv.TooLarge)
			if !strings.Contains(err.Error(), "nothing was done") {
				t.Errorf("through %s: %v", s.name, err)
			}
		}
		if got := s.get("{tag}0") + s.get("{tag}n"); got != long {
			t.Errorf("through %s: a part of what was refused was done: %d bytes", s.name, len(got))
		}
		tx.Commands = tx.Commands[:3]
		if _, err := s.node.Transact(within(t, patience), tx); err != nil {
			t.Errorf("through %s: %v", s.name, err)
		}
		s.write(del("{tag}n"))
	}
}
