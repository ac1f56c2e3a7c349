//go:build processes

package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	claimKeys    = 12
	claimReaders = 10
	claimLife    = 3 * time.Second // of a value of every other key
	// claimSlack is by how much a deadline may seem to have passed by the wall clock of whoever
	// asks: the clock of a group follows its leader's slowly after elections.
	claimSlack = time.Second
)

// TestHeadersHold asks for stale and fresh values while nodes stand still, die and come back, and holds
// all that the answers say of themselves against what was acknowledged when.
func TestHeadersHold(t *testing.T) {
	c := startThree(t, anyStore(t))
	cl := newClaims(t, c.nodes)
	for i, pause := range []time.Duration{1500 * time.Millisecond, 4 * time.Second, 700 * time.Millisecond} {
		time.Sleep(before)
		victim := c.nodes[i%3]
		victim.process.signal(syscall.SIGSTOP)
		time.Sleep(pause)
		awake := cl.await(victim)
		time.Sleep(before / 10)
		victim.process.signal(syscall.SIGCONT)
		awake()
	}
	time.Sleep(before)
	c.nodes[0].process.kill()
	time.Sleep(2 * time.Second)
	c.nodes[0].start()
	c.awaitReady()
	time.Sleep(2 * before)
	cl.end()
	t.Logf("%d answers: %d writes, %d stale reads of which %d tell their age and %d wait for an index, %d "+
		"conditions not met", len(cl.answers), cl.count(func(a *answer) bool { return a.wrote }),
		cl.count(func(a *answer) bool { return a.stale }), cl.count(func(a *answer) bool { return a.staleness >= 0 }),
		cl.count(func(a *answer) bool { return a.minIndex > 0 }), cl.count(func(a *answer) bool { return a.refused }))
	if what := brokenClaim(cl.answers); what != "" {
		t.Fatal(what)
	}
	if old := cl.count(func(a *answer) bool { return a.staleness >= 0 }); old < 200 {
		t.Errorf("only %d answers tell their age", old)
	}
}

// answer is what one request was told, and what its headers say of that.
type answer struct {
	key       string
	node      string // that was asked
	call, ret time.Duration
	wall      int64 // Unix milliseconds of the call
	wrote     bool
	refused   bool // a condition was not met
	stale     bool
	minIndex  uint64 // that was asked for
	version   uint64 // of the value that was written or is there, 0: none
	partition string
	index     uint64
	staleness int64 // milliseconds; -1: not told
	expires   int64 // Unix milliseconds; 0: not told
}

// claims are clients that note every answer.
type claims struct {
	t     *testing.T
	nodes []*node
	http  *http.Client
	began time.Time
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu      sync.Mutex
	answers []answer
	newest  map[string]uint64 // highest index that was told, by partition
	of      map[string]string // partition of a key
}

func newClaims(t *testing.T, nodes []*node) *claims {
	ctx, stop := context.WithCancel(context.Background())
	c := &claims{t: t, nodes: nodes, began: time.Now(), stop: stop, newest: map[string]uint64{},
		of: map[string]string{},
		http: &http.Client{
			Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: claimKeys + 5*claimReaders},
		}}
	for i := range claimKeys {
		c.wg.Go(func() { c.work(ctx, func(rng *rand.Rand) { c.write(rng, i) }) })
	}
	for range claimReaders {
		c.wg.Go(func() { c.work(ctx, c.read) })
	}
	t.Cleanup(c.end)
	return c
}

// await has many ask one node, which stands still, and go on asking while it wakes up and reads what has
// waited for it. It returns what ends that.
func (c *claims) await(n *node) (awake func()) {
	until, asking := make(chan struct{}), sync.WaitGroup{}
	for range 4 * claimReaders {
		asking.Go(func() {
			rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for {
				c.askOf(n, http.MethodGet, claimKey(rng.IntN(claimKeys))+"?consistency=stale", "", answer{stale: true})
				select {
				case <-until:
					return
				default:
				}
			}
		})
	}
	return func() {
		time.Sleep(before / 2)
		close(until)
		asking.Wait()
	}
}

func (c *claims) end() {
	c.stop()
	c.wg.Wait()
	c.http.CloseIdleConnections()
}

func (c *claims) count(f func(*answer) bool) (n int) {
	for i := range c.answers {
		if f(&c.answers[i]) {
			n++
		}
	}
	return n
}

