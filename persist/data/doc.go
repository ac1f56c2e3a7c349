// Package data holds what the replicas of a node have applied: keys and values, the index of their deadlines,
// and how far each replica's state machine has come. It keeps them in one Pebble.
//
// Nouns: Store (the data of one node); Opening (one at a start); Apply (the effects of what one turn
// applied); effect (what an Apply does to one key); write buffer (the effects of one partition that can be
// read and are not in Pebble yet); Record (a value as stored); View (a consistent read of one partition);
// expiry index (the deadlines of a partition's keys, in their order); Birth (what a replica begins with);
// SnapshotReader and Staged (a partition on its way out and in); Room (what of the disk may still be
// filled).
//
// Callers: node/replica (effects, snapshots), node and node/local (reads), node/meta; package persist opens
// it, and lets it follow the log.
//
// The callers' duties, in order:
//
//  1. Bring it up to what the log says before anybody reads: see Opening.
//  2. Commit an Apply only after the log has the entries that it applies. It needs no fsync: what a crash
//     takes of it is applied again, from the log, which must keep each entry until its effects are Durable.
//  3. Install a Staged, or Destroy a partition, only when the log says so and that is on disk.
//  4. Close every View, SnapshotReader and Staged before the Store.
//
// An Apply and a Birth belong to one goroutine. Everything on Store is safe from any goroutine.
//
// It knows no log: who keeps one asks here what is durable, and has more made so. It decides nothing: no
// clock, no network, no policy. It also watches how full the disk is, since what fills and empties it is here.
//
// What a crash may leave: of each partition the effects up to some index, whole. Pebble alone does not
// promise what is needed of its own files; package disk says what is added, and why.
package data
