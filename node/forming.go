package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/rpc"
	"pxkv/persist"
)

// How often a fresh node speaks with others, beside whenever it has something new to say, and how long
// it waits for an answer.
const (
	speakEvery = 200 * time.Millisecond
	speakLimit = time.Second
	lookPause  = 250 * time.Millisecond // between two looks at the addresses of --join

	strangersPause = 2 * time.Second // the same, of a node that forms no cluster
)

// forming is what a fresh node does until there is a cluster that it can join, or that it must form:
// it drives member.Formation.
type forming struct {
	o     *MembershipOptions
	clock func() time.Duration
	waits func(why string) // is told for what the node waits

	mu        sync.Mutex // also held while the identity is written
	formation *member.Formation
	identity  persist.Identity // as it is on disk
	failed    error            // the disk took no promise

	// Only AwaitCluster uses these.
	asking map[kv.NodeID]bool
	said   string // the last words to others
	told   string // the last ones to the operator
	toldAt time.Duration

	woke  chan struct{} // there is something new
	inbox struct {
		sync.Mutex
		spoken []spoken
	}
}

// spoken is the end of a question to another node.
type spoken struct {
	to    kv.NodeID
	asked time.Duration
	words member.Words
	err   error
}

func newForming(o *MembershipOptions, waits func(why string)) *forming {
	id := o.Core.Start.Identity
	return &forming{
		o: o, waits: waits, identity: id, asking: map[kv.NodeID]bool{}, woke: make(chan struct{}, 1),
		clock: o.Node.o.Boot,
		formation: member.NewFormation(member.FormationOptions{
			Self: id.Node, Name: id.Name, Incarnation: o.Core.Start.Incarnation, Expect: o.Expect, Starts: id.Starts,
			Promise: id.Promise, Sure: o.Sure,
		}),
	}
}

// AwaitCluster waits, on a fresh node, until there is a cluster to join, or makes it, if this node is
// the one that must. member.Formation says when. The loop must not run yet; Peers must.
func (m *Membership) AwaitCluster(ctx context.Context) error {
	decision, err := m.forming.await(ctx)
	if err == nil && decision == member.Form {
		return m.found()
	}
	return err
}

// await waits for the decision to join or to form.
func (f *forming) await(ctx context.Context) (member.Decision, error) {
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer cancel()
	looking.Go(func() { f.look(ctx) })
	f.toldAt = f.clock()
	ticker := time.NewTicker(speakEvery)
	defer ticker.Stop()
	for tick := true; ; {
		decision, err := f.decide()
		if err != nil || decision == member.Join || decision == member.Form {
			return decision, err
		}
		if f.o.Expect > 0 {
			f.speak(ctx, tick)
		}
		select {
		case <-ticker.C:
			tick = true
		case <-f.woke:
			tick = false
		case <-ctx.Done():
			return decision, context.Cause(ctx)
		}
	}
}

func (f *forming) wake() {
	select {
	case f.woke <- struct{}{}:
	default:
	}
}

// look looks at the addresses of --join again and again. A node that forms no cluster finds one by gossip, and looks
// only, now and then, for what gossip does not hear: nodes that refuse it since their cluster has another name.
func (f *forming) look(ctx context.Context) {
	pause := lookPause
	if f.o.Expect == 0 {
		pause = strangersPause
	}
	for {
		began := f.clock()
		places := f.o.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		looked := len(places) > 0
		if f.o.Expect == 0 {
			places = slices.DeleteFunc(places, func(p member.Place) bool { return p.Foreign == "" })
		}
		if looked {
			f.mu.Lock()
			f.formation.Looked(began, places)
			f.mu.Unlock()
			f.wake()
		}
		if !passes(ctx, pause) {
			return
		}
	}
}

// decide takes what came meanwhile, and says what to do.
func (f *forming) decide() (member.Decision, error) {
	f.inbox.Lock()
	answers := f.inbox.spoken
	f.inbox.spoken = nil
	f.inbox.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range answers {
		delete(f.asking, s.to)
		if s.err == nil {
			f.formation.Answered(s.asked, s.to, s.words)
		}
	}
	for _, n := range f.o.Neighbours() {
		f.formation.Found(n.Cluster)
	}
	decision, why := f.formation.Decide(f.clock())
	f.keep()
	f.tell(why)
	return decision, f.failed
}

// keep writes down what the node has promised. mu is held.
func (f *forming) keep() {
	id := f.identity
	if id.Promise = f.formation.Promise(); id != f.identity && f.failed == nil {
		f.failed = f.save(id)
	}
}

// save writes who the node is. mu is held.
func (f *forming) save(id persist.Identity) error {
	if err := f.o.DB.SaveIdentity(id); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	f.identity = id
	return nil
}

// become writes that the node is in a cluster now. Nothing that others ask changes it any more.
func (f *forming) become(id persist.Identity) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id.Promise = persist.Promise{}
	return f.save(id)
}

// speak asks all others that gossip shows, or that were found at an address of --join: at each tick, and
// whenever there is something new to say.
func (f *forming) speak(ctx context.Context, tick bool) {
	f.mu.Lock()
	now := f.clock()
	to, words := f.formation.ToAsk(), f.formation.Words(now)
	f.mu.Unlock()
	for _, n := range f.o.Neighbours() {
		to = append(to, n.ID)
	}
	b, err := json.Marshal(words)
	if err != nil || !tick && string(b) == f.said {
		return
	}
	f.said = string(b)
	deadline := time.Now().Add(speakLimit)
	for _, id := range to {
		if f.asking[id] || id == f.o.Core.Start.Identity.Node || ctx.Err() != nil {
			continue
		}
		f.asking[id] = true
		request := append(rpc.NewRequest(len(b)), b...)
		f.o.Node.o.Peers.Go(id, greetMethod.Kind, deadline, request, func(b []byte, err error) {
			s := spoken{to: id, asked: now, err: err}
			if err == nil {
				s.words, s.err = decodeGreeted(b)
			}
			f.inbox.Lock()
			f.inbox.spoken = append(f.inbox.spoken, s)
			f.inbox.Unlock()
			if s.err == nil {
				f.wake()
			}
		})
	}
}

// asked answers another node.
func (f *forming) asked(from kv.NodeID, w member.Words) (member.Words, error) {
	defer f.wake()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.identity.Cluster != 0 {
		return member.Words{Name: f.identity.Name, Cluster: f.identity.Cluster}, nil
	}
	answer := f.formation.Asked(f.clock(), from, w)
	f.keep()
	return answer, f.failed
}

// How often the operator is told what a node waits for: not before it is clear that it waits, when that
// changes, and again and again.
const (
	tellFirst = 2 * time.Second
	tellAgain = 30 * time.Second
)

// tell logs what the node waits for. mu is held.
func (f *forming) tell(why []string) {
	now := f.clock()
	text := strings.Join(why, "; ")
	f.waits(text)
	if text == "" || now-f.toldAt < tellFirst || text == f.told && now-f.toldAt < tellAgain {
		return
	}
	f.told, f.toldAt = text, now
	f.o.Logger.Info("no cluster was found or formed yet", "waiting", text)
}
