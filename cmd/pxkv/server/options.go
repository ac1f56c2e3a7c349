package server

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/persist/crypt"
	"pxkv/transport/gossip"
)

// MaxNameBytes is how long --name may be: gossip carries it with all else that a node says of itself.
const MaxNameBytes = gossip.MaxNameBytes

// MinReplaceAfter is the least that --replace-after may be: a node that restarts must not count as lost.
const MinReplaceAfter = 10 * time.Second

// Options are what a node is told. They are valid: cmd/pxkv has checked them.
type Options struct {
	Name    string // unique in the cluster
	DataDir string
	// Keys reads the keys by which DataDir is encrypted: none when it is not. nil is none.
	Keys     func() ([]crypt.Key, error)
	InMemory bool // keep everything in memory, and nothing in DataDir
	// ReplaceAfter is for how long nobody may have heard a member before its replicas move elsewhere, at least
	// MinReplaceAfter; 0: that never happens by itself.
	ReplaceAfter time.Duration
	Zone         string // what can fail together with this node; empty: unknown
	// MaxBytes is how many bytes the store may have, at least MinMaxBytes; 0: a share of the memory when InMemory, else
	// as many as its disk has.
	MaxBytes int64

	// Addresses to listen on; RESP may be "": not at all.
	HTTP, RESP, Peer, Gossip string
	// Advertise is the host that other nodes use; "": it is chosen.
	Advertise string

	Cluster string   // the name of the cluster
	Join    []string // gossip addresses of other nodes
	Expect  int      // so many fresh nodes form a cluster together
	// Of a new cluster.
	Partitions, Replicas int

	// MoveRate is how many bytes a second of replicas that move leave this node at most, at least MinMoveRate; 0: as
	// many as requests leave room for.
	MoveRate int64

	CacheEntries  int // values kept decoded; 0: none
	MaxValueBytes int
	Compression   kv.Packing // of the values that are written through this node
	QuorumReads   bool       // ask a majority for each batch of reads
	AllowFlush    bool       // let Redis clients delete everything
	Debug         bool       // serve /debug/pprof/

	// Given are the flags of the command line or the environment, by name: of these it is said when they
	// have no effect.
	Given   map[string]bool
	Version string // what INFO says
	Logger  *slog.Logger
	Metrics *prometheus.Registry
	// Exit ends the process at once, for a reason that it tells: what is in memory may not be acted upon.
	Exit func(why string)
}
