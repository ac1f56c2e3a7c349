// Package rdb reads the dumps of Redis and Valkey (RDB files), item by item, in memory that does not grow with the
// dump. Strings are decoded. Values of other types are skipped: the format has no lengths for some, so that each of
// their encodings has to be known for that.
//
// Nouns: Reader; Item (a key of the dump, and its value where that is a string); Type (what kind of value it is).
//
// Caller: package transfer. Duties, in order: NewReader, and Next until it returns an error. io.EOF is the end of a
// whole dump, whose checksum is right; after any other error nothing more can be read.
//
// It must not know pxkv: what is too long for it, the caller says.
package rdb
