package entry

import (
	"math/rand/v2"
	"testing"

	"pxkv/node/kv"
)

func readUnits(p *Payload) error {
	return p.Units(func(kv.Command) error { return nil }, func(*kv.Transaction) error { return nil })
}

// payloadOf also has a transaction at its end.
func payloadOf(commands ...kv.Command) []byte {
	p := Payload{TimeMS: -5, CheckIndex: 3, CheckHash: 1 << 63, Count: len(commands) + 1}
	b := p.AppendTo(nil)
	for _, c := range commands {
		b = c.AppendTo(b)
	}
	return (&kv.Transaction{
		Watches:  []kv.Watch{{Key: []byte("w"), Version: 1}},
		Commands: []kv.Command{{Op: kv.OpRename, Key: []byte("o"), NewKey: []byte("n")}},
	}).AppendTo(b)
}

func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	p, err := Decode(payloadOf(kv.Command{
		Op: kv.OpPut, Key: []byte("k"), Value: kv.Value{Kind: kv.String, Data: []byte("v")},
	}, kv.Command{Op: kv.OpDelete, Key: []byte("d")}))
	if err != nil || p.TimeMS != -5 || p.CheckIndex != 3 || p.CheckHash != 1<<63 || p.Count != 3 {
		t.Fatalf("got %+v, %v", p, err)
	}
	var keys []string
	command := func(c kv.Command) error { keys = append(keys, string(c.Key)); return nil }
	transaction := func(t *kv.Transaction) error {
		for k := range t.Keys {
			keys = append(keys, "tx "+string(k))
		}
		return nil
	}
	if err := p.Units(command, transaction); err != nil || len(keys) != 5 || keys[1] != "d" || keys[4] != "tx n" {
		t.Errorf("commands on %v, %v", keys, err)
	}
	for _, b := range [][]byte{nil, {1}, {2, 9}, {2, 1}, {2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}} {
		if _, err := Decode(b); err == nil {
			t.Errorf("payload %v was read", b)
		}
	}
}

// TestMalformedPayloads mutates good encodings 20,000 times: an entry that was damaged is an error or another
// one, never a panic, and costs memory in proportion to its size.
func TestMalformedPayloads(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	payload := payloadOf(kv.Command{
		Op: kv.OpPut, Key: []byte("key"), Value: kv.Value{Kind: kv.Binary, Data: make([]byte, 40)},
	})
	refused := 0
	for range 20_000 {
		if p, err := Decode(mutate(r, payload)); err != nil || readUnits(&p) != nil {
			refused++
		}
	}
	if refused < 5_000 {
		t.Errorf("only %d of 20,000 damaged entries were refused", refused)
	}
}

func mutate(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(4) {
		switch i := r.IntN(len(b)); r.IntN(4) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b[i] ^= 1 << r.IntN(8)
		case 2:
			if b = b[:i]; i == 0 {
				return b
			}
		case 3:
			b = append(b[:i:i], append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, b[i:]...)...)
		}
	}
	return b
}

func FuzzPayload(f *testing.F) {
	f.Add(payloadOf(kv.Command{Op: kv.OpDelete, Key: []byte("d")}))
	f.Add((&Payload{TimeMS: 9, Barrier: true}).AppendTo(nil))
	f.Add((&Payload{TimeMS: 9, PurgeMS: 1, Count: 3}).AppendTo(nil))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if p, err := Decode(b); err == nil {
			_ = readUnits(&p)
		}
	})
}
