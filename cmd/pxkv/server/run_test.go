package server

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/meta"
	"pxkv/persist"
	"pxkv/transport/wiretest"
)

// fresh is what a new node is told that may make a cluster of its own.
func fresh(t *testing.T) Options {
	return Options{
		Name: "n1", DataDir: t.TempDir(), HTTP: "127.0.0.1:0", RESP: "127.0.0.1:0", Peer: "127.0.0.1:0",
		Gossip: "127.0.0.1:0", Cluster: "fresh", Partitions: 1, Replicas: 1, MaxValueBytes: 1 << 20,
		Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Exit: func(why string) { panic(why) },
	}
}

// mustBeInNoCluster looks at what a start has left.
func mustBeInNoCluster(t *testing.T, dir string) {
	t.Helper()
	db, err := persist.Open(persist.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	id, _, err := db.Identity()
	if err != nil {
		t.Fatal(err)
	}
	replicas, err := db.Replicas()
	if err != nil {
		t.Fatal(err)
	}
	if id.Cluster != 0 || len(replicas) != 0 {
		t.Errorf("the node is in cluster %s, and has %d replicas", id.Cluster, len(replicas))
	}
}

// Whoever starts a node anew with another address may tell it of another cluster, too.
func TestANodeWithoutAnAddressMakesNoCluster(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, flag := range []string{"http", "resp", "peer", "gossip"} {
		o := fresh(t)
		*map[string]*string{"http": &o.HTTP, "resp": &o.RESP, "peer": &o.Peer, "gossip": &o.Gossip}[flag] =
			taken.Addr().String()
		s, err := New(o)
		if err == nil {
			err = s.Run(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "--"+flag) ||
			!strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("without the address of --%s it ended with %v", flag, err)
		}
		mustBeInNoCluster(t, o.DataDir)
	}
}

func TestANodeThatIsNotToStartMakesNoCluster(t *testing.T) {
	o := fresh(t)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	mustBeInNoCluster(t, o.DataDir)
}

// A process that was started before its cluster had a version says in its hello which it has now: nodes of an older
// release are refused, and do not become members that cannot go on.
func TestWhatANodeWritesFollowsItsCluster(t *testing.T) {
	s, err := New(fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	before := s.links.formats()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	wiretest.Eventually(t, "it tells the version of its cluster", func() bool {
		newer := 0
		for i, f := range s.links.formats() {
			if f.Writes > before[i].Writes && f.Writes == meta.NewestVersion {
				newer++
			}
		}
		return newer == 1
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
