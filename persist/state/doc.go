// Package state has the word that the stores of a node share: Applied, how far a replica's state machine has
// come. The log begins a replica with it and tells Raft, and the data is labelled with it.
//
// Callers: packages raftlog and data, and whoever applies entries.
//
// FORMAT.md in package persist documents its encoding.
package state
