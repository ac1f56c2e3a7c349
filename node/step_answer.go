package node

import (
	"context"

	"pxkv/node/entry"
	"pxkv/node/local"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// answerSteps carries out another node's steps: on the goroutine of its link, if their reads take no waiting.
func (n *Node) answerSteps(steps []*step, reply rpc.Reply[[]*step]) {
	if !n.readStepsAtOnce(steps) {
		n.server.Go(reply.Deadline, func(ctx context.Context) {
			n.carryOut(ctx, steps)
			reply.Send(steps, nil)
		}, reply.Fail)
		return
	}
	proposed := n.proposable(steps)
	left := len(proposed)
	if left == 0 {
		reply.Send(steps, nil)
		return
	}
	ops := make([]replica.Op, left)
	for i, s := range proposed {
		ops[i] = s.proposal(func(r entry.Reply) {
			s.replied(r, n.o.Name)
			if left--; left == 0 {
				reply.Send(steps, nil)
			}
		})
	}
	n.propose(ops...)
}

// maxReadsAtOnce is how many keys are read for another node on the goroutine of its link.
const maxReadsAtOnce = 256

// readStepsAtOnce does the reads of steps from leases, if that takes no waiting, so that most requests
// cost no goroutine here. If it reports false, nothing was read.
func (n *Node) readStepsAtOnce(steps []*step) bool {
	keys, bytes := 0, 0
	for _, s := range steps {
		keys += len(s.keys)
	}
	ok := keys <= maxReadsAtOnce
	boot := n.o.Boot()
	for i := 0; i < len(steps) && ok; i++ {
		s := steps[i]
		h := n.o.Loop.Handle(s.partition)
		if ok = h != nil; !ok || len(s.keys) == 0 {
			continue
		}
		v, leased := local.Leased(h, boot)
		ok = leased
		for j := 0; j < len(s.keys) && ok; j++ {
			res, slow, e := n.readAtOnce(v, s.keys[j].key, s.keys[j].part, 0)
			s.read = append(s.read, res)
			bytes += len(res.Item.Value.Data)
			ok = !slow && e == nil && bytes <= n.o.Limits.ReadBytes
		}
		ok = ok && (len(s.keys) == 1 || v.Holds())
	}
	if !ok {
		for _, s := range steps {
			s.read = nil
		}
	}
	return ok
}
