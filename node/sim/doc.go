// Package sim runs whole clusters in one goroutine, by hand: many nodes with the real Host,
// meta group, planner, cache and store (Pebble on a file system in memory that can crash),
// a virtual clock, a network that loses, delays, repeats and reorders, and clients whose
// history is checked for linearizability. The same seed gives the same run, event for event.
//
// Run plays one schedule: a cluster is bootstrapped, nodes join, faults strike for a while,
// then everything heals and must settle, but for members that never come back. Invariants are checked after every turn
// of every node; at the end no acknowledged write may be missing, and porcupine must find an order.
//
// Nouns: World (the clock and its events), node, network, client, Options (which faults).
// Callers: tests of this package. It draws Raft's randomness from crypto/rand, which the
// caller pins (testing/cryptotest); it must not read a clock itself.
package sim
