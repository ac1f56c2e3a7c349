package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// A write ends in one of three ways: done, certainly not done, unknown.

func TestALostAnswerIsUnknownAndNeverRetried(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	for name, lose := range map[string]fate{"the link breaks": loseAnswer, "silence": holdAnswer} {
		key := "lost when " + name
		leader, followers, _ := holders(t, servers, key)
		var asked atomic.Int32
		c.net.setJudge(func(r request) fate {
			if r.kind != reqWrite {
				return deliver
			}
			asked.Add(1)
			return lose
		})
		// Were it retried, the second attempt would meet what the first created.
		_, err := followers[0].node.Write(within(t, time.Second), create(key, "v"))
		c.net.setJudge(nil)
		wantKind(t, err, kv.Unknown)
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times, want once", name, n)
		}
		eventually(t, "the write is there after all", func() error {
			if got := leader.get(key); got != "v" {
				return fmt.Errorf("read %q", got)
			}
			return nil
		})
		if res := leader.write(create(key, "w")); res.Outcome != kv.ConditionFailed {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// What comes when its time is over is not proposed: whoever hears "in vain" must not find it done.
func TestWhatIsLateIsNotProposed(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	leader, followers, _ := holders(t, servers, "late")
	over, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	lazy := kv.NewDeadline(t.Context(), time.Unix(1, 0)) // as the doors make them
	defer lazy.Release()
	for name, ctx := range map[string]context.Context{"a context": over, "a door's": lazy} {
		for role, s := range map[string]*server{"leader": leader, "follower": followers[0]} {
			_, err := s.node.Write(ctx, put("late", "v"))
			wantKind(t, err, kv.Unavailable)
			_, err = s.node.Transact(ctx, &kv.Transaction{Commands: []kv.Command{*put("late", "v"), *put("late", "w")}})
			wantKind(t, err, kv.Unavailable)
			for i, a := range s.node.Batch(ctx, []kv.Command{
				*put("late", "v"), *put("other", "v"), {Op: kv.OpRead, Key: []byte("late")},
			}) {
				if a.Err == nil || a.Err.Kind != kv.Unavailable {
					t.Errorf("%s, %s: operation %d of a batch: %+v", name, role, i, a)
				}
			}
		}
	}
	if res := leader.write(create("late", "w")); res.Outcome != kv.Done {
		t.Errorf("something was written: %+v", res)
	}
}

// Whatever the network does to requests and answers, a create that is done happened once,
// and one that is certainly not done never.
func TestEveryEndingIsTrue(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	c.net.setJudge(func(r request) fate {
		mu.Lock()
		defer mu.Unlock()
		if r.kind != reqWrite {
			return deliver
		}
		return []fate{deliver, notSent, loseAnswer}[rng.IntN(3)]
	})
	const writes = 200
	endings := make([]error, writes)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < writes; i += 4 {
				var res kv.Result
				res, endings[i] = servers[i%3].node.Write(within(t, 50*time.Millisecond),
					create(fmt.Sprint("ending ", i), "v"))
				if endings[i] == nil && (res.Outcome != kv.Done || !res.Created) {
					t.Errorf("write %d was made twice: %+v", i, res)
				}
			}
		})
	}
	wg.Wait()
	c.net.setJudge(nil)
	count := map[kv.ErrorKind]int{}
	for i, err := range endings {
		kind := kv.KindOf(err)
		count[kind]++
		there := servers[0].get(fmt.Sprint("ending ", i)) != ""
		if kind == 0 && !there || kind == kv.Unavailable && there ||
			kind != 0 && kind != kv.Unavailable && kind != kv.Unknown {
			t.Errorf("write %d ended with %v, and it is there: %v", i, err, there)
		}
	}
	if count[0] == 0 || count[kv.Unknown] == 0 {
		t.Errorf("endings %v: want done ones and unknown ones", count)
	}
	t.Logf("endings: %v", count)
}

