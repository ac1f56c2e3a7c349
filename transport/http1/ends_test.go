package http1

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"pxkv/transport/wiretest"
)

// A connection whose end came together with its last request does not stay.
func TestConnectionsThatEndWithARequestAreClosed(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), nil)
	end := serving(t, s)
	const get = "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n"
	for range 20 {
		c := wiretest.Dial(t, s.Addr().String()).(*net.TCPConn)
		r := bufio.NewReader(c)
		for range 10 { // so many that it reads no more in vain
			io.WriteString(c, get)
			wiretest.Answer(t, r)
		}
		// Corked, so that the last request and the end leave in one packet.
		cork(t, c)
		io.WriteString(c, get)
		c.CloseWrite()
		wiretest.Answer(t, r)
	}
	wiretest.Eventually(t, "all connections are closed", func() bool { return s.listener.Open() == 0 })
	if err := end(); err != nil {
		t.Error(err)
	}
}

// What a client sends before it goes is answered as by net/http, whoever reads it.
func TestEndsAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), nil)
	talk := func(first, rest string) string {
		c := wiretest.Dial(t, addr)
		io.WriteString(c, first+rest)
		c.(*net.TCPConn).CloseWrite()
		r := bufio.NewReader(c)
		wiretest.Answer(t, r)
		all, err := io.ReadAll(r)
		if err != nil {
			t.Errorf("%q: %v", rest, err)
		}
		lines := strings.Split(string(all), "\r\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "Date: ") {
				lines[i] = "Date"
			}
		}
		return strings.Join(lines, "\n")
	}
	// The first request decides who serves the rest; both are POSTs, behind which a blank line is
	// passed over.
	const plainFirst = "POST /box/n HTTP/1.1\r\nHost: x\r\n\r\n"
	const otherFirst = "POST /box/n HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, x\r\n\r\n"
	for _, rest := range []string{
		"",
		"GET /box/missing",
		"GET /box/missing HTTP/1.1\r\nHost: x\r\n",
		"PUT /box/b HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
		"PUT /box/c HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
		"\r\nGET /box/missing HTTP/1.1\r\nHost: x\r\n\r\n",
		"\r\n\r\nGET /box/missing HTTP/1.1\r\nHost: x\r\n\r\n",
		"\r\n\r\n\r\nGET /box/missing HTTP/1.1\r\nHost: x\r\n\r\n",
		"\r\n",
		"nonsense",
	} {
		if mine, theirs := talk(plainFirst, rest), talk(otherFirst, rest); mine != theirs {
			t.Errorf("behind a POST: %q\nplain    %q\nnet/http %q", rest, mine, theirs)
		}
	}
}
