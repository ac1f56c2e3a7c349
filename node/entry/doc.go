// Package entry is what an entry of a group's log holds, and what comes of applying it: the words that
// whoever proposes an entry (node/replica) shares with whoever carries it out (the state machines).
//
// Nouns: Payload (what the leader decided before replication: a time, and commands, a purge or a barrier),
// Reply (the end of one command), Outcome (what applying one Payload gives besides its effects).
//
// Callers: node/replica encodes what it proposes (AppendTo), decodes what is committed (Decode) and hands it to
// a state machine; node/machine and node/meta are those. Every release writes entries that others read: a change
// of what they mean takes another version. The package imports node/kv only, and knows no Raft and no store.
package entry
