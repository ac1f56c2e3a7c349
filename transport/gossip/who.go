package gossip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"pxkv/node/kv"
)

// A gossip port also answers who is behind it, on a stream of its own, which memberlist never sees.
// Gossip tells who is there, but not at which address: a node may be reached at others than the one
// that it advertises. And what it tells is hearsay, while this is the word of the node itself.
//
// The question is whoQuestion. The answer is its length (2 bytes, big endian), a version byte, the
// node's id (8 bytes, big endian), the length of its cluster's name (1 byte), that name, and its Meta.
const (
	whoQuestion  = "pxkvwho\x01" // memberlist's streams begin with bytes from 0 to 13, or 244
	whoVersion   = 1
	maxWhoAnswer = 1 << 10
	whoTimeout   = time.Second     // to connect and to get the answer
	whoResolve   = 2 * time.Second // to find the addresses of a name
	maxWhoDials  = 32              // at a time
)

// Place is an address of Options.Join, and who is there. A name may lead to several.
type Place struct {
	Address     string         // as it was given
	At          netip.AddrPort // the zero value when the name does not resolve
	ID          kv.NodeID      // of the node that answers; 0: none does
	ClusterName string         // of that node
	Meta        Meta           // of that node
	Own         bool           // it is the address that this node advertises
	Refused     bool           // the host says that nobody listens there
	Err         error          // why ID is 0
}

// Look asks at all addresses of Options.Join who is there, at every one to which a name leads. It takes
// three seconds at most, and a moment when everybody answers. Before Started it returns nothing.
func (g *Gossip) Look(ctx context.Context) []Place {
	t := g.transport.Load()
	if t == nil {
		return nil
	}
	var wg sync.WaitGroup
	found := make([][]Place, len(g.opts.Join))
	slots := make(chan struct{}, maxWhoDials)
	for i, address := range g.opts.Join {
		wg.Go(func() { found[i] = g.lookAt(ctx, t, address, slots) })
	}
	wg.Wait()
	var all []Place
	for _, places := range found {
		all = append(all, places...)
	}
	return all
}

// lookAt asks who is at an address.
func (g *Gossip) lookAt(ctx context.Context, t *transport, address string, slots chan struct{}) []Place {
	if g.isOwn(address) {
		return g.lookAtOwn(ctx, t, address, slots)
	}
	return g.lookElsewhere(ctx, t, address, slots)
}

// lookAtOwn is about the address that this node advertises. Not every node can reach itself there. But
// when another process answers, that one is there.
func (g *Gossip) lookAtOwn(ctx context.Context, t *transport, address string, slots chan struct{}) []Place {
	others := slices.DeleteFunc(g.lookElsewhere(ctx, t, address, slots), func(p Place) bool {
		return p.ID == 0 || p.ID == g.opts.ID && p.Meta.Incarnation == g.opts.Meta.Incarnation
	})
	for i := range others {
		others[i].Own = true
	}
	if len(others) > 0 {
		return others
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return []Place{{Address: address, ID: g.opts.ID, ClusterName: g.opts.ClusterName, Meta: g.meta, Own: true}}
}

// lookElsewhere resolves an address anew, and asks at each place to which it leads.
func (g *Gossip) lookElsewhere(ctx context.Context, t *transport, address string, slots chan struct{}) []Place {
	host, port, err := splitJoin(address, strconv.Itoa(t.port))
	var ips []netip.Addr
	if err == nil {
		ips, err = g.resolve(ctx, host, whoResolve)
	}
	if err != nil {
		return []Place{{Address: address, Err: err}}
	}
	places := make([]Place, len(ips))
	var wg sync.WaitGroup
	for i, ip := range ips {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			places[i] = Place{Address: address, At: netip.AddrPortFrom(ip, port)}
			places[i].Err = places[i].ask(t)
			places[i].Refused = errors.Is(places[i].Err, syscall.ECONNREFUSED)
		})
	}
	wg.Wait()
	return places
}

// ask asks who is at the place.
func (p *Place) ask(t *transport) error {
	conn, err := t.DialTimeout(p.At.String(), whoTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, whoQuestion); err != nil {
		return fmt.Errorf("ask who is there: %w", err)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return fmt.Errorf("it connects and does not answer: %w", err)
	}
	n := binary.BigEndian.Uint16(length[:])
	if n > maxWhoAnswer {
		return errNoGossip
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return fmt.Errorf("it connects and does not answer: %w", err)
	}
	p.ID, p.ClusterName, p.Meta, err = decodeWho(b)
	return err
}

var errNoGossip = errors.New("what answers there is no gossip port of a node of this version")

// whoAmI is this node's answer.
func (g *Gossip) whoAmI() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := []byte{0, 0, whoVersion}
	b = binary.BigEndian.AppendUint64(b, uint64(g.opts.ID))
	b = append(b, byte(len(g.opts.ClusterName)))
	b = append(b, g.opts.ClusterName...)
	b = append(b, g.words...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

func decodeWho(b []byte) (id kv.NodeID, cluster string, m Meta, err error) {
	if len(b) < 10 || b[0] != whoVersion || len(b) < 10+int(b[9]) {
		return 0, "", Meta{}, errNoGossip
	}
	name, words := b[10:10+int(b[9])], b[10+int(b[9]):]
	if m, err = decodeMeta(words); err != nil {
		return 0, "", Meta{}, err
	}
	if id = kv.NodeID(binary.BigEndian.Uint64(b[1:])); id == 0 {
		return 0, "", Meta{}, errNoGossip
	}
	return id, string(name), m, nil
}

// answerWho answers the stream if it asks who is here. Else what was read of it is kept for its reader.
func (s *stream) answerWho(who func() []byte) (bool, error) {
	if err := s.SetDeadline(time.Now().Add(streamTimeout)); err != nil {
		return false, err
	}
	b := make([]byte, 0, len(whoQuestion))
	for len(b) < len(whoQuestion) {
		n, err := s.Conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return false, err
		}
		if !bytes.HasPrefix([]byte(whoQuestion), b) {
			s.ahead = b
			return false, nil
		}
	}
	_, err := s.Write(who())
	return true, err
}
