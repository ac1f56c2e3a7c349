package node

import (
	"pxkv/node/kv"
	"pxkv/ring"
)

// Commands of clients, before they are proposed, and what is left to do with their results.

// locate finds a key's partition, which takes knowing the cluster.
func (n *Node) locate(key []byte) (kv.PartitionID, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	return ring.PartitionOfKey(key, s.Partitions), nil
}

// locateCommand finds the partition of all keys of a command.
func (n *Node) locateCommand(c *kv.Command) (kv.PartitionID, error) {
	p, err := n.locate(c.Key)
	if err == nil && c.Op == kv.OpRename {
		if to, err := n.locate(c.NewKey); err != nil || to != p {
			return 0, errSeveralPartitions()
		}
	}
	return p, err
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

// limited completes a command with what it must not exceed.
func (n *Node) limited(c *kv.Command) kv.Command {
	out := *c
	if out.Op == kv.OpAppend || out.Op == kv.OpSetRange {
		out.Limit = int64(n.o.MaxValueBytes)
	}
	return out
}

// cut leaves the part of a value that a read in the log was to return.
func cut(c *kv.Command, r *kv.Result) {
	if c.Op != kv.OpRead || c.Part.Kind == kv.WholeValue || r.Item == nil {
		return
	}
	it := *r.Item
	r.Number = int64(len(it.Value.Data))
	it.Value.Data = c.Part.Of(it.Value.Data)
	r.Item = &it
}
