package kv

import "time"

// EncryptionView is how the data directory of one node is encrypted.
type EncryptionView struct {
	Encrypted bool          `json:"encrypted"`
	WrappedBy string        `json:"wrapped_by,omitzero"` // fingerprint of the operator's key
	Rotating  bool          `json:"rotating"`            // what old data keys encrypt is being rewritten
	Rotations uint64        `json:"rotations"`           // since the node was started
	DataKeys  []DataKeyView `json:"data_keys"`
}

// DataKeyView is one data key, and what it still encrypts.
type DataKeyView struct {
	ID      uint32    `json:"id"`
	Made    time.Time `json:"made"`
	Current bool      `json:"current"` // new files are encrypted by it
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"` // on the disk
}
