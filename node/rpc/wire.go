package rpc

import (
	"errors"

	"pxkv/node/kv"
)

// Version is the first byte of every request, but for those of Methods that are Bare.
const Version = 1

// The kinds of request that the mechanism itself makes, among those of package node: never reuse a number.
const (
	KindLeading = 5 // nothing -> the partitions that the asked node leads
	KindVia     = 9 // a request for a third node -> its answer
)

// Every answer begins with how it ended.
const (
	answerOK    = 0
	answerError = 1 // a kv.Error follows
)

// ErrMalformed is the error of a request that no sound node sends.
var ErrMalformed = errors.New("malformed request from another node")

// NewRequest begins a request whose content takes about so many bytes.
func NewRequest(size int) []byte { return append(make([]byte, 0, 1+size), Version) }

// NewAnswer begins the answer to what was done; about so many bytes of content follow.
func NewAnswer(size int) []byte { return append(make([]byte, 0, 1+size), answerOK) }

// EncodeError makes the answer to what was not done.
func EncodeError(e *kv.Error) []byte { return e.AppendTo([]byte{answerError}) }

// DecodeAnswer returns a decoder of the answer's content, or the error it carries.
func DecodeAnswer(b []byte) (kv.Decoder, *kv.Error) {
	d := kv.NewDecoder(b)
	switch d.Byte() {
	case answerOK:
		if d.Err() == nil {
			return d, nil
		}
	case answerError:
		if e := d.ReadError(); d.End() == nil {
			return d, e
		}
	}
	return d, kv.Errorf(kv.Internal, "malformed answer from another node")
}
