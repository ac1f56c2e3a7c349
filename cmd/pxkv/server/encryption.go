package server

import (
	"pxkv/node/kv"
	"pxkv/persist"
)

// encryption shows clients how the data directory is encrypted.
type encryption struct{ db *persist.DB }

// Encryption implements httpapi.Encryption.
func (e encryption) Encryption() (kv.EncryptionView, error) {
	u, encrypted, err := e.db.Encryption()
	v := kv.EncryptionView{
		Encrypted: encrypted, WrappedBy: u.WrappedBy, Rotating: u.Rotating, Rotations: u.Rotations,
		DataKeys: []kv.DataKeyView{},
	}
	for _, k := range u.DataKeys {
		v.DataKeys = append(v.DataKeys, kv.DataKeyView(k))
	}
	return v, err
}

// RotateKeys implements httpapi.Encryption.
func (e encryption) RotateKeys() error { return e.db.RotateKeys() }
