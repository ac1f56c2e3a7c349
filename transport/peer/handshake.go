package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"pxkv/node/kv"
)

// The version of the protocol that this package speaks, and the oldest it understands.
const (
	protocolVersion    = 1
	protocolMinVersion = 1
)

const (
	handshakeMagic = "PXKV"
	handshakeHead  = 10   // magic, length u16, checksum u32
	maxHandshake   = 2048 // bytes of a handshake message behind its head
	maxNameBytes   = 255
	maxReasonBytes = 1024
	helloFixed     = 2 + 2 + 1 + 8 + 8 + 8 + 8 + 1 // up to and with the name's length
)

// Types of handshake messages: the dialer says hello, the acceptor hello or refuse, the
// dialer accept or refuse.
const (
	shakeHello  = 1
	shakeAccept = 2
	shakeRefuse = 3
)

// purpose is what a connection is for.
type purpose uint8

const (
	purposeLink     purpose = 1
	purposeSnapshot purpose = 2
)

// hello is what each side tells about itself.
type hello struct {
	version, minVersion uint16
	purpose             purpose
	want                kv.NodeID // dialer: whom it wants to reach; acceptor: the dialer
	cluster             kv.ClusterID
	node                kv.NodeID
	incarnation         uint64
	name                string
	written             written // formats of what is inside
}

func (h hello) remote() Remote {
	return Remote{Node: h.node, Cluster: h.cluster, Incarnation: h.incarnation}
}

func (h hello) encode() []byte {
	b := []byte{shakeHello}
	b = binary.LittleEndian.AppendUint16(b, h.version)
	b = binary.LittleEndian.AppendUint16(b, h.minVersion)
	b = append(b, byte(h.purpose))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.want))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.cluster))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.node))
	b = binary.LittleEndian.AppendUint64(b, h.incarnation)
	b = append(b, byte(len(h.name)))
	return h.written.encode(append(b, h.name...))
}

// decodeHello reads the body of a hello. Bytes behind its fields are for later versions.
func decodeHello(b []byte) (hello, error) {
	if len(b) < helloFixed {
		return hello{}, fmt.Errorf("a hello of %d bytes is too short", len(b))
	}
	h := hello{
		version:     binary.LittleEndian.Uint16(b),
		minVersion:  binary.LittleEndian.Uint16(b[2:]),
		purpose:     purpose(b[4]),
		want:        kv.NodeID(binary.LittleEndian.Uint64(b[5:])),
		cluster:     kv.ClusterID(binary.LittleEndian.Uint64(b[13:])),
		node:        kv.NodeID(binary.LittleEndian.Uint64(b[21:])),
		incarnation: binary.LittleEndian.Uint64(b[29:]),
	}
	name := b[helloFixed:]
	n := int(b[helloFixed-1])
	if n > len(name) {
		return hello{}, errors.New("a hello ends within the cluster name")
	}
	h.name = string(name[:n])
	var err error
	h.written, err = decodeWritten(name[n:])
	return h, err
}

// refusal is the error of a handshake that one of the sides ended with a reason.
type refusal struct {
	byPeer bool
	reason string
}

func (r *refusal) Error() string {
	if r.byPeer {
		return "the peer refused the connection: " + r.reason
	}
	return "refused the peer: " + r.reason
}

func refusef(format string, args ...any) *refusal {
	return &refusal{reason: fmt.Sprintf(format, args...)}
}

// judge returns why the peer that said h is refused, or nil. want is 0, or the node that
// this side dialed.
func (t *Transport) judge(h hello, want kv.NodeID) *refusal {
	self, cluster := t.opt.Identity, t.opt.Cluster()
	me, peer := t.opt.Names.Of(self.Node), t.opt.Names.Of(h.node)
	switch {
	case h.minVersion > protocolVersion || h.version < protocolMinVersion:
		return refusef("node %s speaks versions %d to %d of the peer protocol, node %s speaks %d to %d",
			peer, h.minVersion, h.version, me, protocolMinVersion, protocolVersion)
	case h.purpose != purposeLink && h.purpose != purposeSnapshot:
		return refusef("node %s knows no connections with purpose %d", me, h.purpose)
	case h.name != self.ClusterName:
		return refusef("node %s belongs to the cluster named %q, node %s to the one named %q",
			peer, h.name, me, self.ClusterName)
	case h.cluster != 0 && cluster != 0 && h.cluster != cluster:
		return refusef("node %s belongs to cluster %v, node %s to cluster %v (both are named %q)",
			peer, h.cluster, me, cluster, self.ClusterName)
	case h.node == 0:
		return refusef("the peer gave no node id")
	case h.node == self.Node && h.incarnation == self.Incarnation:
		return refusef("node %s reached itself: the address it dialed for a peer is its own. Give each node an "+
			"address of its own with --advertise", me)
	case h.node == self.Node:
		return refusef("two processes run as node %s: was a data directory copied, or started twice?", me)
	case want != 0 && h.node != want:
		return refusef("node %s answers at the address of node %s", peer, t.opt.Names.Of(want))
	case h.want != 0 && h.want != self.Node:
		return refusef("node %s looks for node %s, but this is node %s", peer, t.opt.Names.Of(h.want), me)
	}
	if r := t.unreadable(me, peer, h.written); r != nil {
		return r
	}
	known := (*t.peers.Load())[h.node]
	if known != nil {
		if why := known.isForeign(h.incarnation); why != "" {
			return refusef("node %s cannot read what node %s writes: %s; run releases of pxkv that understand "+
				"each other", me, peer, why)
		}
	}
	if known != nil && known.livesAs(h.incarnation) {
		return refusef("node %s is connected with node %s as another process, which lives: is a copy of its data "+
			"directory in use? Stop one of them; if that one has just died, its connections are noticed to be "+
			"dead within %v", me, peer, t.opt.DeadAfter)
	}
	if err := t.opt.Admit(h.remote()); err != nil {
		return refusef("node %s does not admit node %s: %v", me, peer, err)
	}
	return nil
}