func (c *claims) work(ctx context.Context, step func(*rand.Rand)) {
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for ctx.Err() == nil {
		step(rng)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rng.Int64N(int64(2 * breath)))):
		}
	}
}

// write writes a key; every other key lives for a while only. Now and then it asks for what cannot be,
// since the key is there.
func (c *claims) write(rng *rand.Rand, i int) {
	query, header := "", ""
	if i%2 == 0 {
		query = "?ttl=" + claimLife.String()
	}
	if rng.IntN(8) == 0 {
		header = "*"
	}
	c.ask(rng, http.MethodPut, claimKey(i)+query, header, answer{wrote: true})
}

func (c *claims) read(rng *rand.Rand) {
	a, key, query := answer{}, claimKey(rng.IntN(claimKeys)), ""
	if rng.IntN(5) > 0 {
		a.stale, query = true, "?consistency=stale&timeout=2"
		c.mu.Lock()
		if p, known := c.of[key]; known && rng.IntN(2) == 0 {
			a.minIndex = c.newest[p]
			query += "&min_index=" + strconv.FormatUint(a.minIndex, 10)
		}
		c.mu.Unlock()
	}
	c.ask(rng, http.MethodGet, key+query, "", a)
}

func claimKey(i int) string { return fmt.Sprint("claim-", i) }

// ask makes one request and notes what was told, unless that is nothing.
func (c *claims) ask(rng *rand.Rand, method, path, ifNoneMatch string, a answer) {
	c.askOf(c.nodes[rng.IntN(len(c.nodes))], method, path, ifNoneMatch, a)
}

func (c *claims) askOf(n *node, method, path, ifNoneMatch string, a answer) {
	a.key, _, _ = strings.Cut(path, "?")
	req, err := http.NewRequestWithContext(context.Background(), method, n.url()+"/kv/"+path,
		strings.NewReader("value"))
	if err != nil {
		c.t.Error(err)
		return
	}
	if ifNoneMatch != "" {
		req.Header.Set("If-None-Match", ifNoneMatch)
	}
	a.node, a.call, a.wall = n.name, time.Since(c.began), time.Now().UnixMilli()
	resp, err := c.http.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a.ret = time.Since(c.began)
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		return
	}
	if err := a.take(resp, body); err != nil {
		c.t.Errorf("%s /kv/%s through %s: %s: %v", method, path, n.name, resp.Status, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, a)
	c.of[a.key], c.newest[a.partition] = a.partition, max(c.newest[a.partition], a.index)
}

// take reads an answer's headers.
func (a *answer) take(resp *http.Response, body []byte) (err error) {
	integer := func(name string, missing int64) int64 {
		text := resp.Header.Get(name)
		if text == "" {
			return missing
		}
		n, e := strconv.ParseInt(text, 10, 64)
		err = errors.Join(err, e)
		return n
	}
	a.partition, a.index = resp.Header.Get("X-Pxkv-Partition"), uint64(integer("X-Pxkv-Index", 0))
	a.staleness = integer("X-Pxkv-Staleness-Ms", -1)
	if text := resp.Header.Get("X-Pxkv-Expires"); text != "" {
		at, e := time.Parse(time.RFC3339Nano, text)
		a.expires, err = at.UnixMilli(), errors.Join(err, e)
	}
	if tag := strings.Trim(resp.Header.Get("Etag"), `"`); tag != "" {
		var e error
		a.version, e = strconv.ParseUint(tag, 10, 64)
		err = errors.Join(err, e)
	}
	switch {
	case resp.StatusCode == http.StatusPreconditionFailed:
		a.wrote, a.refused = false, true
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated &&
		(a.wrote || resp.StatusCode != http.StatusNotFound):
		return fmt.Errorf("%.200s", body)
	}
	if a.partition == "" || a.index == 0 {
		err = errors.Join(err, errors.New("it does not say which state it reflects"))
	}
	return err
}

