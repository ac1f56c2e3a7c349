package resp

import (
	"bytes"

	"pxkv/node/kv"
	"pxkv/ring"
)

// transaction is what a client queues between MULTI and EXEC.
type transaction struct {
	commands []queued
	bytes    int
	failed   bool // a command was refused: EXEC will be, too
}

type queued struct {
	cmd  *command
	args [][]byte
}

const (
	errNested      = "ERR MULTI calls can not be nested"
	errWatchMulti  = "ERR WATCH inside MULTI is not allowed"
	errNotInMulti  = "ERR Command not allowed inside a transaction"
	errExecAbort   = "EXECABORT Transaction discarded because of previous errors."
	errMultiTooBig = "ERR the transaction is too large"
)

// begin answers MULTI.
func (c *conn) begin([][]byte) {
	if c.multi != nil {
		c.fail(errNested)
		return
	}
	c.multi = &transaction{}
	c.ok()
}

// discard answers DISCARD.
func (c *conn) discard([][]byte) {
	if c.multi == nil {
		c.fail("ERR DISCARD without MULTI")
		return
	}
	c.endMulti()
	c.ok()
}

// endMulti forgets the queued commands and what was watched.
func (c *conn) endMulti() {
	if c.multi != nil {
		c.server.buffers.give(c.multi.bytes)
	}
	c.multi = nil
	c.endWatch()
}

// endWatch forgets what was watched.
func (c *conn) endWatch() {
	c.server.buffers.give(c.watchedBytes)
	c.watched, c.watchedBytes = nil, 0
}

// enqueue keeps a command until EXEC.
func (c *conn) enqueue(cmd *command, args [][]byte) {
	size := 0
	for _, a := range args {
		size += len(a) + argumentBytes
	}
	fault := ""
	switch m := c.multi; {
	case cmd.flags&alone != 0:
		fault = errNotInMulti
	case len(m.commands) >= kv.MaxTransactionCommands || m.bytes+size > kv.MaxTransactionBytes:
		fault = errMultiTooBig
	case !c.server.buffers.take(size):
		fault = errBuffers
	default:
		kept := make([][]byte, len(args))
		for i, a := range args {
			kept[i] = bytes.Clone(a)
		}
		m.commands = append(m.commands, queued{cmd, kept})
		m.bytes += size
		c.run(&c.server.table.queued, args)
		return
	}
	c.multi.failed = true
	c.run(&c.server.table.refused, [][]byte{[]byte(fault)})
}

// argumentBytes is about what a kept argument takes besides its bytes.
const argumentBytes = 48

// exec answers EXEC: the queued commands become operations, these one transaction, and its
// results their replies.
func (c *conn) exec([][]byte) {
	m := c.multi
	switch {
	case m == nil:
		c.fail("ERR EXEC without MULTI")
		return
	case m.failed:
		c.endMulti()
		c.fail(errExecAbort)
		return
	}
	self := c.cmd
	watches := c.watched
	c.executing = true
	for _, q := range m.commands {
		c.run(q.cmd, q.args)
	}
	c.executing = false
	res, e := kv.TransactionResult{}, (*kv.Error)(nil)
	if len(c.ops)+len(watches) > 0 {
		res, e = c.transact(&kv.Transaction{Watches: watches, Commands: c.ops})
	}
	c.endMulti()
	switch {
	case e != nil:
		c.cmd = self
		c.failed(e)
	case res.Conflict:
		c.nullArray()
	default:
		answers := make([]kv.Answer, len(res.Results))
		for i := range res.Results {
			answers[i].Result = res.Results[i]
		}
		c.array(len(m.commands))
		c.reply(answers)
	}
	c.forget()
	c.render = nil
}

// watch answers WATCH.
func (c *conn) watch(args [][]byte) {
	if c.multi != nil {
		c.fail(errWatchMulti)
		return
	}
	keys := args[1:]
	if len(c.watched)+len(keys) > kv.MaxTransactionCommands {
		c.fail(errMultiTooBig)
		return
	}
	for _, key := range keys {
		if first := keys[0]; !c.server.samePartition(first, key) || len(c.watched) > 0 && !c.server.samePartition(c.watched[0].Key, key) {
			c.fail(errPartitions)
			return
		}
	}
	size := 0
	for _, key := range keys {
		size += len(key) + argumentBytes
	}
	if !c.server.buffers.take(size) {
		c.fail(errBuffers)
		return
	}
	c.watchedBytes += size
	for _, key := range keys {
		c.read(key)
	}
	answers := c.carryOut()
	defer c.forget()
	if e := firstError(answers); e != nil {
		c.failed(e)
		return
	}
	for i, key := range keys {
		w := kv.Watch{Key: bytes.Clone(key)}
		if item := answers[i].Result.Item; item != nil {
			w.Version = item.Version
		}
		c.watched = append(c.watched, w)
	}
	c.ok()
}

// unwatch answers UNWATCH.
func (c *conn) unwatch([][]byte) {
	if c.multi == nil && !c.executing {
		c.endWatch()
	}
	c.ok()
}

// transact carries out a transaction whose keys must be of one partition.
func (c *conn) transact(t *kv.Transaction) (kv.TransactionResult, *kv.Error) {
	var first []byte
	for key := range t.Keys {
		if first == nil {
			first = key
		}
		if !c.server.samePartition(first, key) {
			return kv.TransactionResult{}, &kv.Error{Kind: kv.Invalid, Text: errPartitions}
		}
	}
	ctx := kv.NewDeadline(c.server.base, c.began.Add(c.server.opt.RequestTimeout))
	defer ctx.Release()
	res, err := c.server.service.Transact(ctx, t)
	e := asError(err)
	if e != nil && e.Kind == kv.Internal || e == nil && !res.Conflict && len(res.Results) != len(t.Commands) {
		e = kv.ErrUnknown() // nobody can tell what was done
	}
	return res, e
}

// samePartition reports whether two keys are of one partition, as far as this node knows: before
// it has joined a cluster it answers nothing anyway.
func (s *Server) samePartition(a, b []byte) bool {
	slotA, slotB := ring.SlotOf(a), ring.SlotOf(b)
	if slotA == slotB {
		return true
	}
	n := s.partitionCount()
	return n == 0 || ring.PartitionOf(slotA, n) == ring.PartitionOf(slotB, n)
}

// partitionCount is the cluster's number of partitions, which never changes; 0 before the node
// knows one.
func (s *Server) partitionCount() int {
	if n := s.partitions.Load(); n > 0 {
		return int(n)
	}
	n := s.service.Cluster().Partitions
	s.partitions.Store(int64(n))
	return n
}
