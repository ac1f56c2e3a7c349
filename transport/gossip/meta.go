package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"

	"pxkv/node/kv"
)

// Limits of what a node says of itself. All of it together must fit memberlist's limit of
// 512 bytes.
const (
	MaxNameBytes    = 128 // of a node
	maxAddressBytes = 262 // 255 bytes of host, ':', 5 digits, and one to spare
	maxExpect       = 1 << 16
)

// Meta is what a node says of itself.
type Meta struct {
	Cluster     kv.ClusterID // 0: fresh, in no cluster yet
	Name        string       // 1 to 128 bytes of UTF-8
	Addresses   kv.Addresses // each at most 262 bytes; an empty Gossip is filled in by Run
	Epoch       kv.Epoch     // the newest placement that this node knows of
	Incarnation uint64       // random for each start of the process
	Expect      int          // --bootstrap-expect of a fresh node, otherwise 0; at most 65,536
}

// Peer is another node, as it describes itself.
type Peer struct {
	ID   kv.NodeID
	Meta Meta
}

// metaVersion is the first byte of an encoded Meta. Another version is not understood, and
// its node ignored: so do not raise it, but append new fields. Decoders skip what follows the
// fields that they know, which lets nodes of two releases hear each other.
const metaVersion = 1

// metaFixed is how many bytes stand before the fields of variable length.
const metaFixed = 1 + 8 + 8

// encodeMeta returns: version (1 byte), cluster and incarnation (8 bytes each, big endian),
// epoch and expect (uvarint), name and the HTTP, RESP, peer and gossip addresses (each its
// length as uvarint and its bytes).
func encodeMeta(m Meta) ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 128)
	b = append(b, metaVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Cluster))
	b = binary.BigEndian.AppendUint64(b, m.Incarnation)
	b = binary.AppendUvarint(b, uint64(m.Epoch))
	b = binary.AppendUvarint(b, uint64(m.Expect))
	a := &m.Addresses
	for _, s := range []string{m.Name, a.HTTP, a.RESP, a.Peer, a.Gossip} {
		b = kv.AppendBytes(b, s)
	}
	if len(b) > memberlist.MetaMaxSize {
		return nil,
			fmt.Errorf("name and addresses of node %q are %d bytes too long together for gossip: shorten --name or "+
				"--advertise",
				m.Name, len(b)-memberlist.MetaMaxSize)
	}
	return b, nil
}

// decodeMeta is the inverse of encodeMeta. b comes from the network: anything is possible.
func decodeMeta(b []byte) (Meta, error) {
	if len(b) > memberlist.MetaMaxSize {
		return Meta{}, fmt.Errorf("meta of %d bytes is longer than %d", len(b), memberlist.MetaMaxSize)
	}
	if len(b) == 0 || b[0] != metaVersion {
		return Meta{}, fmt.Errorf("meta is not of version %d: %.16x", metaVersion, b)
	}
	if len(b) < metaFixed {
		return Meta{}, fmt.Errorf("meta of %d bytes is cut short", len(b))
	}
	m := Meta{Cluster: kv.ClusterID(binary.BigEndian.Uint64(b[1:])), Incarnation: binary.BigEndian.Uint64(b[9:])}
	d := kv.NewDecoder(b[metaFixed:])
	m.Epoch = kv.Epoch(d.Uvarint())
	expect := d.Uvarint()
	m.Name = d.String()
	m.Addresses = kv.Addresses{HTTP: d.String(), RESP: d.String(), Peer: d.String(), Gossip: d.String()}
	if d.Err() != nil {
		return Meta{}, fmt.Errorf("meta of %d bytes is cut short", len(b))
	}
	if expect > maxExpect {
		return Meta{}, fmt.Errorf("meta expects %d nodes, at most %d are possible", expect, maxExpect)
	}
	m.Expect = int(expect)
	if err := m.validate(); err != nil {
		return Meta{}, err
	}
	return m, nil
}

// validate checks each field on its own and reports every fault.
func (m *Meta) validate() error {
	var errs []error
	if len(m.Name) == 0 || len(m.Name) > MaxNameBytes || !utf8.ValidString(m.Name) {
		errs = append(errs, fmt.Errorf("node name %.200q must be 1 to %d bytes of UTF-8", m.Name, MaxNameBytes))
	}
	a := &m.Addresses
	for _, f := range [...]struct{ what, address string }{
		{"http", a.HTTP}, {"resp", a.RESP}, {"peer", a.Peer}, {"gossip", a.Gossip},
	} {
		if len(f.address) > maxAddressBytes || !utf8.ValidString(f.address) {
			errs = append(errs, fmt.Errorf("%s address %.300q must be at most %d bytes of UTF-8", f.what, f.address,
				maxAddressBytes))
		}
	}
	if m.Expect < 0 || m.Expect > maxExpect {
		errs = append(errs, fmt.Errorf("expected number of nodes %d must be 0 to %d", m.Expect, maxExpect))
	}
	return errors.Join(errs...)
}