func TestAWriteThatWasNotSentIsRetried(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, followers, _ := holders(t, servers, "k")
	from := followers[0]
	eventually(t, "nobody reaches the leader", func() error {
		c.net.setJudge(func(r request) fate {
			if r.to == leader.id() { // nobody reaches it, so nobody can pass anything on either
				return notSent
			}
			return deliver
		})
		_, err := from.node.Write(within(t, 300*time.Millisecond), create("k", "early"))
		if err == nil { // on a busy machine another one may have been elected
			c.net.setJudge(nil)
			leader.write(del("k"))
			c.settled(3)
			return errors.New("it was written")
		}
		if kind := kv.KindOf(err); kind != kv.Unavailable || !strings.Contains(err.Error(), "partition") {
			t.Errorf("when nobody reaches the leader: %v", err)
		}
		return nil
	})
	if got := leader.get("k"); got != "" {
		t.Errorf("the write that was certainly not done is there: %q", got)
	}
	done := make(chan error, 1)
	before := from.counter("pxkv_request_retries_total")
	go func() {
		res, err := from.node.Write(within(t, patience), create("k", "late"))
		if err == nil && !res.Created {
			err = fmt.Errorf("done twice: %+v", res)
		}
		done <- err
	}()
	eventually(t, "it is tried again", func() error {
		if from.counter("pxkv_request_retries_total") < before+3 {
			return fmt.Errorf("no retry counted")
		}
		return nil
	})
	c.net.heal()
	must(t, <-done)
	if got := leader.get("k"); got != "late" {
		t.Errorf("read %q", got)
	}
}

func TestAWriteFindsTheNewLeader(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, followers, _ := holders(t, servers, "k")
	c.net.isolate(leader)
	for _, s := range followers {
		res := s.write(put("k", s.name))
		if res.Receipt.Node == leader.name || res.Receipt.Node == "" {
			t.Errorf("answered by %q", res.Receipt.Node)
		}
	}
	c.net.heal()
	c.settled(3)
	if got := leader.get("k"); got != followers[1].name {
		t.Errorf("the former leader reads %q", got)
	}
}

func TestAWriteWithoutAMajorityEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, _, _ := holders(t, servers, "k")
	// The first is proposed while the leader still believes that it leads: nobody knows what
	// becomes of it. The others find no leader: certainly not done.
	eventually(t, "a write is proposed before its leader gives up", func() error {
		c.net.isolate(leader)
		_, err := leader.node.Write(within(t, 5*c.tick), create("k", "1"))
		switch kv.KindOf(err) {
		case kv.Unknown:
			return nil
		case kv.Unavailable: // on a busy machine its time may be over before
			c.net.heal()
			c.settled(3)
			return err
		}
		t.Fatalf("without a majority it ends with %v", err)
		return nil
	})
	eventually(t, "it gives up leading", func() error {
		if leader.loop.Handle(leader.node.Owner([]byte("k")).Partition).Leader().Self {
			return fmt.Errorf("still leads")
		}
		return nil
	})
	_, err := leader.node.Write(within(t, 5*c.tick), create("k", "2"))
	wantKind(t, err, kv.Unavailable)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = leader.node.Write(gone, create("k", "3")); err == nil {
		t.Error("a write for a caller that has gone was done")
	}
	c.net.heal()
	c.settled(3)
	if got := leader.get("k"); got == "2" || got == "3" {
		t.Errorf("read %q, which was certainly not written", got)
	}
}

