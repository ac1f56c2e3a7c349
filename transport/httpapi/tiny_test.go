package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// TestTinyLimitsAnswerEachRequestOnce draws all limits tiny and lets clients send, in pieces, requests
// that are within them and beyond, while others hold room for bodies that never end. Each request has one
// answer, which is its own, or the connection ends; a refusal is one that is documented; and in the end
// nothing is held.
func TestTinyLimitsAnswerEachRequestOnce(t *testing.T) {
	t.Parallel()
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	met := map[string]int{}
	for seed := range seeds {
		for how, n := range tinySeed(t, seed) {
			met[how] += n
		}
	}
	t.Logf("answers: %v", met)
	if testing.Short() {
		return // too few to meet every limit
	}
	for _, how := range []string{
		"200", "404", "413 too_large", "431 headers_too_large", "503 overloaded", "503 too_many_clients",
	} {
		if met[how] == 0 {
			t.Errorf("no answer was %q: the limits are not met", how)
		}
	}
}

// tinyOptions draws limits and budget.
func tinyOptions(r *rand.Rand) func(*Options) {
	return func(o *Options) {
		o.MaxValueBytes, o.Limits.MaxHeaderBytes, o.Limits.MaxConns = 100+r.IntN(4000), 200+r.IntN(4000), 3+r.IntN(8)
		o.Budget = kv.NewBudget(int64(o.jsonBodyLimit() + r.IntN(64<<10)))
	}
}

// tinySeed returns how often requests were answered how.
func tinySeed(t *testing.T, seed uint64) map[string]int {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	o := Options{Service: newFake(), Listen: "127.0.0.1:0"}
	tinyOptions(r)(&o)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	var stayed []net.Conn
	for range r.IntN(4) {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		stayed = append(stayed, conn)
		size := 1000 + r.IntN(50<<10)
		fmt.Fprintf(conn, "PUT /kv HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size,
			strings.Repeat(" ", size/2+r.IntN(size/2)))
	}
	var mu sync.Mutex
	var clients sync.WaitGroup
	met := map[string]int{}
	for i := range 4 {
		c := &tinyClient{t: t, seed: seed, name: fmt.Sprintf("c%d", i), r: rand.New(rand.NewPCG(seed, uint64(10+i)))}
		clients.Go(func() {
			for _, how := range c.talk(s.Addr().String(), o) {
				mu.Lock()
				met[how]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	for _, conn := range stayed {
		conn.Close()
	}
	wiretest.Eventually(t, fmt.Sprintf("nothing is held (seed %d)", seed), func() bool {
		return s.opt.Budget.Held() == 0
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return met
}

// tinyClient is one client with several connections, one after the other.
type tinyClient struct {
	t    *testing.T
	seed uint64
	name string
	r    *rand.Rand
}

// talk sends some requests on each connection before it reads the answers, and returns those.
func (c *tinyClient) talk(address string, o Options) (answers []string) {
	for life := range 4 {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			c.t.Error(err)
			return answers
		}
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		var keys []string
		var said strings.Builder
		for i := range 1 + c.r.IntN(6) {
			key := fmt.Sprintf("%s-%d-%d", c.name, life, i)
			keys = append(keys, key)
			said.WriteString(c.request(key, o))
		}
		keys = append(keys, c.name) // the last, after which there is nothing
		said.WriteString("GET /kv?key=" + c.name + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		var sending sync.WaitGroup
		pieces := c.pieces(said.String())
		sending.Go(func() {
			for _, p := range pieces {
				_, _ = io.WriteString(nc, p) // who is refused may be cut off already
			}
		})
		answers = append(answers, c.read(bufio.NewReader(nc), keys)...)
		nc.Close()
		sending.Wait()
	}
	return answers
}

// request draws one that is within the limits, or beyond one of them.
func (c *tinyClient) request(key string, o Options) string {
	head := func(method, target, headers string, body int) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n", method, target, headers, body)
	}
	padded := func(value string, size int) string {
		body := fmt.Sprintf(`{"key":%q,"value":%q}`, key, value)
		return body + strings.Repeat(" ", max(0, size-len(body)))
	}
	switch c.r.IntN(8) {
	case 0, 1:
		return "GET /kv?key=" + key + " HTTP/1.1\r\nHost: x\r\n\r\n"
	case 2, 3:
		body := padded(strings.Repeat("v", c.r.IntN(o.MaxValueBytes)), c.r.IntN(o.jsonBodyLimit()))
		return head("PUT", "/kv", "", len(body)) + body
	case 4: // of no known length
		body := padded("v", c.r.IntN(o.jsonBodyLimit()))
		return "PUT /kv HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case 5:
		body := padded(strings.Repeat("v", o.MaxValueBytes+1+c.r.IntN(50)), 0)
		return head("PUT", "/kv", "", len(body)) + body
	case 6:
		body := padded("v", 0)
		return head("PUT", "/kv", "X-Long: "+strings.Repeat("h", c.r.IntN(o.Limits.MaxHeaderBytes/2))+"\r\n",
			len(body)) + body
	default: // net/http allows 4 KiB more
		return head("GET", "/kv?key="+key,
			"X-Long: "+strings.Repeat("h", o.Limits.MaxHeaderBytes+4096+c.r.IntN(3000))+"\r\nConnection: close\r\n", 0)
	}
}

func (c *tinyClient) pieces(all string) (out []string) {
	for len(all) > 0 {
		n := min(1+c.r.IntN([]int{100, 3000, 100_000}[c.r.IntN(3)]), len(all))
		out, all = append(out, all[:n]), all[n:]
	}
	return out
}

// read reads the answers to requests about keys until the connection ends.
func (c *tinyClient) read(in *bufio.Reader, keys []string) (answers []string) {
	for i, key := range keys {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				c.t.Errorf("seed %d, %s: neither an answer nor an end", c.seed, key)
			}
			return append(answers, "an end")
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return append(answers, "a reset")
		}
		how, own := c.judge(res, string(body), key)
		answers = append(answers, how)
		if !own {
			c.t.Errorf("seed %d, request %d of %d, about %s: %s %s", c.seed, i+1, len(keys), key, res.Status, body)
			return answers
		}
		if res.Close {
			break
		}
	}
	if more, err := in.Peek(1); err == nil && len(answers) == len(keys) {
		c.t.Errorf("seed %d, %s: more answers than requests: %q", c.seed, c.name, more)
	}
	return answers
}

// judge tells an answer in short, and whether it may be one to a request about key.
func (c *tinyClient) judge(res *http.Response, body, key string) (how string, own bool) {
	var refusal struct{ Error, Code string }
	how = fmt.Sprint(res.StatusCode)
	if res.StatusCode == http.StatusOK {
		return how, strings.HasPrefix(body, fmt.Sprintf("{%q:", key))
	}
	if json.Unmarshal([]byte(body), &refusal) != nil || refusal.Error == "" {
		return how, false
	}
	if refusal.Code != "" {
		how += " " + refusal.Code
	}
	switch how {
	case "404":
		return how, refusal.Error == "Key not found"
	case "413 too_large":
		return how, strings.Contains(refusal.Error, "is larger than the limit of")
	case "431 headers_too_large":
		return how, res.Close
	case "503 overloaded":
		return how, refusal.Error == kv.ErrOverloaded().Text && res.Header.Get("Retry-After") == "1"
	case "503 too_many_clients":
		return how, res.Close && res.Header.Get("Retry-After") == "1"
	}
	return how, false
}