// brokenClaim looks for an answer that says of itself what does not hold; "" when there is none. A value
// with a deadline may be gone, so of such keys only what is shown is judged.
func brokenClaim(answers []answer) string {
	writes := map[string][]answer{}
	for _, a := range answers {
		if a.wrote {
			writes[a.key] = append(writes[a.key], a)
		}
	}
	for _, a := range answers {
		gone := a.version == 0
		mortal := false
		for _, w := range writes[a.key] {
			mortal = mortal || w.expires != 0
		}
		switch {
		case a.minIndex > a.index && !a.wrote:
			return fmt.Sprintf("index %d was asked for: %+v", a.minIndex, a)
		case a.staleness >= 0 && !a.stale:
			return fmt.Sprintf("a read that is not stale tells its age: %+v", a)
		case mortal && !gone && a.expires == 0, a.refused && mortal && a.expires == 0:
			return fmt.Sprintf("it does not tell the deadline: %+v", a)
		case a.expires != 0 && a.expires < a.wall-claimSlack.Milliseconds():
			return fmt.Sprintf("its deadline had passed when it was asked for: %+v", a)
		}
		if a.refused || a.wrote {
			continue
		}
		for _, w := range writes[a.key] {
			older := a.version < w.version && !(gone && mortal)
			switch {
			case w.version == a.version && w.index > a.index:
				return fmt.Sprintf("it shows what was written at index %d: %+v", w.index, a)
			case w.version == a.version && w.expires != a.expires:
				return fmt.Sprintf("another deadline than the writer was told: %+v, %+v", w, a)
			case older && w.index <= a.minIndex:
				return fmt.Sprintf("it waited for index %d and does not show the write of index %d: %+v, %+v",
					a.minIndex, w.index, w, a)
			case older && !a.stale && w.ret < a.call:
				return fmt.Sprintf("it does not show what was acknowledged before it: %+v, %+v", w, a)
			case older && a.staleness >= 0 && w.ret < a.call-time.Duration(a.staleness)*time.Millisecond:
				return fmt.Sprintf("it is %v old at most, and does not show what was acknowledged %v before "+
					"it: %+v, %+v", time.Duration(a.staleness)*time.Millisecond, a.call-w.ret, w, a)
			}
		}
	}
	return ""
}

// A check that cannot fail proves nothing.
func TestTheCheckOfHeadersFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	write := func(version, index uint64, ret time.Duration) answer {
		return answer{key: "k", wrote: true, version: version, index: index, call: ret - ms, ret: ret, staleness: -1}
	}
	read := func(version, index uint64, call time.Duration, staleness int64) answer {
		return answer{
			key: "k", version: version, index: index, call: call, ret: call + ms, stale: true, staleness: staleness,
		}
	}
	waited := func(a answer, index uint64) answer { a.minIndex = index; return a }
	until := func(a answer, deadline, asked int64) answer { a.expires, a.wall = deadline, asked; return a }
	for _, c := range []struct {
		name    string
		answers []answer
		want    string
	}{
		{"the newest", []answer{write(1, 5, ms), read(1, 5, 9*ms, 0)}, ""},
		{"as old as it says", []answer{write(1, 5, ms), write(2, 6, 10*ms), read(1, 5, 20*ms, 10)}, ""},
		{"older", []answer{write(1, 5, ms), write(2, 6, 10*ms), read(1, 5, 20*ms, 9)}, "9ms old at most"},
		{"nothing is said of its age", []answer{write(1, 5, ms), write(2, 6, 10*ms), read(1, 5, 20*ms, -1)}, ""},
		{"what is above its index", []answer{write(1, 5, ms), read(1, 4, 9*ms, -1)}, "written at index 5"},
		{"below the index that was asked for", []answer{
			write(1, 5, ms), waited(read(1, 5, 9*ms, -1), 6),
		}, "index 6 was asked for"},
		{"the past at the index that was asked for", []answer{
			write(1, 5, ms), write(2, 6, 10*ms), waited(read(1, 6, 11*ms, -1), 6),
		}, "does not show the write of index 6"},
		{"a lost value", []answer{write(1, 5, ms), read(0, 5, 9*ms, 0)}, "0s old at most"},
		{"a dead value is gone", []answer{until(write(1, 5, ms), 900, 0), read(0, 5, 9*ms, 0)}, ""},
		{"a dead value is there", []answer{
			until(write(1, 5, ms), 900, 0), until(read(1, 5, 9*ms, 0), 900, 1901),
		}, "deadline had passed"},
		{"another deadline", []answer{
			until(write(1, 5, ms), 900, 0), until(read(1, 5, 9*ms, 0), 901, 0),
		}, "another deadline"},
		{"no deadline", []answer{until(write(1, 5, ms), 900, 0), read(1, 5, 9*ms, 0)}, "does not tell the deadline"},
	} {
		if got := brokenClaim(c.answers); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the check says %q, want %q", c.name, got, c.want)
		}
	}
}
