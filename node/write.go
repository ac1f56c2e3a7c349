package node

import (
	"context"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// Write carries out one command, wherever its partition is led. It ends in one of three
// ways: a Result; an Error whose kind says that the command was certainly not done; or
// kv.Unknown, and then it was made at most once and may yet be applied.
func (n *Node) Write(ctx context.Context, cmd *kv.Command) (kv.Result, error) {
	if err := cmd.Validate(n.o.MaxValueBytes); err != nil {
		return kv.Result{}, err
	}
	p, err := n.locateCommand(cmd)
	if err != nil {
		return kv.Result{}, err
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	// The request owns its bytes from here on: it may outlive this call, whose caller is then
	// told that the outcome is unknown.
	limited := n.limited(cmd)
	request := limited.AppendTo(append(make([]byte, 0, 1+limited.EncodedSize()), wireVersion))
	var res kv.Result
	err = n.try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		var e *kv.Error
		if to == n.o.ID {
			n.metrics.local.Inc()
			res, e = n.writeHere(ctx, p, request[1:])
		} else {
			n.metrics.forwarded.Inc()
			res, e = n.forwardWrite(ctx, to, request)
		}
		return e
	})
	return res, err
}

// writeHere proposes an encoded command to the replica on this node and waits.
func (n *Node) writeHere(ctx context.Context, p kv.PartitionID, command []byte) (kv.Result, *kv.Error) {
	if n.full.Load() {
		return kv.Result{}, errFull()
	}
	w := writeWaits.Get().(*written)
	n.o.Loop.Write(replica.Op{Partition: p, Command: command, Reply: w.done})
	select {
	case r := <-w.reply:
		writeWaits.Put(w)
		r.Result.Receipt.Node = n.o.Name
		return r.Result, r.Err
	case <-ctx.Done():
		return kv.Result{}, kv.ErrUnknown()
	}
}

// written is where writeHere waits. It is used again once its reply came, which comes once.
type written struct {
	reply chan replica.Reply
	done  func(replica.Reply)
}

var writeWaits = sync.Pool{New: func() any {
	w := &written{reply: make(chan replica.Reply, 1)}
	w.done = func(r replica.Reply) { w.reply <- r }
	return w
}}

func (n *Node) forwardWrite(ctx context.Context, to kv.NodeID, request []byte) (kv.Result, *kv.Error) {
	b, err := n.ask(ctx, to, reqWrite, request)
	if err != nil {
		if n.o.NotSent(err) {
			return kv.Result{}, kv.Errorf(kv.Unavailable, "node %s cannot be reached: %v", to, err)
		}
		return kv.Result{}, kv.ErrUnknown()
	}
	d, e := decodeAnswer(b)
	if e != nil {
		if e.Kind == kv.Internal {
			e = kv.ErrUnknown() // the answer to a write that nobody can read
		}
		return kv.Result{}, e
	}
	return decodeResult(&d)
}

// ask sends a request to another node and waits for the answer. ctx has a deadline.
func (n *Node) ask(ctx context.Context, to kv.NodeID, kind uint8, payload []byte) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	if d, ok := ctx.(*kv.Deadline); ok {
		ctx = d.Untimed() // Peers ends the request at its deadline
	}
	w := askWaits.Get().(*asked)
	n.o.Peers.Go(to, kind, deadline, payload, w.done)
	select {
	case a := <-w.answer:
		askWaits.Put(w)
		return a.b, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx) // sent or not: nobody knows
	}
}

// asked is where ask waits. It is used again once its answer came, which comes once.
type asked struct {
	answer chan peerAnswer
	done   func([]byte, error)
}

type peerAnswer struct {
	b   []byte
	err error
}

var askWaits = sync.Pool{New: func() any {
	w := &asked{answer: make(chan peerAnswer, 1)}
	w.done = func(b []byte, err error) { w.answer <- peerAnswer{b, err} }
	return w
}}

// answerWrite serves another node's forwarded write.
func (n *Node) answerWrite(request []byte, reply func([]byte, error)) {
	d := kv.NewDecoder(request)
	if d.Byte() != wireVersion {
		n.refuse(reply, errWire)
		return
	}
	command := d.Rest()
	c := d.ReadCommand()
	if d.End() != nil {
		n.refuse(reply, errWire)
		return
	}
	// Validated again: what is in the log must be sound whoever sent it.
	if err := c.Validate(n.o.MaxValueBytes); err != nil {
		reply(encodeError(asError(err)), nil)
		return
	}
	p, err := n.locateCommand(&c)
	switch {
	case err != nil:
		reply(encodeError(asError(err)), nil)
		return
	case n.full.Load():
		reply(encodeError(errFull()), nil)
		return
	}
	n.o.Loop.Write(replica.Op{Partition: p, Command: command, Reply: func(r replica.Reply) {
		if r.Err != nil {
			reply(encodeError(r.Err), nil)
			return
		}
		r.Result.Receipt.Node = n.o.Name
		reply(r.Result.AppendTo(append(make([]byte, 0, 64), answerOK)), nil)
	}})
}

func asError(err error) *kv.Error {
	if e, ok := err.(*kv.Error); ok {
		return e
	}
	return kv.Errorf(kv.Internal, "%v", err)
}

func errFull() *kv.Error {
	return kv.Errorf(kv.Full, "The disk of the partition's leader is full: free some space on it")
}

// spaceInterval is how often the free space is looked at: large values at full speed must not
// use up the reserve in between.
const spaceInterval = 200 * time.Millisecond

// watchSpace stops writes while the disk has less room than the store needs to tidy up:
// 2 % of it, but 256 MiB to 1 GiB, and never more than a quarter. Reads, and the deletion of
// old log, go on.
func (n *Node) watchSpace(ctx context.Context) {
	ticker := time.NewTicker(spaceInterval)
	defer ticker.Stop()
	for {
		if free, total, err := n.o.DB.FreeBytes(); err == nil && total > 0 {
			reserve := min(max(total/50, 256<<20), 1<<30, total/4)
			if full := free < reserve; full != n.full.Swap(full) {
				n.log.Warn("disk space", "full", full, "free", free, "reserve", reserve)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
