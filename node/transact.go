package node

import (
	"context"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// Transact carries out a transaction, whose keys must all be of one partition. It ends as a Write
// does: done, also when a watched key has changed; certainly not done, as when its commands might
// return more than an answer holds; or unknown.
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
	longest := n.o.Limits.transaction(len(tx.Commands))
	if longest <= 0 {
		return kv.TransactionResult{}, errAnswerTooLong(0)
	}
	limited := kv.Transaction{
		Watches: tx.Watches, Commands: make([]kv.Command, len(tx.Commands)), AnswerBytes: int64(longest),
	}
	asks := false
	for i := range tx.Commands {
		limited.Commands[i] = n.limited(&tx.Commands[i])
		asks = asks || tx.Commands[i].Asks()
	}
	account := kv.AccountOf(ctx)
	n.packAll(account, limited.Commands)
	if !asks {
		res, err := n.transact(ctx, p, &limited, 0)
		return refuseTouching(res, err)
	}
	// Few transactions return as much as they might. One that is refused since it would has done
	// nothing, and is tried again with all the room that there may be.
	room := account.TakeSome(min(longest, n.o.Limits.UnitBytes), rpc.LeastRoom)
	if room == 0 {
		return kv.TransactionResult{}, kv.ErrOverloaded()
	}
	limited.AnswerBytes = int64(room)
	res, err := n.transact(ctx, p, &limited, room)
	if err == nil && res.TooLarge && !res.Touches && room < longest {
		if !account.Take(longest) {
			return kv.TransactionResult{}, kv.ErrOverloaded()
		}
		limited.AnswerBytes = int64(longest)
		res, err = n.transact(ctx, p, &limited, longest)
	}
	if err == nil && res.TooLarge && !res.Touches {
		return kv.TransactionResult{}, errAnswerTooLong(longest)
	}
	return refuseTouching(res, err)
}

// refuseTouching makes an error of a transaction that was refused since applying it would hold up
// every replica for too long.
func refuseTouching(res kv.TransactionResult, err error) (kv.TransactionResult, error) {
	if err == nil && res.Touches {
		return kv.TransactionResult{}, kv.Errorf(kv.TooLarge, "The transaction may read and write too many bytes of "+
			"stored values at a stroke: nothing was done, change fewer long values at once")
	}
	return res, err
}

// transact carries out a transaction that is complete. room is what is counted for the values that
// it returns; what it does not need is given back.
func (n *Node) transact(
	ctx context.Context, p kv.PartitionID, tx *kv.Transaction, room int,
) (kv.TransactionResult, error) {
	account := kv.AccountOf(ctx)
	size := tx.EncodedSize()
	if !account.Take(2 * size) { // it, and the request that takes it to another node
		account.Give(room)
		return kv.TransactionResult{}, kv.ErrOverloaded()
	}
	defer account.Give(2 * size)
	unit := tx.AppendTo(make([]byte, 0, size))
	var res kv.TransactionResult
	unused := room
	err := n.client.Try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		s := &step{
			partition: p, unit: unit, commands: len(tx.Commands), values: int(tx.AnswerBytes), room: room,
			packs: tx.Packs(), saved: tx.PlainSize() - size, growth: tx.Growth(),
		}
		if to == n.o.ID {
			n.metrics.Local.Inc()
			n.carryOut(ctx, []*step{s})
		} else {
			n.stepThere(ctx, to, s)
		}
		res, unused = s.result, s.unused()
		return s.err
	})
	account.Give(unused)
	for i := range res.Results {
		res.Results[i].Receipt = res.Receipt
		cut(&tx.Commands[i], &res.Results[i])
	}
	return res, err
}

// errAnswerTooLong is the end of a transaction that was refused before it changed anything.
func errAnswerTooLong(limit int) *kv.Error {
	return kv.Errorf(kv.TooLarge,
		"The transaction may return more than %d bytes of values: nothing was done, ask for fewer at once", limit)
}
