package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

// trio is a cluster of three nodes in this process, with all doors of real ones. What is asked of it is asked of
// a node that does not lead the key.
type trio struct {
	t     *testing.T
	http  map[string]string // by node: where its HTTP door is, http://host:port
	redis map[string]string // host:port
	names []string
	seed  []string // where n1 gossips, for --join
	conns map[string]*redisConn
}

// newTrio starts three nodes and waits until each has a replica of every partition, and leads some.
func newTrio(t *testing.T) *trio {
	t.Helper()
	c := &trio{t: t, http: map[string]string{}, redis: map[string]string{}, conns: map[string]*redisConn{}}
	for _, name := range []string{"n1", "n2", "n3"} {
		url, log, _ := realNode(t, func(f *serveFlags) {
			f.Name, f.Replicas, f.Partitions, f.RESP, f.Join = name, 3, 8, "127.0.0.1:0", c.seed
		})
		if c.http[name] = url; c.seed == nil {
			_, gossip, _ := strings.Cut(log.String(), " gossip=")
			c.seed = []string{strings.Fields(gossip)[0]}
		}
		c.names = append(c.names, name)
	}
	t.Cleanup(func() {
		for _, conn := range c.conns {
			conn.Close()
		}
		http.DefaultClient.CloseIdleConnections()
	})
	for end := time.Now().Add(60 * time.Second); ; {
		members := c.members()
		if len(members) == 3 && !slices.ContainsFunc(members, func(m kv.MemberView) bool {
			return m.Leaders == 0 || m.Replicas != 8
		}) {
			for _, m := range members {
				c.redis[m.Name] = m.Addresses.RESP
			}
			return c
		}
		if time.Now().After(end) {
			t.Fatalf("the three nodes do not share the work: %+v", members)
		}
	}
}

func (c *trio) members() (members []kv.MemberView) {
	got := command(c.t, c.http["n3"], nil, "members", "-o", "json")
	if got.code == exitFine {
		if err := json.Unmarshal([]byte(got.out), &members); err != nil {
			c.t.Fatal(err)
		}
	}
	return members
}

// owner tells who leads the partition of a key, and which one that is. While a leadership is handed over nobody is
// known to have it.
func (c *trio) owner(t *testing.T, key string) (leader string, partition int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a := c.ask(t, c.http["n2"], "GET /cluster/owner?key="+url.QueryEscape(key), "", "")
		var o struct {
			Leader    string
			Partition int
		}
		if err := json.Unmarshal([]byte(a.body), &o); err == nil && o.Leader != "" {
			return o.Leader, o.Partition
		} else if err != nil || time.Now().After(end) {
			t.Fatalf("the owner of %q is %s: %v", key, a.body, err)
		}
	}
}

// comesToLead reports whether a node leads the partition of a key, or n2, which tells so, hears soon that it does.
func (c *trio) comesToLead(t *testing.T, node, key string) bool {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if leader, _ := c.owner(t, key); leader == node {
			return true
		} else if time.Now().After(end) {
			return false
		}
	}
}

// away is a node that does not lead a key's partition.
func (c *trio) away(t *testing.T, key string) string {
	t.Helper()
	leader, _ := c.owner(t, key)
	i := slices.Index(c.names, leader)
	return c.names[(i+1+len(key)%2)%3]
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

// ask sends a request, "METHOD target", with header lines "Name: value" separated by |.
func (c *trio) ask(t *testing.T, base, request, body, headers string) answer {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r, err := http.NewRequest(method, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if headers != "" {
		for line := range strings.SplitSeq(headers, "|") {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, string(got), res.Header}
}

// row is a row of the contract: a request and what it is answered with.
type row struct {
	name    string
	key     string // it is sent to a node that does not lead this key; without one, to each node
	request string // METHOD target
	header  string // of the request: "Name: value", several with | between them
	body    string
	status  int
	want    string // the whole body; behind ~ a part of it
	has     string // of the answer: "Name: value", several with | between them; behind ~ how it begins
}

// hold sends the rows, each under its name.
func (c *trio) hold(t *testing.T, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if r.key == "" {
				for _, name := range c.names {
					c.check(t, name, r, c.ask(t, c.http[name], r.request, r.body, r.header))
				}
				return
			}
			asked := c.away(t, r.key)
			got := c.ask(t, c.http[asked], r.request, r.body, r.header)
			c.check(t, asked, r, got)
			if got.header.Get("X-Pxkv-Node") == asked && !c.comesToLead(t, asked, r.key) { // since it was chosen
				t.Errorf("%s answered by itself, and does not lead %q", asked, r.key)
			}
		})
	}
}