func TestARequestWithoutADeadlineEndsAllTheSame(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, _, _ := holders(t, servers, "k")
	leader.node.timeout = 10 * c.tick
	c.net.isolate(leader)
	ctx := context.Background()
	ended := make(chan error, 4)
	go func() { _, err := leader.node.Write(ctx, put("k", "1")); ended <- err }()
	go func() { _, err := leader.node.Read(ctx, []byte("k"), kv.ReadOptions{}); ended <- err }()
	go func() {
		_, err := leader.node.Read(ctx, []byte("k"), kv.ReadOptions{Consistency: kv.Stale, MinIndex: 1 << 40})
		ended <- err
	}()
	go func() { _, err := collect(leader.node.List(ctx, kv.ListQuery{})); ended <- err }()
	for range 4 {
		select {
		case err := <-ended:
			if err != nil && kv.KindOf(err) != kv.Unknown && kv.KindOf(err) != kv.Unavailable {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(patience / 2):
			t.Fatal("a request without a deadline did not end")
		}
	}
}

func TestAnAnswerAfterTheDeadlineIsUnknown(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	leader, followers, _ := holders(t, servers, "k")
	// On a busy machine it takes its time until the request is sent.
	c.net.setDelay(leader, followers[0], 3*time.Second)
	_, err := followers[0].node.Write(within(t, 500*time.Millisecond), create("k", "v"))
	wantKind(t, err, kv.Unknown)
	c.net.heal()
	eventually(t, "the write is there", func() error {
		if got := followers[1].get("k"); got != "v" {
			return fmt.Errorf("read %q", got)
		}
		return nil
	})
}

// An answer that makes no sense tells nothing of what became of a write.
func TestAnAnswerThatNobodyCanReadIsUnknown(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 2, replicas(1), partitions(4))
	key := keyLedBy(t, servers[1], "k")
	var answer []byte
	var asked atomic.Int32
	a := servers[0].over(t, func(done func([]byte, error)) {
		asked.Add(1)
		done(answer, nil)
	})
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"neither nor":         {7},
		"half an error":       append(rpc.EncodeError(kv.ErrUnknown())[:1], byte(kv.Unavailable)),
		"an unknown error":    rpc.EncodeError(&kv.Error{Kind: 99, Text: "from tomorrow"}),
		"a bug over there":    rpc.EncodeError(kv.Errorf(kv.Internal, "oops")),
		"no result":           rpc.NewAnswer(0),
		"an unknown outcome":  append(rpc.NewAnswer(0), 9, 0, 1, 0, 0, 0),
		"more than a result":  append(rpc.NewAnswer(0), 1, 0, 1, 0, 0, 0, 0),
		"half an item of two": append(rpc.NewAnswer(0), 0, 2, 1, 'k', 1),
	} {
		answer = b
		asked.Store(0)
		_, err := a.Write(within(t, patience), create(key, "v"))
		wantKind(t, err, kv.Unknown)
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		ctx := within(t, 100*time.Millisecond)
		if res, err := a.Read(ctx, []byte(key), kv.ReadOptions{}); err == nil {
			t.Errorf("%s: read %+v", name, res)
		}
		if items, err := collect(a.List(ctx, kv.ListQuery{})); err == nil {
			t.Errorf("%s: listed %+v", name, items)
		}
	}
}

func TestANodeWhoseTurnPanicsAnswersAndEnds(t *testing.T) {
	t.Parallel()
	c := newCluster(t, quorumReads)
	a := c.start("a")
	if _, err := a.node.Write(within(t, patience), put("k", "v")); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{}, 2)
	answer := func([]byte, error) { answered <- struct{}{} }
	gone, leave := context.WithCancel(t.Context())
	leave()
	// In a turn, so that the next one takes all three.
	must(t, a.loop.Do(within(t, patience), func(*replica.Host) {
		a.node.HandleRequest(7, reqRead, time.Now().Add(patience), readRequestOf([]byte("k"), kv.ReadOptions{}, 0),
			answer)
		a.node.HandleRequest(7, reqWrite, time.Now().Add(patience), put("k", "w").AppendTo([]byte{rpc.Version}), answer)
		_ = a.loop.Do(gone, func(*replica.Host) { panic("broken invariant") })
		if n := a.loop.Queued(); n < 3 {
			t.Errorf("the loop has %d", n)
		}
	}))
	for _, what := range []<-chan struct{}{answered, answered, a.ended} {
		select {
		case <-what:
		case <-time.After(patience):
			t.Fatal("somebody waits for ever")
		}
	}
	if err := a.endsByItself(); err == nil || !strings.Contains(err.Error(), "broken invariant") {
		t.Errorf("it ended with %v", err)
	}
}
