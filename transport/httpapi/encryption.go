package httpapi

import (
	"errors"
	"net/http"

	"pxkv/node/kv"
)

// Encryption is what this package needs of the encryption of the node's data directory.
type Encryption interface {
	Encryption() (kv.EncryptionView, error)
	// RotateKeys begins to encrypt by new keys. An error says why nothing has changed.
	RotateKeys() error
}

func (x *exchange) getEncryption() {
	view := kv.EncryptionView{DataKeys: []kv.DataKeyView{}}
	if e := x.server.opt.Encryption; e != nil {
		var err error
		if view, err = e.Encryption(); err != nil {
			x.refuse(notEncryption("The data directory could not be looked at", err))
			return
		}
	}
	x.sendView(view)
}

// postEncryption rotates the keys of the node that is asked, and of no other.
func (x *exchange) postEncryption() {
	e := x.server.opt.Encryption
	if e == nil {
		x.refuse(notEncryption("The keys are not rotated", errors.New("the data of this node is not on a disk")))
		return
	}
	if err := e.RotateKeys(); err != nil {
		x.refuse(notEncryption("The keys are not rotated", err))
		return
	}
	x.getEncryption()
}

func notEncryption(what string, err error) *refusal {
	return &refusal{status: http.StatusConflict, text: what + ": " + err.Error(), code: "encryption"}
}
