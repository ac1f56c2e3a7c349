// Package server is the composition root: it builds a node out of all parts, from the disk up, starts them
// in order, and stops them in reverse. It knows every package, and none knows it but cmd/pxkv.
//
// Nouns: Options (what a node is told), Server (a node). links are what other nodes see of it, doors
// what clients do; package core builds what is between these and the store.
//
// Callers: cmd/pxkv, with New and then Run.
//
// It must not decide anything about keys, replicas or members.
package server
