package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

func TestReadsSeeEveryAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]func(*cluster){"lease": func(*cluster) {}, "quorum": quorumReads} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3, option)
			rounds := c.readRounds()
			const reads = 300
			for i := range reads / 3 {
				key := fmt.Sprint("key ", i%7)
				servers[i%3].write(put(key, fmt.Sprint(i)))
				for _, s := range servers {
					if got := s.get(key); got != fmt.Sprint(i) {
						t.Fatalf("%s reads %q, want %d", s.name, got, i)
					}
				}
			}
			rounds = c.readRounds() - rounds
			if c.quorum && rounds < reads {
				t.Errorf("%d rounds for %d reads, one after the other: some asked nobody", rounds, reads)
			}
			if !c.quorum && rounds > reads*2/3 {
				t.Errorf("%d rounds for %d reads: the leases are not used", rounds, reads)
			}
		})
	}
}

func (c *cluster) readRounds() (sum int) {
	for _, s := range c.running() {
		sum += int(s.counter("pxkv_raft_read_rounds_total"))
	}
	return sum
}

func TestAReadTellsWhatItReflects(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 4)
	leader, followers, others := holders(t, servers, "k")
	if len(followers) != 2 || len(others) != 1 {
		t.Fatalf("%d followers and %d others", len(followers), len(others))
	}
	cmd := put("k", "")
	cmd.Value = kv.Value{Kind: kv.Binary, ContentType: "image/x", Data: []byte{0, 0xff, 0}}
	written := leader.write(cmd)
	for _, s := range servers {
		res, err := s.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{})
		must(t, err)
		if !res.Found || res.Item.Version != written.Version || res.Item.Modified == 0 || res.Item.Deadline != 0 ||
			res.Item.Value.Kind != kv.Binary ||
			res.Item.Value.ContentType != "image/x" || string(res.Item.Value.Data) != "\x00\xff\x00" ||
			res.StalenessMS != 0 ||
			res.Receipt.Partition != written.Receipt.Partition || res.Receipt.Index < written.Receipt.Index ||
			res.Receipt.Node == "" {
			t.Errorf("%s reads %+v, written was %+v", s.name, res, written)
		}
		res, err = s.node.Read(within(t, patience), []byte("absent"), kv.ReadOptions{})
		if err != nil || res.Found || res.Receipt.Index == 0 {
			t.Errorf("%s reads %+v, %v where nothing is", s.name, res, err)
		}
	}
}

// A leader that is cut off may go on answering only for as long as nobody else can lead.
func TestACutOffLeaderNeverReadsTheOld(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]func(*cluster){"lease": func(*cluster) {}, "quorum": quorumReads} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3, option)
			leader, followers, _ := holders(t, servers, "k")
			leader.write(put("k", "old"))
			if got := leader.get("k"); got != "old" {
				t.Fatalf("read %q", got)
			}
			c.net.isolate(leader)
			written := make(chan struct{})
			go func() {
				defer close(written)
				followers[0].write(put("k", "new"))
			}()
			for acknowledged := false; !acknowledged; {
				select {
				case <-written:
					acknowledged = true // before the next read begins
				default:
				}
				res, err := leader.node.Read(within(t, 2*c.tick), []byte("k"), kv.ReadOptions{})
				switch {
				case err != nil:
					wantKind(t, err, kv.Unavailable)
				case acknowledged:
					t.Errorf("read %q after another value was acknowledged", res.Item.Value.Data)
				case string(res.Item.Value.Data) != "old":
					t.Errorf("read %q", res.Item.Value.Data)
				}
			}
			for it, err := range leader.node.List(within(t, 2*c.tick), kv.ListQuery{Prefix: []byte("k")}) {
				if err == nil {
					t.Errorf("listed %q after another value was acknowledged", it.Value.Data)
				}
			}
			c.net.heal()
			if got := leader.get("k"); got != "new" {
				t.Errorf("read %q after healing", got)
			}
		})
	}
}