func (c *trio) check(t *testing.T, asked string, r row, got answer) {
	t.Helper()
	if got.status != r.status {
		t.Errorf("%s %s at %s: status %d, want %d: %.200s", r.request, r.body, asked, got.status, r.status, got.body)
	}
	if part, some := strings.CutPrefix(r.want, "~"); some && !strings.Contains(got.body, part) ||
		!some && got.body != r.want {
		t.Errorf("%s at %s:\n got %.500s\nwant %.500s", r.request, asked, got.body, r.want)
	}
	if got.status >= 400 && !json.Valid([]byte(got.body)) && !strings.HasPrefix(r.request, "HEAD") {
		t.Errorf("%s: an error that is no JSON: %s", r.request, got.body)
	}
	if r.has == "" {
		return
	}
	for line := range strings.SplitSeq(r.has, "|") {
		name, want, _ := strings.Cut(line, ": ")
		begin, some := strings.CutPrefix(want, "~")
		if is := got.header.Get(name); some && !strings.HasPrefix(is, begin) || !some && is != want {
			t.Errorf("%s at %s: header %s is %q, want %q", r.request, asked, name, is, want)
		}
	}
}

// empty deletes all keys.
func (c *trio) empty(t *testing.T) {
	t.Helper()
	for {
		a := c.ask(t, c.http["n1"], "GET /kv?keys_only&limit=500", "", "")
		var keys []json.RawMessage
		if err := json.Unmarshal([]byte(a.body), &keys); err != nil || a.status != http.StatusOK {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		if len(keys) == 0 {
			return
		}
		for _, key := range keys {
			c.ask(t, c.http["n1"], "DELETE /kv", `{"key":`+string(key)+`}`, "")
		}
	}
}

// put writes a pair, as JSON, through a node that does not lead it.
func (c *trio) put(t *testing.T, key, value string) {
	t.Helper()
	name, _ := json.Marshal(key)
	a := c.ask(t, c.http[c.away(t, key)], "PUT /kv", `{"key":`+string(name)+`,"value":`+value+`}`, "")
	if a.status != http.StatusOK {
		t.Fatalf("PUT %s %s: %d %s", key, value, a.status, a.body)
	}
}

// do sends a Redis command about a key to a node that does not lead it, and returns the reply: a string, an int64, nil,
// a []any, or an error.
func (c *trio) do(t *testing.T, key string, words ...string) any {
	t.Helper()
	name := c.away(t, key)
	conn := c.conns[name]
	if conn == nil {
		raw, err := net.Dial("tcp", c.redis[name])
		if err != nil {
			t.Fatal(err)
		}
		conn = &redisConn{Conn: raw, in: bufio.NewReader(raw)}
		c.conns[name] = conn
	}
	reply, err := conn.do(words)
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	return reply
}

// redisConn is a connection of a Redis client, RESP2.
type redisConn struct {
	net.Conn
	in *bufio.Reader
}

func (c *redisConn) do(words []string) (any, error) {
	out := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(w), w)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	return c.reply()
}

func (c *redisConn) reply() (any, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], strings.TrimSuffix(line[1:], "\r\n")
	n, numErr := strconv.ParseInt(text, 10, 64)
	switch kind {
	case '+':
		return text, nil
	case '-':
		return errors.New(text), nil
	case ':':
		return n, numErr
	case '$':
		if n < 0 || numErr != nil {
			return nil, numErr
		}
		data := make([]byte, n+2)
		_, err := io.ReadFull(c.in, data)
		return string(data[:n]), err
	case '*':
		if n < 0 || numErr != nil {
			return nil, numErr
		}
		list := make([]any, n)
		for i := range list {
			if list[i], err = c.reply(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("a reply begins with %q", line)
}