// agreement is what both sides told in a handshake that succeeded. The peer treats this node as
// told says for as long as the connection lives.
type agreement struct {
	Remote
	told  kv.ClusterID // what this node said of its own cluster
	wrote written      // and of what it writes
}

// hello returns what this node says about itself.
func (t *Transport) hello(p purpose, want kv.NodeID) hello {
	return hello{
		version: protocolVersion, minVersion: protocolMinVersion, purpose: p, want: want,
		cluster: t.opt.Cluster(), node: t.opt.Identity.Node, incarnation: t.opt.Identity.Incarnation,
		name: t.opt.Identity.ClusterName, written: t.writes(),
	}
}

// greet is the dialer's side of the handshake. The caller sets a deadline on rw.
func (t *Transport) greet(rw io.ReadWriter, p purpose, want kv.NodeID) (agreement, error) {
	own := t.hello(p, want)
	if err := writeShake(rw, own.encode()); err != nil {
		return agreement{}, err
	}
	h, err := readHello(rw)
	if err != nil {
		return agreement{}, err
	}
	if r := t.judge(h, want); r != nil {
		return agreement{}, errors.Join(r, writeShake(rw, encodeRefusal(r)))
	}
	return agreement{h.remote(), own.cluster, own.written}, writeShake(rw, []byte{shakeAccept})
}

// welcome is the acceptor's side of the handshake. The caller sets a deadline on rw.
func (t *Transport) welcome(rw io.ReadWriter) (hello, agreement, error) {
	h, err := readHello(rw)
	if err != nil {
		return hello{}, agreement{}, err
	}
	if r := t.judge(h, 0); r != nil {
		return h, agreement{}, errors.Join(r, writeShake(rw, encodeRefusal(r)))
	}
	own := t.hello(h.purpose, h.node)
	a := agreement{h.remote(), own.cluster, own.written}
	if err := writeShake(rw, own.encode()); err != nil {
		return h, a, err
	}
	typ, body, err := readShake(rw)
	switch {
	case err != nil:
		return h, a, err
	case typ == shakeRefuse:
		return h, a, decodeRefusal(body)
	case typ != shakeAccept:
		return h, a, fmt.Errorf("handshake message of type %d where an acceptance was due", typ)
	}
	return h, a, nil
}

func readHello(r io.Reader) (hello, error) {
	typ, body, err := readShake(r)
	switch {
	case err != nil:
		return hello{}, err
	case typ == shakeRefuse:
		return hello{}, decodeRefusal(body)
	case typ != shakeHello:
		return hello{}, fmt.Errorf("handshake message of type %d where a hello was due", typ)
	}
	return decodeHello(body)
}

func encodeRefusal(r *refusal) []byte {
	return append([]byte{shakeRefuse}, r.reason[:min(len(r.reason), maxReasonBytes)]...)
}

func decodeRefusal(body []byte) *refusal {
	return &refusal{byPeer: true, reason: string(body[:min(len(body), maxReasonBytes)])}
}

// writeShake writes a handshake message in one piece.
func writeShake(w io.Writer, content []byte) error {
	b := append(make([]byte, 0, handshakeHead+len(content)), handshakeMagic...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(content)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(content, castagnoli))
	_, err := w.Write(append(b, content...))
	return err
}

// readShake reads exactly one handshake message and nothing behind it.
func readShake(r io.Reader) (typ uint8, body []byte, err error) {
	var head [handshakeHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	if string(head[:4]) != handshakeMagic {
		return 0, nil, fmt.Errorf("the other end does not speak the peer protocol: it began with %q", head[:4])
	}
	n := int(binary.LittleEndian.Uint16(head[4:]))
	if n == 0 || n > maxHandshake {
		return 0, nil, fmt.Errorf("a handshake message claims %d bytes, want 1 to %d", n, maxHandshake)
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		return 0, nil, err
	}
	if sum := crc32.Checksum(content, castagnoli); sum != binary.LittleEndian.Uint32(head[6:]) {
		return 0, nil, errors.New("the checksum of a handshake message is wrong")
	}
	return content[0], content[1:], nil
}
