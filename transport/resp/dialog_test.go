package resp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/redcon"
)

// client speaks to a server in bytes.
type client struct {
	t   testing.TB
	net net.Conn
	in  *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, nc, bufio.NewReader(nc)}
}

// send sends a command of words.
func (c *client) send(words ...string) {
	c.t.Helper()
	b := redcon.AppendArray(nil, len(words))
	for _, w := range words {
		b = redcon.AppendBulkString(b, w)
	}
	c.raw(string(b))
}

func (c *client) raw(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.net, s); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one reply and returns it in a readable form: (error) first words, quoted bulks,
// arrays in brackets.
func (c *client) reply() string {
	c.t.Helper()
	s, err := readReply(c.in)
	if err != nil {
		c.t.Fatalf("read a reply: %v", err)
	}
	return s
}

func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(words...)
	return c.reply()
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	several := func(n int) (string, error) {
		var parts []string
		for range n {
			s, err := readReply(r)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, " "), nil
	}
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		return strconv.Quote(string(b[:n])), nil
	case '*', '~':
		if n < 0 {
			return "nil array", nil
		}
		s, err := several(n)
		return "[" + s + "]", err
	case '%':
		s, err := several(2 * n)
		return "{" + s + "}", err
	case ':', '+', '-', '_', ',':
		return line, nil
	}
	return "", fmt.Errorf("reply begins with %q", line)
}

// closed reports whether the server closes the connection next.
func (c *client) closed() bool {
	_, err := c.in.ReadByte()
	return err != nil
}
