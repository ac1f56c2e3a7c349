package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
)

// What a node waits for is logged when it changes: the port from which it asked is no change.
func TestAFaultIsToldInTheSameWords(t *testing.T) {
	t.Parallel()
	from := func(port int) net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port} }
	server := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 53), Port: 53}
	lookup := func(port int) error {
		read := &net.OpError{Op: "read", Net: "udp", Source: from(port), Addr: server, Err: os.ErrDeadlineExceeded}
		return fmt.Errorf("resolve: %w", &net.DNSError{
			Err: read.Error(), Name: "n2", Server: server.String(), IsTimeout: true,
		})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{lookup(40000), "lookup n2: i/o timeout"},
		{lookup(40001), "lookup n2: i/o timeout"},
		{&net.DNSError{Err: "no such host", Name: "n2", IsNotFound: true}, "lookup n2: no such host"},
		{fmt.Errorf("it connects: %w", &net.OpError{Op: "read", Net: "tcp", Source: from(40002), Addr: server,
			Err: os.ErrDeadlineExceeded}), "i/o timeout"},
		{errors.New("what answers there is no gossip port"), "what answers there is no gossip port"},
	} {
		if got := faultText(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
