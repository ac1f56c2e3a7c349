// Package overlay is a file system over a directory that is not to be changed: what is written stays in memory. So the
// store of a node that has stopped can be opened as ever, and recovered as after a crash, without a trace.
//
// Nouns: FS; content (a file as it is with what was written to it).
//
// Caller: node/salvage. Duties, in order: New; let a store use it; close that; Close.
//
// It locks as a reader: nobody can begin to use the directory meanwhile, and one that is in use is refused. It changes
// nothing, not even a lock file or a time of modification. Directories cannot be renamed; no store does.
package overlay
