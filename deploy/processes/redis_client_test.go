//go:build processes

package processes

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// redisClient speaks the Redis protocol in bytes, so that replies can be compared exactly.
type redisClient struct {
	t   *testing.T
	net net.Conn
	in  *bufio.Reader
}

func dialRedis(t *testing.T, address string) *redisClient {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &redisClient{t, c, bufio.NewReader(c)}
}

// do sends commands in one piece and returns their replies.
func (c *redisClient) do(commands ...[]string) []string {
	c.t.Helper()
	_ = c.net.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c.net, encodeRedis(commands)); err != nil {
		c.t.Fatal(err)
	}
	replies := make([]string, len(commands))
	for i := range replies {
		reply, err := readRedisReply(c.in)
		if err != nil {
			c.t.Fatalf("reply to %q: %v", commands[i], err)
		}
		replies[i] = reply
	}
	return replies
}

func encodeRedis(commands [][]string) string {
	var b strings.Builder
	for _, words := range commands {
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	return b.String()
}

// readRedisReply reads a reply in a readable form that keeps every difference: "$" before
// quoted bulks, "=" before quoted texts, arrays, maps and sets in brackets of their own.
func readRedisReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", fmt.Errorf("an empty line instead of a reply")
	}
	n, _ := strconv.Atoi(line[1:])
	several := func(n int) (string, error) {
		parts := make([]string, 0, max(n, 0))
		for range n {
			s, err := readRedisReply(r)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, " "), nil
	}
	switch kind := line[0]; kind {
	case '$', '=':
		if n < 0 {
			return "$nil", nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		return line[:1] + strconv.Quote(string(b[:n])), nil
	case '*', '~', '%':
		if n < 0 {
			return "*nil", nil
		}
		if kind == '%' {
			n *= 2
		}
		s, err := several(n)
		return map[byte]string{'*': "[", '~': "<", '%': "{"}[kind] + s +
			map[byte]string{'*': "]", '~': ">", '%': "}"}[kind], err
	case ':', '+', '-', '_', ',', '#', '(':
		return line, nil
	}
	return "", fmt.Errorf("reply begins with %q", line)
}
