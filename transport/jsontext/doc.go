// Package jsontext is JSON as clients write and read it here: keys that may be any bytes, and values that
// keep the text they came with. encoding/json would decode what is only to be stored, lose the digits of
// long numbers and the order of members, and make one replacement character of each byte that is not UTF-8.
//
// Nouns: text (JSON as it came), Span (where a value lies in one), Writer (keys and values as JSON, piece
// by piece).
//
// Caller: transport/httpapi. It must not import that, nor know what a member's name means.
//
// Reading neither recurses nor allocates for what is well-formed: a text is scanned once (Document, Members,
// Elements), and what is wanted of it is decoded in place (Value, Unquote). So a text can be read once.
package jsontext
