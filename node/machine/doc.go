// Package machine is the state machine of a partition that holds users' keys: what each command does to them,
// decided from the state and the log entry alone, so that it is the same on every replica.
//
// Nouns: KV (the state machine of one partition), step (an entry while it is carried out), touched (what it has
// read and written), earliest (where the partition's expiry index begins).
//
// Callers: node/core gives each replica a KV of its own. node/replica calls it, by its interface StateMachine, on
// the goroutine of the turns:
//
//  1. Apply and Purge add the effects of committed entries to a batch, in the order of the log. Before a Purge
//     the batch has no effects in the partition.
//  2. Committed, when they can be read.
//  3. Reload, when a snapshot took the place of the state.
//
// Apply and Purge must not look at a clock, a configuration, random numbers, a cache or the order of a map, unless
// it shows in answers only: replicas would diverge, and what older releases decided must stay as it is. An error
// from them means that this binary cannot go on. The package knows no Raft: what an entry is, node/entry says.
package machine
