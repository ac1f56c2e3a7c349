package peer

import (
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// Inside of the messages is what the owner writes, in formats with versions of their own. Each side
// tells in its hello which version of each it writes, and refuses a peer that writes what it cannot
// read. So two releases that do not understand each other say so at once, to both operators, instead
// of dropping what they hear for as long as they run.

// maxFormats bounds how many formats are compared.
const maxFormats = 16

// written has the versions that a side writes, in the order of Options.Formats; 0 is one that it did
// not tell of, as releases do that do not have the format, or tell of none.
type written [maxFormats]uint8

func (t *Transport) writes() (w written) {
	for i, f := range t.opt.Formats() {
		w[i] = f.Writes
	}
	return w
}

// encode appends how many there are and the version of each.
func (w written) encode(b []byte) []byte {
	n := maxFormats
	for n > 0 && w[n-1] == 0 {
		n--
	}
	return append(append(b, byte(n)), w[:n]...)
}

// decodeWritten reads what stands behind the name in a hello. Further bytes are for later versions.
func decodeWritten(b []byte) (w written, err error) {
	if len(b) == 0 {
		return w, nil
	}
	n, b := int(b[0]), b[1:]
	if n > len(b) {
		return w, errors.New("a hello ends within the versions of its formats")
	}
	copy(w[:], b[:n])
	return w, nil
}

// unreadable says which format of a peer this node cannot read, nil when there is none.
func (t *Transport) unreadable(me, peer string, w written) *refusal {
	for i, f := range t.opt.Formats() {
		if w[i] == 0 || f.Reads(w[i]) || formatsNotCompared {
			continue
		}
		oldest, newest := f.Range()
		reads := fmt.Sprintf("version %d", newest)
		if oldest != newest {
			reads = fmt.Sprintf("versions %d to %d", oldest, newest)
		}
		return refusef("node %s writes version %d of %s, node %s reads %s: run releases of pxkv that understand "+
			"each other", peer, w[i], f.Name, me, reads)
	}
	return nil
}

// errForeign ends a link on which something came that this node cannot read.
var errForeign = errors.New("the peer writes what this node cannot read")

// foreign is a process of a peer that wrote what this node cannot read, although its hello told of
// nothing of the kind.
type foreign struct {
	incarnation uint64
	why         string
}

// cannotRead remembers that, so that the process is refused from now on: to connect again and again
// would change nothing.
func (p *peer) cannotRead(incarnation uint64, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreign = foreign{incarnation, err.Error()}
	return fmt.Errorf("%w: %w", errForeign, err)
}

// isForeign says why this process of the peer is refused, "" when it is not.
func (p *peer) isForeign(incarnation uint64) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.foreign.incarnation != incarnation {
		return ""
	}
	return p.foreign.why
}

// Refused returns why the last attempt to connect with each peer was refused, by whichever side, where
// it was.
func (t *Transport) Refused() map[kv.NodeID]string {
	out := map[kv.NodeID]string{}
	for id, p := range *t.peers.Load() {
		p.mu.Lock()
		if p.refused != "" {
			out[id] = p.refused
		}
		p.mu.Unlock()
	}
	return out
}
