package node

import (
	"context"
	"testing"

	"pxkv/node/kv"
)

// The index of a read is at or above that of the write that it shows, whoever is asked, also while the
// key changes all the time: who waits for that index elsewhere sees nothing older.
func TestTheIndexOfAReadCoversWhatItShows(t *testing.T) {
	t.Parallel()
	const reads = 10_000 // of each reader
	_, servers := of(t, 3, partitions(1))
	leader, followers, _ := holders(t, servers, "k")
	indexes := map[uint64]uint64{} // of writes, by version
	write := func() error {
		res, err := leader.node.Write(within(t, patience), put("k", "v"))
		indexes[res.Version] = res.Receipt.Index
		return err
	}
	must(t, write())
	writing, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for writing.Err() == nil {
			if err := write(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	type reader struct {
		through *server
		opt     kv.ReadOptions
	}
	read := func(r reader) (all []kv.ReadResult, err error) {
		for range reads {
			res, err := r.through.node.Read(within(t, patience), []byte("k"), r.opt)
			if err != nil {
				return nil, err
			}
			all = append(all, res)
		}
		return all, nil
	}
	stale := kv.ReadOptions{Consistency: kv.Stale}
	seen := make(chan func(), 4)
	for name, r := range map[string]reader{
		"the leader":                {leader, kv.ReadOptions{}},
		"a follower that passes on": {followers[0], kv.ReadOptions{}},
		"the leader, stale":         {leader, stale},
		"a follower's own data":     {followers[1], stale},
	} {
		go func() {
			all, err := read(r)
			seen <- func() {
				must(t, err)
				for _, res := range all {
					if at := indexes[res.Item.Version]; res.Receipt.Index < at {
						t.Errorf("%s shows what was written at index %d, and names %d", name, at, res.Receipt.Index)
						break
					}
				}
			}
		}()
	}
	var checks []func()
	for range cap(seen) {
		checks = append(checks, <-seen)
	}
	stop()
	must(t, <-done)
	for _, check := range checks {
		check()
	}
}
