package node

import (
	"bytes"
	"context"
	"slices"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// asking is a request for steps under way to another node.
type asking struct {
	n       *Node
	to      kv.NodeID
	steps   []*step
	as      *rpc.Method[*Node, []*step, []*step] // stepsMethod or partsMethod
	long    bool                                 // it is sent when there is a place: see await
	request rpc.Request
}

// askSteps sends steps to another node, in as few requests as their size, and that of the longest
// answers that they may have, allow. Each that reads whole values has a place; where there is none they are asked for a
// little of each. Those whose values turned out to be long wait for a place, each for one, when they are waited for.
func (n *Node) askSteps(ctx context.Context, to kv.NodeID, steps []*step) (out []*asking) {
	n.metrics.Forwarded.Add(float64(len(steps)))
	account := kv.AccountOf(ctx)
	for len(steps) > 0 {
		count, place := n.fitting(steps), rpc.Place{}
		if slices.ContainsFunc(steps[:count], (*step).readsWhole) {
			if place = n.client.Place(to, account); place.Room > 0 {
				steps = littleOf(steps, place)
				count = n.fitting(steps)
			}
		}
		a := &asking{n: n, to: to, steps: steps[:count:count], as: methodOf(steps[0]), long: steps[0].long()}
		steps = steps[count:]
		if !a.long {
			a.send(ctx, a.tally(account, place))
		}
		out = append(out, a)
	}
	return out
}

// tally is what is counted on the account of who asks: the room of the units, and then the whole answer. What units
// returned must be kept.
func (a *asking) tally(account *kv.Account, place rpc.Place) rpc.Tally {
	t := rpc.Tally{Account: account, Place: place}
	for _, s := range a.steps {
		t.Counted += s.room
		t.Keep = t.Keep || s.unit != nil
	}
	return t
}

// fitting returns how many of the first steps travel in one request.
func (n *Node) fitting(steps []*step) int {
	count, size, answer, parts := 1, steps[0].size(), steps[0].answer(), steps[0].parts()
	if steps[0].long() {
		return 1
	}
	for _, s := range steps[1:] {
		size += s.size()
		answer += s.answer()
		if s.long() || s.parts() != parts || size > n.o.Limits.RequestBytes || !n.answerable(answer) {
			break
		}
		count++
	}
	return count
}

// answerable reports whether so much fits an answer beside the values that are read.
func (n *Node) answerable(bytes int) bool {
	return answersAreEndless || bytes <= n.o.Limits.AnswerBytes-answerHead-n.o.Limits.reads()
}

// stepThere has another node carry out one step.
func (n *Node) stepThere(ctx context.Context, to kv.NodeID, s *step) {
	for _, a := range n.askSteps(ctx, to, []*step{s}) {
		a.wait(ctx)
	}
}

func (a *asking) send(ctx context.Context, t rpc.Tally) {
	a.request = rpc.Request{To: a.to, Kind: a.as.Kind, Payload: a.as.Encode(a.steps, 0), Tally: t}
	a.n.client.Send(ctx, &a.request)
}

// wait takes the answer, or gives up at the end of ctx.
func (a *asking) wait(ctx context.Context) {
	if !a.long || a.await(ctx) {
		a.settle(a.take(ctx))
	}
}

// take returns the answer when the steps have what they asked for, else nil.
func (a *asking) take(ctx context.Context) []byte {
	c := a.n.client
	b, err := c.Wait(ctx, &a.request)
	if a.asOlder(ctx, err) {
		a.as = &stepsMethod
		a.send(ctx, a.request.Tally)
		b, err = c.Wait(ctx, &a.request)
	}
	if err != nil {
		lost := c.Unanswered(ctx, a.to, err)
		if c.NotSent(err) || lostStepsDoneAgain {
			a.fail(lost, lost)
		} else {
			a.fail(lost, kv.ErrUnknown())
		}
		return nil
	}
	d, e := rpc.DecodeAnswer(b)
	switch {
	case e == nil:
		if _, ok := a.as.DecodeAnswer(a.steps, d); ok {
			for _, s := range a.steps {
				s.leaveLonger()
			}
			return b
		}
	case e.Kind != kv.Internal:
		a.fail(e, e)
		return nil
	}
	a.fail(kv.Errorf(kv.Internal, "malformed answer from node %s", a.n.o.Names.Of(a.to)), kv.ErrUnknown())
	return nil
}

// asOlder reports whether steps are to be asked for as an older node knows them, which knows nothing of parts of
// values: whole ones are cut here. (For an answer that finds no room a longer one would find none either.)
func (a *asking) asOlder(ctx context.Context, err error) bool {
	c := a.n.client
	return err != nil && a.as == &partsMethod && !c.NotSent(err) && ctx.Err() == nil &&
		c.Unanswered(ctx, a.to, err).Kind != kv.Overloaded
}

// settle counts what of the answer is kept from now on: the whole of it where its values are used,
// since they are parts of it. The room of units is still counted without an answer, and where they failed: it is given
// back, or used again, by who took it.
func (a *asking) settle(answer []byte) {
	t := &a.request.Tally
	if answer == nil {
		for _, s := range a.steps {
			t.Counted -= s.room
		}
		t.Account.Give(t.Counted)
		return
	}
	keep := len(answer)
	if t.Over {
		keep = 0
		for _, s := range a.steps {
			s.dropped = true
			for i := range s.read {
				s.read[i].Item = kv.Item{}
			}
			for i := range s.result.Results {
				if it := s.result.Results[i].Item; it != nil {
					it.Value.Data = bytes.Clone(it.Value.Data)
				}
			}
			keep += s.returned()
		}
	}
	for _, s := range a.steps {
		if s.err != nil && !roomGivenTwice {
			keep += s.room
		} else {
			s.room = 0
		}
	}
	if more := keep - t.Counted; more > 0 {
		t.Account.Force(more)
	} else {
		t.Account.Give(-more)
	}
}

// fail ends all steps: those that only read with one error, those that write with another.
func (a *asking) fail(reads, writes *kv.Error) {
	for _, s := range a.steps {
		s.read, s.result, s.err = nil, kv.TransactionResult{}, reads
		if s.unit != nil {
			s.err = writes
		}
	}
}
