// Package salvage reads what the data directories of stopped nodes hold, of one or of all: the way out where a
// majority is lost for good. It changes nothing in them.
//
// Nouns: Salvage (the directories of one cluster, opened); copy, replica (what one of them has of a partition);
// Report (what was found, and what may be missing).
//
// Caller: cmd/pxkv. In order: Open; Report, for somebody who decides; Pairs; Close.
//
// Of each partition it takes the history that an election among these copies would take: the log that ends with the
// highest term, and of those the longest. With a majority of a group's voters that log has all that was ever
// acknowledged, and whatever else it has is of unknown outcome: nobody was told that it is not done. With fewer it
// may lack acknowledged writes, and its end may be of writes that were never done: then only what is known to be
// committed is taken, unless Options.Uncommitted says otherwise. All copies are brought there and compared by their
// running hashes.
//
// It must not know where pairs go, nor how they are written.
package salvage