// An error names its partition once, however many have passed it on.
func TestAnErrorNamesItsPartitionOnce(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, _, _ := holders(t, servers, "k")
	c.net.isolate(leader)
	for _, opt := range []kv.ReadOptions{{Consistency: kv.Stale, MinIndex: 1 << 40}, {}} {
		_, err := leader.node.Read(within(t, 10*c.tick), []byte("k"), opt)
		if kv.KindOf(err) != kv.Unavailable || strings.Count(err.Error(), "partition ") != 1 {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

func TestStaleReadsAnswerFromTheNearestReplica(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, followers, _ := holders(t, servers, "k")
	first := leader.write(put("k", "1"))
	stale := func(s *server, index uint64) (kv.ReadResult, error) {
		return s.node.Read(within(t, 50*c.tick), []byte("k"), kv.ReadOptions{Consistency: kv.Stale, MinIndex: index})
	}
	for _, s := range servers {
		eventually(t, s.name+" has heard its leader often enough to say how old the data is", func() error {
			if res, err := stale(s, first.Receipt.Index); err != nil || res.StalenessMS < 0 {
				return fmt.Errorf("%+v, %v", res, err)
			}
			return nil
		})
	}
	asked := c.net.requests(reqRead)
	for _, s := range servers {
		res, err := stale(s, first.Receipt.Index) // its own write, anywhere
		must(t, err)
		if res.Receipt.Node != s.name || string(res.Item.Value.Data) != "1" ||
			res.Receipt.Index < first.Receipt.Index || res.StalenessMS < 0 ||
			res.StalenessMS > patience.Milliseconds() {
			t.Errorf("%s reads %+v", s.name, res)
		}
	}
	if n := c.net.requests(reqRead) - asked; n != 0 {
		t.Errorf("%d stale reads were forwarded by nodes with a replica", n)
	}
	eventually(t, "on the leader the data is not old", func() error {
		leader.get("k") // so it has a lease, unless the machine is so busy that it is over at once
		if res, err := stale(leader, 0); err != nil || res.StalenessMS != 0 {
			return fmt.Errorf("it is %d ms old, %v", res.StalenessMS, err)
		}
		return nil
	})

	cut := followers[0]
	c.net.isolate(cut)
	second := followers[1].write(put("k", "2"))
	if _, err := stale(cut, second.Receipt.Index); kv.KindOf(err) != kv.Unavailable {
		t.Errorf("waiting for an index that cannot come: %v", err)
	}
	res, err := stale(cut, first.Receipt.Index)
	must(t, err)
	if string(res.Item.Value.Data) != "1" || res.StalenessMS < (50*c.tick-c.tick*10).Milliseconds() ||
		res.Receipt.Index >= second.Receipt.Index {
		t.Errorf("the isolated node reads %+v", res)
	}
	waited := make(chan error, 1)
	go func() {
		res, err := cut.node.Read(within(t, patience), []byte("k"), kv.ReadOptions{
			Consistency: kv.Stale, MinIndex: second.Receipt.Index,
		})
		if err == nil && string(res.Item.Value.Data) != "2" {
			err = fmt.Errorf("read %q at index %d", res.Item.Value.Data, res.Receipt.Index)
		}
		waited <- err
	}()
	c.net.heal()
	must(t, <-waited)
}

func TestANodeWithoutAReplicaReadsThroughOthers(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	leader, followers, others := holders(t, servers, "k")
	outside := others[0]
	written := outside.write(put("k", "v"))
	read := func(d time.Duration, opt kv.ReadOptions) (kv.ReadResult, error) {
		return outside.node.Read(within(t, d), []byte("k"), opt)
	}
	asked := c.net.requests(reqRead)
	for _, opt := range []kv.ReadOptions{
		{}, {Consistency: kv.Stale}, {Consistency: kv.Stale, MinIndex: written.Receipt.Index},
	} {
		res, err := read(patience, opt)
		must(t, err)
		if opt != (kv.ReadOptions{Consistency: kv.Stale}) && string(res.Item.Value.Data) != "v" ||
			res.Receipt.Node == outside.name || opt.MinIndex > res.Receipt.Index {
			t.Errorf("%+v: %+v", opt, res)
		}
	}
	if n := c.net.requests(reqRead) - asked; n < 3 {
		t.Errorf("%d reads were forwarded, want 3", n)
	}
	// An index that does not come is waited for elsewhere, and no longer than the deadline: that
	// nothing is left waiting there, the end of the test shows.
	_, err := read(10*c.tick, kv.ReadOptions{Consistency: kv.Stale, MinIndex: 1 << 40})
	wantKind(t, err, kv.Unavailable)

	// One replica that does not answer is no reason to give up.
	c.net.setJudge(func(r request) fate {
		if r.kind == reqRead && r.to != followers[1].id() {
			return notSent
		}
		return deliver
	})
	if res, err := read(patience, kv.ReadOptions{Consistency: kv.Stale}); err != nil ||
		res.Receipt.Node != followers[1].name {
		t.Errorf("with one replica that answers: %+v, %v", res, err)
	}
	c.net.setJudge(nil)

	// Stale reads need no leader and no majority, only one replica.
	c.net.isolate(leader)
	c.net.isolate(followers[0])
	eventually(t, "a stale read finds the last replica", func() error {
		res, err := read(time.Second, kv.ReadOptions{Consistency: kv.Stale})
		if err == nil && res.Receipt.Node != followers[1].name {
			err = fmt.Errorf("answered by %s", res.Receipt.Node)
		}
		return err
	})
	_, err = read(30*c.tick, kv.ReadOptions{})
	wantKind(t, err, kv.Unavailable)
	c.net.isolate(followers[1])
	tried := outside.counter("pxkv_requests_routed_total")
	_, err = read(time.Second, kv.ReadOptions{Consistency: kv.Stale})
	wantKind(t, err, kv.Unavailable)
	if n := outside.counter("pxkv_requests_routed_total") - tried; n != 0 {
		t.Errorf("%v nodes were asked that are known to be gone", n)
	}
}

// The cache never answers what is not there any more.
func TestTheCacheKeepsUpWithWrites(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	leader, _, _ := holders(t, servers, "k")
	for i := range 200 {
		if i%3 == 2 {
			leader.write(del("k"))
			if got := leader.get("k"); got != "" {
				t.Fatalf("read %q after a delete", got)
			}
			continue
		}
		leader.write(put("k", fmt.Sprint(i)))
		for range 2 { // the second from the cache
			if got := leader.get("k"); got != fmt.Sprint(i) {
				t.Fatalf("read %q, want %d", got, i)
			}
		}
	}
	eventually(t, "it is cached", func() error {
		leader.get("k") // on a busy machine another one may lead for a moment, and read it
		if _, cached, _ := leader.node.o.Cache.Get([]byte("k")); !cached {
			return errors.New("it is not")
		}
		return nil
	})
}
