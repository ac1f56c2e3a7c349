// Package pack makes the data of values shorter, and whole again.
//
// Nouns: a Packer packs by one algorithm, what becomes shorter by it; an Unpacker unpacks whatever any
// Packer has made, of this version or another. Both are safe for use by many goroutines, hold a bounded
// number of encoders and decoders, whose users wait for each other, and keep nothing of what they were given.
//
// Callers: package node packs the values of puts before they are proposed, and unpacks what other nodes want
// proposed, to see that it can be done: so whatever is in a log unpacks. persist/data unpacks what is read,
// node/machine what commands look at or change.
//
// What an encoder makes of the same data may differ between versions of this program, so nothing that must be
// the same on every replica rests on it: a value is packed once, before it is in the log. What a decoder makes
// of the same bytes is told by RFC 1950 and RFC 8878. The package imports node/kv only.
package pack
