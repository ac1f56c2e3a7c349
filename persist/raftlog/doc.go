// Package raftlog is the Raft logs and promises of all replicas of a node, in one write-ahead log with one
// fsync for all of them.
//
// Nouns: Log (those of one node); Opening (one at a start); Replica (one replica's log and bookkeeping, a
// raft.Storage); Batch (the writes of one turn, one fsync; it is one record of package wal); operation
// (what a batch says of one replica); outline (where each entry of a replica lies); tail (the end of it
// that is in memory); tombstone (the highest id among a partition's replicas that were destroyed here);
// checkpoint (all bookkeeping at the beginning of a segment); Recovered (what a start finds of a replica);
// Effects (who keeps what the entries do, as far as a log must know).
//
// Callers: node/replica; package persist opens it, and lets the data follow.
//
// The callers' duties, in order:
//
//  1. Recover the Opening, then Load each replica: it comes checked. What does not fit together is an error.
//  2. In each turn fill at most one Batch. Filling it changes the Replica in memory at once: that may
//     lead the disk, and never lags.
//  3. Commit the batches in the order in which they were made. Only after Commit has returned may a promise
//     (a vote, an append acknowledgement) leave the node.
//  4. Tell a Replica what was applied with SetApplied, and before it is installed or destroyed.
//
// A Replica, and a Batch while it is filled, belong to one goroutine. Everything on Log is safe from any
// goroutine.
//
// It does not know where effects are kept, nor what is in an entry or in the data that a replica begins with.
// It decides nothing: no clock but for metrics, no network, no policy.
//
// What a crash may leave: the log as it was after one of the batches between the last synced one and the last
// one written, whole.
package raftlog
