// Package codec reads what the stores of a node have encoded: bytes with a format version in front, which
// may have been damaged, or written by another version of pxkv.
//
// Nouns: Cursor (reads the fields of one encoding, and remembers the first fault); ErrFormat and ErrCorrupt
// (what a fault is).
//
// Callers: packages state, raftlog, data, and persist itself.
//
// It knows no format but that of a number, and never guesses: what it cannot read is an error.
package codec
