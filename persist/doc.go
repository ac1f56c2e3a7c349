// Package persist is what survives a crash: it opens, joins and recovers the two stores of a node, its log
// (package raftlog) and its data (package data), which do not know each other.
//
// Nouns: DB (both stores of one node); Identity (who the node is); Batch (the log writes of one turn, one fsync,
// and what the data has to do with them). The others are those of the two packages, whose methods a DB has.
//
// Callers: cmd/pxkv/server (Open, Identity); node/replica and node take what it opened.
//
// The caller's duties, in order:
//
//  1. Open, then Identity, then Replicas. Each replica comes checked; what does not fit
//     together is an error of Open, for a node whose disk lies must not vote.
//  2. In each turn fill at most one Batch. Filling it changes the Replica in memory at
//     once: that may lead the disk, and never lags.
//  3. Commit the batches in the order in which they were made. Only after Commit has returned
//     may a promise (a vote, an append acknowledgement) leave the node.
//  4. Commit an Apply only after the Batch with the entries that it applies. It needs no
//     fsync: what a crash takes of it is applied again, from the log, which keeps each entry
//     until its effects are flushed.
//  5. Commit a replica's outstanding Apply before a Batch that installs or destroys it.
//  6. Close every View, SnapshotReader and Staged before Close.
//
// A Replica, a Batch while it is filled, and an Apply belong to one goroutine. Everything on
// DB is safe from any goroutine. What a start alone does to the two stores is not among it: see raftlog.Opening
// and data.Opening.
//
// It must not decide anything: no clock but for metrics, no network, no policy. When the disk
// cannot be trusted any more it calls Options.Fatal, which does not return.
//
// What a crash may leave: the log as it was after one of the batches between the last synced
// one and the last one written, whole; and of each replica the effects up to some index, whole,
// at or above the log's beginning. Everything else that is found at Open is corruption.
//
// The log decides: what it says about the data (a replica was created or destroyed, a snapshot
// installed) and what a crash took of that is done again by the next Open (recover.go). Data flows one way: an
// entry is applied from the log, and the log asks what of that is durable before it forgets the entry.
//
// FORMAT.md documents every byte that this package, and those below it, write.
package persist
