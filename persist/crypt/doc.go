// Package crypt encrypts what the stores of a node write: it is a file system that lies between them and the disk.
//
// Nouns: key (an operator's: it wraps data keys, and encrypts nothing else); data key (random, AES-256; a file is
// encrypted by one); ring (the data keys of a directory, in one small file, wrapped and authenticated as a whole);
// header (what a file begins with: by which data key, and from which counter on); rewriting (files of an old data
// key are written anew under the current one, open ones included); to forget (a data key that no file uses).
//
// Callers: package persist opens one below both stores, and has it rewrite in the background; cmd/pxkv reads keys.
//
// The callers' duties, in order:
//
//  1. Open it: that only reads, and refuses a directory that does not fit the keys.
//  2. Begin it when the directory is locked: that makes the ring of a fresh one.
//  3. Write through it alone. Two bytes that differ must never be written to the same place of one file: what is
//     written again at an offset is what was there, or the file gets another header first (Create, ReuseForWrite).
//     The encryption is a key stream laid over the bytes: over two texts it would tell how they differ.
//     Who uses a file again has given up what it held, and its old name, for good.
//  4. End the node when Rewrite or Rotate says ErrFatal.
//
// What a crash may leave: a file without a header, or with one of zeros and nothing behind it, is an empty file,
// since the first write brings the header and nothing was synced before it. Anything else without one is
// codec.ErrCorrupt. A file that is used again has two headers in its life, one over the other: the second is durable
// before the file takes its new name, and what a crash tears before that nobody reads.
//
// It knows no format but its own, and does not authenticate what is in the files: checksums of the stores find
// accidents, not forgeries.
package crypt
