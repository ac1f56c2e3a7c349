// Package kv is the vocabulary of pxkv: the identifiers, commands, results and errors
// that every other package speaks. It has no behaviour beyond encoding and validating
// those words, the arithmetic of counters and the time limit of a request, starts no goroutine, and imports nothing of
// this project.
//
// Nouns: Key, Value, Item, Command, Condition, Expiry, Transaction, Result, Answer, Receipt,
// Consistency, Error, Deadline; the ids of nodes, clusters, partitions and replicas; and what
// front doors show users of the cluster.
//
// Callers: everybody. It must not import any other package of this module.
package kv
