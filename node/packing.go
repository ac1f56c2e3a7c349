package node

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/node/pack"
	"pxkv/node/rpc"
)

// The values of puts are packed on the node that a client speaks with, before they are encoded: so the network, the log
// and the disks of all replicas have less of them. What limits are about is known before: the plain command was
// validated. Whoever leads the partition checks that what another node packed unpacks, before it is proposed. So what
// is in a log unpacks on every replica, and nothing has to be decided about a value that does not.

// mostChecked is how many values of other nodes are looked at at one time at most, on however many processors.
const mostChecked = 8

// pack packs the value of a command in its place, if it becomes shorter and there is room for both forms. It reports
// whether it did.
func (n *Node) pack(account *kv.Account, c *kv.Command) bool {
	plain := len(c.Value.Data)
	if c.Op != kv.OpPut || !n.o.Packer.Wants(&c.Value) || account.Room() < int64(plain) || !account.Take(plain) {
		return false
	}
	defer account.Give(plain)
	c.Value = n.o.Packer.Pack(c.Value)
	return c.Value.Packing != kv.NotPacked
}

// packAll packs the values of commands, which are not those of whoever asks. It returns how many bytes that saved.
func (n *Node) packAll(account *kv.Account, cs []kv.Command) (saved int) {
	for i := range cs {
		if c := &cs[i]; n.pack(account, c) {
			saved += c.Value.Plain - len(c.Value.Data)
		}
	}
	return saved
}

// checkPacked refuses a command of another node whose value does not unpack. It was certainly not done, and is tried
// again: what was sent did.
func (n *Node) checkPacked(p kv.PartitionID, c *kv.Command) error {
	if err := n.unpack.Check(&c.Value); err != nil {
		return kv.Errorf(kv.Unavailable, "partition %s: the value of key %.64q came damaged: %v", p, c.Key, err)
	}
	return nil
}

// checkUnpacks does so for all commands of a step, which are well formed.
func (n *Node) checkUnpacks(s *step) error {
	if !s.packs {
		return nil
	}
	tx, err := decodeUnit(s.unit)
	if err != nil {
		return rpc.ErrMalformed
	}
	for i := range tx.Commands {
		if err := n.checkPacked(s.partition, &tx.Commands[i]); err != nil {
			return err
		}
	}
	return nil
}

// packingMetrics shows what a packer has done. Without one all is 0, so that a dashboard is the same for all nodes.
func packingMetrics(p *pack.Packer) []prometheus.Collector {
	var none pack.Stats
	stats := &none
	if p != nil {
		stats = &p.Stats
	}
	counter := func(name, help, label, value string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{label: value},
		}, func() float64 { return float64(n.Load()) })
	}
	const (
		values     = "pxkv_compression_values_total"
		valuesHelp = "Values that this node tried to compress before it proposed them, by whether they became " +
			"shorter (packed) or not (left)."
		bytes     = "pxkv_compression_bytes_total"
		bytesHelp = "Bytes of the values that this node tried to compress, before and after, those included that " +
			"were left as they were."
	)
	return []prometheus.Collector{
		counter(values, valuesHelp, "result", "packed", &stats.Packed),
		counter(values, valuesHelp, "result", "left", &stats.Left),
		counter(bytes, bytesHelp, "side", "before", &stats.Before),
		counter(bytes, bytesHelp, "side", "after", &stats.After),
	}
}
