package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pxkv/node/kv"
)

// What one batch reads in one partition is of one moment, whoever leads it and however busy it is: it
// never shows half of a transaction.
func TestKeysOfOnePartitionAreReadAtOneMoment(t *testing.T) {
	t.Parallel()
	const keys, rounds = 150, 300
	for name, options := range map[string][]func(*cluster){
		"lease":  {partitions(4)},
		"quorum": {partitions(4), quorumReads},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, servers := of(t, 3, options...)
			leader, followers, _ := holders(t, servers, "{t}")
			writing, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			write := func(i int) error {
				var tx kv.Transaction
				for k := range keys {
					tx.Commands = append(tx.Commands, *put(fmt.Sprintf("{t}%d", k), fmt.Sprint(i)))
				}
				_, err := leader.node.Transact(within(t, patience), &tx)
				return err
			}
			must(t, write(0))
			go func() {
				for i := 1; writing.Err() == nil; i++ {
					if err := write(i); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			defer func() {
				stop()
				must(t, <-done)
			}()
			var cmds []kv.Command
			for k := range keys {
				cmds = append(cmds, reading(fmt.Sprintf("{t}%d", k)))
			}
			for i := range rounds {
				s := []*server{leader, followers[0]}[i%2]
				answers := s.batch(cmds...)
				for k := range answers {
					if value(answers[k]) != value(answers[0]) {
						t.Fatalf("read together through %s: %s and %s", s.name, value(answers[0]), value(answers[k]))
					}
				}
			}
		})
	}
}

// Where one moment does not last, a view of the store is read.
func TestAViewIsOfOneMoment(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1, partitions(1))
	s := servers[0]
	h := s.loop.Handle(0)
	s.write(expiring("gone", "v", time.Millisecond))
	var names []wanted
	for k := range 50 {
		names = append(names, wanted{key: fmt.Appendf(nil, "k%d", k)})
	}
	names = append(names, wanted{key: []byte("gone")}, wanted{key: []byte("never")})
	writing, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	write := func(i int) error {
		var tx kv.Transaction
		for k := range 50 {
			tx.Commands = append(tx.Commands, *put(string(names[k].key), fmt.Sprint(i)))
		}
		_, err := s.node.Transact(within(t, patience), &tx)
		return err
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(done)
		for i := 1; writing.Err() == nil; i++ {
			_ = write(i)
		}
	}()
	defer func() {
		stop()
		<-done
	}()
	last := uint64(0)
	for range 200 {
		read, due, e := s.node.readView(within(t, patience), h, names, 1<<20)
		if e != nil || len(read) != len(names) {
			t.Fatalf("%d read, %v", len(read), e)
		}
		for k := range 50 {
			if r := read[k]; string(r.Item.Value.Data) != string(read[0].Item.Value.Data) ||
				r.Receipt != read[0].Receipt || r.Item.Version > read[0].Item.Version+50 {
				t.Fatalf("read together: %+v and %+v", read[0], r)
			}
		}
		if read[51].Found || read[50].Found && !due && read[50].Item.Deadline <= read[50].NowMS {
			t.Fatalf("found what is not there: %+v, %+v", read[50], read[51])
		}
		if at := read[0].Receipt.Index; at < last {
			t.Fatalf("index %d after %d", at, last)
		}
		last = read[0].Receipt.Index
	}
	if read, _, e := s.node.readView(within(t, patience), h, names, 0); e != nil || len(read) != 1 {
		t.Errorf("without room %d are read, %v", len(read), e)
	}
}

// What is too long for one answer comes in pieces, and is of one moment all the same.
func TestWhatIsReadInPiecesIsOfOneMoment(t *testing.T) {
	t.Parallel()
	const keys = 40
	for name, test := range map[string]struct{ here, between bool }{
		"here": {here: true}, "elsewhere": {}, "elsewhere, written in between": {between: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3, partitions(1), func(c *cluster) {
				c.maxValue, c.limits = 1000, Limits{
					ValueBytes: 1000, ReadBytes: 2000, UnitBytes: 1000, AnswerBytes: 64 << 10,
				}
			})
			leader, followers, _ := holders(t, servers, "k")
			s := followers[0]
			if test.here {
				s = leader
			}
			var cmds []kv.Command
			for k := range keys {
				cmds = append(cmds, reading(fmt.Sprint("k", k)))
			}
			written := 0
			write := func() {
				var tx kv.Transaction
				for k := range keys {
					if k%3 > 0 || written == 0 {
						tx.Commands = append(tx.Commands, *put(fmt.Sprint("k", k), fmt.Sprintf("%0500d", written)))
					}
				}
				_, err := leader.node.Transact(within(t, patience), &tx)
				must(t, err)
				written++
			}
			write()
			steps := 0
			if test.between {
				// In the middle of eight steps, and when what has changed is read again.
				c.net.setJudge(func(r request) fate {
					if r.from == s.id() && r.kind == reqSteps {
						if steps++; steps == 2 || steps == 3 || steps == 9 {
							write()
						}
					}
					return deliver
				})
			}
			answers := s.batch(cmds...)
			for k := range answers {
				want := fmt.Sprintf("%0500d", written-1)
				if k%3 == 0 {
					want = fmt.Sprintf("%0500d", 0)
				}
				if got := value(answers[k]); got != want {
					t.Errorf("k%d is %s, want %s", k, got[max(0, len(got)-4):], want[len(want)-4:])
				}
			}
			if test.between && written != 4 {
				t.Errorf("%d steps, %d writes", steps, written)
			}
		})
	}
}
