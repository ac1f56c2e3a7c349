package resp

import (
	"context"
	"iter"

	"pxkv/node/kv"
)

// Service is what this package needs of a node. Its methods are called concurrently; an
// error is a *kv.Error. None may keep the bytes that it is given after it has returned.
type Service interface {
	// Read reads one key. The item's bytes must stay unchanged after the call.
	Read(ctx context.Context, key []byte, opt kv.ReadOptions) (kv.ReadResult, error)
	// Write carries out one command and answers when its outcome is known.
	Write(ctx context.Context, cmd *kv.Command) (kv.Result, error)
	// Batch carries out commands on any keys, reads (kv.OpRead) and writes mixed, and returns one
	// answer each. Commands on the same key take effect in their order. When values are long enough
	// together, commands that ask for more are left for later (kv.Answer.Later), as are those behind
	// them on the same key; the first is never left.
	Batch(ctx context.Context, commands []kv.Command) []kv.Answer
	// Transact carries out commands on keys of one partition at a stroke.
	Transact(ctx context.Context, t *kv.Transaction) (kv.TransactionResult, error)
	// List yields items in byte order of their keys over the whole cluster.
	List(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error]
	// Walk returns some of the keys that stand at or behind a position in the order of all keys
	// by ring.Position, about count of them, and the position to go on from, 0 when there are no
	// more. Every key that is there throughout a walk from 0 to 0 is returned at least once.
	Walk(ctx context.Context, from uint64, count int) (keys [][]byte, next uint64, err error)
	// CountKeysInSlot counts the keys of a slot, and CountKeys those of the whole cluster.
	CountKeysInSlot(ctx context.Context, slot int) (int64, error)
	CountKeys(ctx context.Context) (int64, error)
	// EstimateKeys tells about how many keys there are, without a look at each when there are many.
	EstimateKeys(ctx context.Context) (int64, error)
	Cluster() kv.ClusterView
	Partitions() []kv.PartitionView
	// Ready returns nil, or an error that says what is missing.
	Ready() error
}
