// Package transfer carries pairs between files and a cluster, in constant memory: what pxkv export and pxkv import do,
// without the command line and without HTTP.
//
// Nouns: Format (how a file holds pairs), Entry (one pair of a file), Fault (a pair that cannot be imported, and why),
// Store and Lister (what the cluster is asked; the caller has them), State (how far an import is).
//
// Caller: cmd/pxkv. It opens files, chooses formats, speaks HTTP, and prints. Duties of an import, in order: LoadState,
// if the file can be read again; Open; Import.Run; when that ended whole, State.Remove.
//
// It must not know an address, a flag, or a terminal.
package transfer
