package member

import (
	"errors"
	"fmt"

	"pxkv/node/meta"
)

// ErrRefused is the error of a node that the cluster does not want as it is: its name is taken,
// its data directory is a copy or too old, or it was removed.
var ErrRefused = errors.New("the cluster refuses this node")

// Introduce returns the command by which a node makes itself known: a Join when it is in no
// cluster, else a Start.
func Introduce(self meta.Member, member bool) []byte {
	if member {
		return meta.Start{
			ID: self.ID, Starts: self.Starts, Incarnation: self.Incarnation, Addresses: self.Addresses, Name: self.Name,
		}.Encode()
	}
	return meta.Join{Member: self}.Encode()
}

// Judge reads the answer. wait is why the node must ask again, empty when it need not; err wraps
// ErrRefused when time changes nothing.
func Judge(r meta.Result) (wait string, err error) {
	if r.Refused == nil {
		return "", nil
	}
	switch r.Refused.Code {
	case meta.NameInUse, meta.Full, meta.Stale:
		return r.Refused.Text, nil // a node that was wiped waits here until its former self may be replaced
	}
	return "", fmt.Errorf("%w: %s", ErrRefused, r.Refused.Text)
}
