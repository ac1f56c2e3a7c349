package node

import (
	"context"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// writeMethod asks the leader of a partition to carry out one command.
var writeMethod = rpc.Method[*Node, writeRequest, kv.Result]{
	Kind: reqWrite, OneKey: true,
	Encode: func(w writeRequest, _ int) []byte { return w.request },
	Decode: (*Node).decodeWrite,
	Here:   (*Node).writeHere, Answer: (*Node).answerWrite,
	EncodeAnswer: func(r kv.Result) []byte { return r.AppendTo(rpc.NewAnswer(63)) },
	DecodeAnswer: func(_ writeRequest, d kv.Decoder) (kv.Result, bool) { return decodeResult(d) },
}

// writeRequest is one command on its way.
type writeRequest struct {
	partition kv.PartitionID
	command   []byte // encoded
	packs     bool   // its value is packed
	growth    int64  // how many bytes it may add to what is stored
	request   []byte // the command as another node is asked for it
}

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
	size := limited.EncodedSize()
	account := kv.AccountOf(ctx)
	if !account.Take(1 + size) {
		return kv.Result{}, kv.ErrOverloaded()
	}
	packs := n.pack(account, &limited)
	if packs {
		account.Give(size - limited.EncodedSize())
		size = limited.EncodedSize()
	}
	request := limited.AppendTo(rpc.NewRequest(size))
	w := writeRequest{partition: p, command: request[1:], packs: packs, growth: limited.Growth(), request: request}
	return writeMethod.Ask(ctx, n.client, n, p, w)
}

// propose gives operations of clients to the loop, and counts that there are some.
func (n *Node) propose(ops ...replica.Op) {
	n.proposals.Add(1)
	n.o.Loop.Write(ops...)
}

// writeHere proposes a command to the replica on this node and waits.
func (n *Node) writeHere(ctx context.Context, w writeRequest) (kv.Result, *kv.Error) {
	if !n.takeRoom(w.growth) {
		return kv.Result{}, n.errFull()
	}
	f := n.proposed.Get()
	n.propose(replica.Op{Partition: w.partition, Command: w.command, Packs: w.packs, Reply: f.Put})
	r, ok := n.proposed.Wait(ctx, f)
	if !ok {
		return kv.Result{}, kv.ErrUnknown()
	}
	r.Result.Receipt.Node = n.o.Name
	return r.Result, r.Err
}

// decodeWrite reads another node's write. It is validated again: what is in the log must be sound whoever sent it.
func (n *Node) decodeWrite(_ kv.NodeID, d kv.Decoder) (writeRequest, error) {
	w := writeRequest{command: d.Rest()}
	c := d.ReadCommand()
	if d.End() != nil {
		return w, rpc.ErrMalformed
	}
	if err := c.Validate(n.o.MaxValueBytes); err != nil {
		return w, kv.ErrorOf(err)
	}
	p, err := n.locateCommand(&c)
	if err != nil {
		return w, kv.ErrorOf(err)
	}
	if err := n.checkPacked(p, &c); err != nil {
		return w, err
	}
	w.partition, w.packs, w.growth = p, c.Value.Packing != kv.NotPacked, c.Growth()
	return w, nil
}

// answerWrite proposes another node's command.
func (n *Node) answerWrite(w writeRequest, reply rpc.Reply[kv.Result]) {
	if !n.takeRoom(w.growth) {
		reply.Fail(n.errFull())
		return
	}
	n.propose(replica.Op{Partition: w.partition, Command: w.command, Packs: w.packs, Reply: func(r entry.Reply) {
		r.Result.Receipt.Node = n.o.Name
		reply.Send(r.Result, r.Err)
	}})
}

// decodeResult reads the result of a write; one that nobody can read leaves its outcome unknown.
func decodeResult(d kv.Decoder) (kv.Result, bool) {
	res := d.ReadResult()
	return res, d.End() == nil && res.Outcome.Known()
}
