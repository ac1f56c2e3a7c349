package gossip

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New(Options{
		Bind: "7946", Join: []string{
			"ok.example", "a:b:c", ":7946", "x:99999",
		}, AdvertiseHost: strings.Repeat("h", 300),
		AloneInterval: -1, Meta: Meta{Expect: -1, Addresses: kv.Addresses{HTTP: strings.Repeat("h", 300)}},
	})
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{
		"node id is 0", "cluster name", "listen on", `"a:b:c"`, `":7946"`, `"x:99999"`, "advertise", "negative",
		"node name", "http address", "expected number",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell about %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "ok.example") {
		t.Errorf("a good address is reported: %v", err)
	}

	reg := prometheus.NewRegistry()
	o := Options{ID: 1, ClusterName: "pxkv", Bind: "127.0.0.1:0", Meta: Meta{Name: "a"}, Metrics: reg}
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil {
		t.Error("metrics can be registered twice")
	}
}

func TestJoinAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given, host string
		port        uint16
	}{
		{"a.example", "a.example", 1},
		{"a.example:2", "a.example", 2},
		{"10.0.0.1", "10.0.0.1", 1},
		{"::1", "::1", 1},
		{"[::1]", "::1", 1},
		{"[::1]:2", "::1", 2},
	} {
		if host, port, err := splitJoin(c.given, "1"); host != c.host || port != c.port || err != nil {
			t.Errorf("splitJoin(%q) = %q, %d, %v, want %q, %d", c.given, host, port, err, c.host, c.port)
		}
	}
	for _, bad := range []string{"", ":", ":1", "a:", "a:b", "a:0", "a:65536", "a b", "a/b:1", "::1::"} {
		if host, port, err := splitJoin(bad, "1"); err == nil {
			t.Errorf("splitJoin(%q) = %q, %d", bad, host, port)
		}
	}
}
