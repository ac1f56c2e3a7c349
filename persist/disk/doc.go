// Package disk is what the stores of a node need of the disk that they lie on together: one directory, one
// end when it cannot be trusted any more, and work in the background that waits for it.
//
// Nouns: Disk (the directory of a node, with its file system watched and ordered); Task (a piece of work in
// the background).
//
// Callers: package persist opens and closes it; packages wal, raftlog and data use it.
//
// The callers' duties, in order:
//
//  1. Open a Disk, then Begin it when all that is on it was found to be whole: from then on corruption ends
//     the node, before that it is an error.
//  2. End it, so that nobody begins anything new and no work in the background is under way.
//  3. Close it when no file is open any more.
//
// It keeps nothing itself and knows no format. When the disk cannot be trusted any more it calls
// Options.Fatal, which does not return.
package disk
