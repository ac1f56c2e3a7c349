package resp

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// TestTinyLimitsAnswerEachCommandOnce draws limits and budget tiny and lets clients hold conversations, in
// pieces, beside others that hold room for commands that never end. Behind each command stands an ECHO of
// its number, so each has one reply, which is its own, or the connection ends with an error that is
// documented. In the end nothing is held.
func TestTinyLimitsAnswerEachCommandOnce(t *testing.T) {
	t.Parallel()
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	met := map[string]int{}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			for how, n := range tinySeed(t, seed) {
				met[how] += n
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("replies: %v", met)
	for _, how := range []string{"done", "no room", "too many clients", "too long"} {
		if met[how] == 0 {
			t.Errorf("no reply was %q: the limits are not met", how)
		}
	}
}

// tinyOptions draws limits and budget.
func tinyOptions(r *rand.Rand) func(*Options) {
	return func(o *Options) {
		o.MaxValueBytes, o.MaxConns, o.Budget = 500+r.IntN(
			8000), 3+r.IntN(6), kv.NewBudget(int64(4<<10+r.IntN(100<<10)))
		o.Limits = Limits{
			Operations: 1 + r.IntN(5), Waiting: 1 + r.IntN(6), SendAbove: 1 + r.IntN(200), SendPiece: 1 + r.IntN(50),
			SmallInput: 1 + r.IntN(30), LargeInput: 30 + r.IntN(200),
		}
	}
}

// tinySeed returns how often commands were answered how.
func tinySeed(t *testing.T, seed uint64) map[string]int {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	address, s := start(t, newFake(), tinyOptions(r))
	var stayed []net.Conn
	for range r.IntN(3) {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		stayed = append(stayed, nc)
		_, _ = nc.Write([]byte("*1000\r\n" + strings.Repeat("$1\r\na\r\n", r.IntN(1000))))
	}
	var mu sync.Mutex
	var clients sync.WaitGroup
	met := map[string]int{}
	for i := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(10+i)))
		clients.Go(func() {
			for range 3 {
				for how, n := range talkTiny(t, address, r, s.opt.MaxValueBytes) {
					mu.Lock()
					met[how] += n
					mu.Unlock()
				}
			}
		})
	}
	clients.Wait()
	for _, nc := range stayed {
		nc.Close()
	}
	wiretest.Eventually(t, "nothing is held and nobody is there", func() bool {
		return s.opt.Budget.Held() == 0 && s.listener.Open() == 0
	})
	return met
}

// talkTiny holds one conversation.
func talkTiny(t *testing.T, address string, r *rand.Rand, longest int) map[string]int {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	var said []byte
	commands := 1 + r.IntN(20)
	for i := range commands {
		said = appendWords(said, tinyCommand(r, longest)...)
		said = appendWords(said, "ECHO", fmt.Sprint(i))
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer nc.Close()
	pieces := rand.New(rand.NewPCG(r.Uint64(), 1))
	sending.Go(func() {
		for len(said) > 0 {
			n := min(1+pieces.IntN([]int{10, 300, 5000}[pieces.IntN(3)]), len(said))
			if _, err := nc.Write(said[:n]); err != nil {
				return // cut off
			}
			said = said[n:]
		}
		_ = nc.(*net.TCPConn).CloseWrite()
	})
	return judgeTiny(t, bufio.NewReader(nc), commands)
}

func appendWords(b []byte, words ...string) []byte {
	b = redcon.AppendArray(b, len(words))
	for _, w := range words {
		b = redcon.AppendBulkString(b, w)
	}
	return b
}

func tinyCommand(r *rand.Rand, longest int) []string {
	key := fmt.Sprintf("{t}%d", r.IntN(5))
	text := strings.Repeat("v", r.IntN([]int{10, 300, longest}[r.IntN(3)]))
	switch r.IntN(9) {
	case 0, 1:
		return []string{"SET", key, text}
	case 2, 3:
		return []string{"GET", key}
	case 4:
		return []string{"KEYS", "*"}
	case 5:
		return append([]string{"MGET"}, strings.Fields(strings.Repeat(key+" ", 1+r.IntN(40)))...)
	case 6:
		return []string{"MSET", key, text, key + "x", text}
	case 7:
		return []string{"GETSET", key, text}
	default:
		if r.IntN(4) > 0 {
			return []string{"APPEND", key, text[:min(len(text), 20)]}
		}
		return []string{"SET", key, strings.Repeat("v", longest+1+r.IntN(100))}
	}
}

// judgeTiny reads the replies to so many commands, each with an ECHO behind it.
func judgeTiny(t *testing.T, in *bufio.Reader, commands int) map[string]int {
	met := map[string]int{}
	last := ""
	for i := range 2 * commands {
		reply, err := readReply(in)
		if err != nil {
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				t.Errorf("reply %d: neither a reply nor an end", i)
			}
			met["an end after "+last]++
			return met
		}
		how := howTiny(reply)
		if met[how]++; how == "other" || i%2 == 1 && how == "done" && reply != fmt.Sprintf("%q", fmt.Sprint(i/2)) {
			t.Errorf("reply %d of %d is %.200q, after %q", i, 2*commands, reply, last)
		}
		last = how
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("more replies than commands")
	}
	return met
}

func howTiny(reply string) string {
	switch said := strings.Trim(reply, "()"); {
	case strings.Contains(said, errBuffers.text), strings.Contains(said, kv.ErrOverloaded().Text):
		return "no room"
	case strings.Contains(said, errClients.text):
		return "too many clients"
	case strings.Contains(said, "invalid bulk length"), strings.Contains(said, errTooLong.text),
		strings.Contains(said, "too big"):
		return "too long"
	case strings.HasPrefix(said, "-"):
		return "other"
	}
	return "done"
}
