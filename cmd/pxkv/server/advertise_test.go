package server

import (
	"errors"
	"net"
	"testing"
)

func TestAdvertisedHost(t *testing.T) {
	t.Parallel()
	// A host as most are: one interface to the world, and a bridge of containers.
	routes := func(hostport string) (net.IP, error) {
		host, _, err := net.SplitHostPort(hostport)
		if err != nil {
			return nil, err
		}
		switch ip := net.ParseIP(host); {
		case host == "unknown":
			return nil, errors.New("no such host")
		case ip == nil:
			return net.IPv4(10, 0, 0, 7), nil
		case ip.IsLoopback():
			return ip, nil
		case ip.To4() != nil && ip.To4()[0] == 172:
			return net.IPv4(172, 17, 0, 1), nil
		}
		return net.IPv4(192, 0, 2, 2), nil
	}
	alone := func(hostport string) (net.IP, error) {
		if host, _, _ := net.SplitHostPort(hostport); net.ParseIP(host).IsLoopback() {
			return net.ParseIP(host), nil
		}
		return nil, errors.New("network is unreachable")
	}
	for _, tc := range []struct {
		listen string
		join   []string
		from   source
		want   string
	}{
		{"192.0.2.9:7947", nil, routes, "192.0.2.9"},
		{"n1.example:7947", []string{"other:7946"}, routes, "n1.example"},
		{":7947", nil, routes, "192.0.2.2"},
		{"0.0.0.0:7947", nil, routes, "192.0.2.2"},
		{"[::]:7947", nil, routes, "192.0.2.2"},
		{":7947", []string{"198.51.100.4:7946"}, routes, "192.0.2.2"},
		{":7947", []string{"inside:7946"}, routes, "10.0.0.7"},
		{":7947", []string{"unknown:7946", "inside:7946"}, routes, "10.0.0.7"},
		{":7947", []string{"unknown:7946"}, routes, "192.0.2.2"},
		{":7947", []string{"172.17.0.3:7946"}, routes, "172.17.0.1"}, // the nodes to join are containers here
		{":7947", []string{"127.0.0.1:7946"}, routes, "192.0.2.2"},
		{":7947", []string{"127.0.0.1:7946"}, alone, "127.0.0.1"},
		{":7947", nil, alone, "127.0.0.1"},
	} {
		if got := chooseAdvertised(tc.listen, tc.join, tc.from); got.host != tc.want || got.why == "" {
			t.Errorf("listen %s, join %v: %+v, want %s", tc.listen, tc.join, got, tc.want)
		}
	}
}

func TestRoutedSendsNothingAndFindsLoopback(t *testing.T) {
	t.Parallel()
	ip, err := routed("127.0.0.1:9")
	if err != nil || !ip.IsLoopback() {
		t.Errorf("%v, %v", ip, err)
	}
}
