package server

import (
	"net"
)

// advertised is the host under which other nodes reach this one, and why it was chosen.
type advertised struct{ host, why string }

// source returns the address of this machine from which packets to a host would go, as its routes
// say. Nothing is sent.
type source func(hostport string) (net.IP, error)

// routed asks the kernel: a connected UDP socket has chosen its source, and has sent nothing.
func routed(hostport string) (net.IP, error) {
	c, err := net.Dial("udp", hostport)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP, nil
}

// Addresses that stand for the rest of the world (RFC 5737, RFC 3849): who has a default route
// has a source for them.
var elsewhere = []string{"192.0.2.1:9", "[2001:db8::1]:9"}

// chooseAdvertised finds a host for who gave none: the address that is listened on; else that of
// the interface which reaches the nodes to join; else that of the default route; else the loopback
// address. An interface that only leads to containers of this machine is neither, unless the nodes
// to join are there.
func chooseAdvertised(listen string, join []string, from source) advertised {
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			return advertised{host, "it is listened on"}
		}
	}
	var own string
	for _, target := range join {
		ip, err := from(target)
		if err != nil || ip == nil {
			continue // a name that is not known yet, say
		}
		if !ip.IsLoopback() {
			return advertised{ip.String(), "it is on the way to " + target}
		}
		own = ip.String() // this machine, perhaps this very node
	}
	for _, target := range elsewhere {
		if ip, err := from(target); err == nil && ip != nil && !ip.IsLoopback() {
			return advertised{ip.String(), "it is that of the default route"}
		}
	}
	if own != "" {
		return advertised{own, "the nodes to join are on this machine"}
	}
	return advertised{"127.0.0.1", "this machine has no way to others: it is reached from itself alone"}
}
