package resp

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/redcon"
)

// Limits cut work into pieces and change no answer: conversations are held with a server whose
// limits are drawn tiny, and with one that has the defaults.
func TestTinyLimitsChangeNoAnswer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		together := []int{0, 60, 300}[r.IntN(3)]
		said := conversation(r)
		limits := Limits{
			Operations: 1 + r.IntN(5), Waiting: 1 + r.IntN(6), SendAbove: 1 + r.IntN(200), SendPiece: 1 + r.IntN(50),
			SmallInput: 1 + r.IntN(30), LargeInput: 30 + r.IntN(200),
		}
		tiny, usual := hold(t, said, together, limits, r), hold(t, said, together, Limits{}, r)
		if !bytes.Equal(tiny, usual) {
			at := 0
			for at < min(len(tiny), len(usual)) && tiny[at] == usual[at] {
				at++
			}
			t.Fatalf("seed %d, limits %+v: after %.200q\n%.200q with tiny limits\n%.200q with the defaults",
				seed, limits, tiny[max(at-100, 0):at], tiny[at:], usual[at:])
		}
	}
}

// hold sends a conversation in pieces of random length and returns all answers.
func hold(t *testing.T, said []byte, together int, limits Limits, r *rand.Rand) []byte {
	t.Helper()
	f := newFake()
	f.together = together
	address, _ := start(t, f, func(o *Options) { o.Limits = limits })
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	var pieces [][]byte
	for rest := said; len(rest) > 0; {
		n := min(1+r.IntN([]int{10, 300, 5000}[r.IntN(3)]), len(rest))
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	go func() {
		for _, p := range pieces {
			_, _ = nc.Write(p)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
	}()
	answers, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("after %d bytes of answers: %v", len(answers), err)
	}
	return answers
}

// conversation draws commands of all sorts, with values of very different sizes.
func conversation(r *rand.Rand) []byte {
	key := func() string { return []string{"{t}a", "{t}b", "{t}c", "x", "y"}[r.IntN(5)] }
	text := func() string { return strings.Repeat("v", []int{0, 1, 10, 100, 2000}[r.IntN(5)]) }
	var b []byte
	add := func(words ...string) {
		b = redcon.AppendArray(b, len(words))
		for _, w := range words {
			b = redcon.AppendBulkString(b, w)
		}
	}
	for range 20 + r.IntN(60) {
		switch r.IntN(19) {
		case 0, 1:
			add("GET", key())
		case 2:
			add("TTL", key())
		case 3:
			add("STRLEN", key())
		case 4:
			add("PING", text())
		case 5, 6, 7, 13:
			add("SET", key(), text())
		case 8:
			add("INCR", key())
		case 9:
			add("APPEND", key(), text())
		case 10:
			add("DEL", key(), key())
		case 11:
			add("GETSET", key(), text())
		case 17:
			add("GETDEL", key())
		case 18:
			add("SET", key(), text(), "GET")
		case 12:
			add("MULTI")
			for range r.IntN(6) {
				add([][]string{{"SET", "{t}a", text()}, {"GET", "{t}b"}, {"INCR", "{t}c"}, {"PING"}}[r.IntN(4)]...)
			}
			add("EXEC")
		case 14:
			add("NONSENSE", key())
		case 15:
			add([][]string{
				{"KEYS", "*"}, {"DBSIZE"}, {"SCAN", "0", "COUNT", "100"}, {"MSET", key(), text(), key(), text()},
			}[r.IntN(4)]...)
		case 16:
			add("HELLO", []string{"2", "3"}[r.IntN(2)])
			b = append(b, "PING inline\r\n"...)
		}
	}
	return b
}
