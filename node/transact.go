package node

import (
	"context"

	"pxkv/node/kv"
)

// Transact carries out a transaction, whose keys must all be of one partition. It ends as a Write
// does: done, also when a watched key has changed; certainly not done; or unknown.
func (n *Node) Transact(ctx context.Context, tx *kv.Transaction) (kv.TransactionResult, error) {
	if err := tx.Validate(n.o.MaxValueBytes); err != nil {
		return kv.TransactionResult{}, err
	}
	p, err := n.locateAll(tx)
	if err != nil {
		return kv.TransactionResult{}, err
	}
	if len(tx.Commands) == 0 && len(tx.Watches) == 0 {
		return kv.TransactionResult{}, nil
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	limited := kv.Transaction{Watches: tx.Watches, Commands: make([]kv.Command, len(tx.Commands))}
	for i := range tx.Commands {
		limited.Commands[i] = n.limited(&tx.Commands[i])
	}
	unit := limited.AppendTo(make([]byte, 0, limited.EncodedSize()))
	var res kv.TransactionResult
	err = n.try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		s := &step{partition: p, unit: unit, commands: len(tx.Commands)}
		if to == n.o.ID {
			n.metrics.local.Inc()
			n.carryOut(ctx, []*step{s})
		} else {
			for _, a := range n.askSteps(ctx, to, []*step{s}) {
				a.wait(ctx)
			}
		}
		res = s.result
		return s.err
	})
	for i := range res.Results {
		res.Results[i].Receipt = res.Receipt
	}
	return res, err
}

// locateAll finds the partition of all keys of a transaction.
func (n *Node) locateAll(tx *kv.Transaction) (kv.PartitionID, error) {
	var p kv.PartitionID
	first := true
	for k := range tx.Keys {
		at, err := n.locate(k)
		if err != nil {
			return 0, err
		}
		if !first && at != p {
			return 0, errSeveralPartitions()
		}
		p, first = at, false
	}
	return p, nil
}
