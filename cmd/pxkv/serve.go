package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pxkv/cmd/pxkv/server"
	"pxkv/node/meta"
	"pxkv/node/pack"
)

// serveFlags is what "pxkv serve" can be told.
type serveFlags struct {
	server.Options
	encryption                                     encryptionFlag
	store, reads, logFormat, logLevel, compression string
	// environment variables that mean nothing, and what was perhaps meant
	unknown map[string]string
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	host, _ := os.Hostname()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node.

Without --join and with an empty data directory it starts a cluster of its own at once. With
--join it becomes a member of the cluster that it finds there. With --bootstrap-expect N as well,
N fresh nodes with the same --join form one, if there is none; the log says what they wait for.
With data it is who it was, whatever --join and --bootstrap-expect say, so the same command line
is right for ever.

A node takes as much memory as GOMEMLIMIT says, else as its control group or the machine has;
give it 512 MiB or more. An eighth of that, 64 to 512 MiB, is for what it holds for clients and
other nodes: requests, values, and answers that they have not read. What finds no room is refused
and not done: 503 "overloaded" by HTTP, -CLUSTERDOWN or -ERR and "this node holds too many bytes
for its clients at the moment: retry" by Redis. The metrics pxkv_held_bytes, pxkv_held_limit_bytes
and pxkv_held_refused_total tell how near it is.

Every flag can also be given as an environment variable: --data-dir as PXKV_DATA_DIR.
SIGTERM and SIGINT hand this node's leaderships over and end it in good order.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return usageError(cmd, "%w", err)
			}
			f.Given = map[string]bool{}
			cmd.Flags().Visit(func(flag *pflag.Flag) { f.Given[flag.Name] = true })
			f.unknown = unknownVariables(cmd.Flags(), os.Environ())
			if err := f.validate(); err != nil {
				return usageError(cmd, "%w", err)
			}
			return serve(cmd.Context(), &f, f.logger())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.Name, "name", host, "name of this node, unique in the cluster")
	fs.StringVar(&f.DataDir, "data-dir", "./pxkv-data", "where the data lies; created if absent")
	fs.StringVar(&f.store, "store", "disk", "disk, or memory to keep everything in RAM")
	fs.Int64Var(&f.MaxBytes, "max-bytes", 0,
		"most bytes of the store: beyond it writes are refused, as on a full disk; 0 is what the disk has, or with "+
			"--store memory three tenths of the memory")
	fs.Int64Var(&f.MoveRate, "move-rate", 0,
		"most bytes a second of replicas that move to other nodes, of all together; 0 is as many as can while nobody "+
			"asks anything of this node, and those of a part of its time else")
	f.encryption.add(fs)
	fs.StringVar(&f.HTTP, "http", ":8080", "listen address for clients")
	fs.StringVar(&f.RESP, "resp", ":6379", "listen address for Redis clients; \"\" turns it off")
	fs.StringVar(&f.Peer, "peer", ":7947", "listen address for other nodes")
	fs.StringVar(&f.Gossip, "gossip", ":7946", "listen address for gossip, TCP and UDP")
	fs.StringVar(&f.Advertise, "advertise", "",
		"host name or address that other nodes use (default: that of the interface on the way to --join, else of the "+
			"default route)")
	fs.StringSliceVar(&f.Join, "join", nil, "gossip addresses of other nodes, comma-separated or repeated")
	fs.StringVar(&f.Cluster, "cluster", "pxkv", "name of the cluster; clusters of different names never mix")
	fs.IntVar(&f.Expect, "bootstrap-expect", 0,
		"with --join: so many fresh nodes form a cluster when they have spoken with each other, and every address of "+
			"--join is known to be one of them, or nobody's")
	fs.IntVar(&f.Partitions, "partitions", 64, "partitions of a new cluster, fixed for ever")
	fs.IntVar(&f.Replicas, "replicas", 3, "replicas of each partition of a new cluster")
	fs.DurationVar(&f.ReplaceAfter, "replace-after", 10*time.Minute,
		"for how long no member may have heard another one before its replicas move elsewhere by themselves, at "+
			"least 10s; 0 is never; the same at all nodes")
	fs.StringVar(&f.Zone, "zone", "",
		"what can fail together with this node, such as a rack: replicas of a partition are put into different zones")
	fs.IntVar(&f.CacheEntries, "cache-entries", 65536, "values kept decoded in memory; 0 is off")
	fs.IntVar(&f.MaxValueBytes, "max-value-bytes", 8<<20, "largest value in bytes")
	fs.StringVar(&f.compression, "compression", "none",
		"none, zlib or zstd: how values of more than 256 bytes that are written through this node are compressed, if "+
			"that makes them a sixteenth shorter at least")
	fs.StringVar(&f.reads, "reads", "lease", "lease, or quorum to ask a majority for each batch of reads")
	fs.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.BoolVar(&f.AllowFlush, "allow-flush", false, "let Redis clients delete everything with FLUSHALL")
	fs.BoolVar(&f.Debug, "debug", false, "serve /debug/pprof/")
	return cmd
}

// variablePrefix is that of all environment variables.
const variablePrefix = "PXKV_"

// variable is the name of the environment variable that stands for a flag.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment fills the flags that were not given from PXKV_ variables.
func fromEnvironment(fs *pflag.FlagSet) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok || f.Name == "help" {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			errs = append(errs, badValue("environment variable "+name, err))
		}
	})
	return errors.Join(errs...)
}

// validate reports every fault at once.
func (f *serveFlags) validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(flag, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		fault("--%s is %q; it must be one of %s", flag, value, strings.Join(allowed, ", "))
	}
	// What is refused only when it is in the data directory, or when others hear of it, has spoiled that by then.
	switch err := meta.CheckName(f.Name); {
	case f.Name == "":
		fault("--name is empty")
	case err != nil:
		fault("--name: %v", err)
	case len(f.Name) > server.MaxNameBytes:
		fault("--name has %d bytes; at most %d are possible", len(f.Name), server.MaxNameBytes)
	}
	switch err := meta.CheckClusterName(f.Cluster); {
	case f.Cluster == "":
		fault("--cluster is empty")
	case err != nil:
		fault("--cluster: %v", err)
	}
	if !isHost(f.Advertise) {
		fault("--advertise is %q; it must be a host name or an address, without a port", f.Advertise)
	}
	if f.DataDir == "" {
		fault("--data-dir is empty")
	}
	oneOf("store", f.store, "disk", "memory")
	if err := f.encryption.check(); err != nil {
		errs = append(errs, err)
	}
	if f.store == "memory" && f.encryption.given() {
		fault("--store memory keeps nothing on a disk: --%s and %s have no use there", keyFileFlag, keyEnv)
	}
	oneOf("reads", f.reads, "lease", "quorum")
	oneOf("compression", f.compression, "none", "zlib", "zstd")
	oneOf("log-format", f.logFormat, "text", "json")
	oneOf("log-level", f.logLevel, "debug", "info", "warn", "error")
	between := func(flag string, value, lo, hi int) {
		if value < lo || value > hi {
			fault("--%s is %d; it must be from %d to %d", flag, value, lo, hi)
		}
	}
	between("partitions", f.Partitions, 1, 16384)
	between("replicas", f.Replicas, 1, 9)
	between("cache-entries", f.CacheEntries, 0, 1<<30)
	between("max-value-bytes", f.MaxValueBytes, 1, 8<<20)
	between("bootstrap-expect", f.Expect, 0, 1000)
	if f.MaxBytes != 0 && f.MaxBytes < server.MinMaxBytes {
		fault("--max-bytes is %d; it must be 0 or at least %d", f.MaxBytes, server.MinMaxBytes)
	}
	if f.ReplaceAfter != 0 && f.ReplaceAfter < server.MinReplaceAfter {
		fault("--replace-after is %v; it must be 0 or at least %v", f.ReplaceAfter, server.MinReplaceAfter)
	}
	if err := meta.CheckZone(f.Zone); err != nil {
		fault("--zone: %v", err)
	}
	if f.MoveRate != 0 && f.MoveRate < server.MinMoveRate {
		fault("--move-rate is %d bytes a second; it must be 0 or at least %d", f.MoveRate, server.MinMoveRate)
	}
	if f.Expect > 0 && len(f.Join) == 0 {
		fault("--bootstrap-expect needs --join: how should the expected nodes find each other?")
	}
	for flag, addr := range map[string]string{"http": f.HTTP, "peer": f.Peer, "gossip": f.Gossip} {
		if !strings.Contains(addr, ":") {
			fault("--%s is %q; it must be host:port or :port", flag, addr)
		}
	}
	if f.RESP != "" && !strings.Contains(f.RESP, ":") {
		fault("--resp is %q; it must be host:port, :port or empty", f.RESP)
	}
	return errors.Join(errs...)
}

// isHost reports whether others can dial a port of it, as far as that can be seen. Names are resolved later.
func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || !strings.ContainsAny(host, ":/[] \t\r\n")
}

func (f *serveFlags) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.logLevel)) // validated
	o := &slog.HandlerOptions{Level: level}
	if f.logFormat == "json" {
		return slog.New(quieted(slog.NewJSONHandler(os.Stderr, o), time.Now))
	}
	return slog.New(quieted(slog.NewTextHandler(os.Stderr, o), time.Now))
}

// server makes a node of what it is told.
func (f *serveFlags) server(log *slog.Logger) (*server.Server, error) {
	o := f.Options
	o.InMemory, o.QuorumReads = f.store == "memory", f.reads == "quorum"
	o.Compression, _ = pack.Parse(f.compression) // validated
	o.Keys = f.encryption.keys
	o.Version, o.Logger, o.Metrics = version, log, prometheus.NewRegistry()
	o.Metrics.MustRegister(thisBuild().metric())
	o.Exit = func(why string) {
		fmt.Fprintf(os.Stderr, "pxkv: %s\n", why)
		os.Exit(exitFailed)
	}
	return server.New(o)
}

// serve runs a node until ctx ends or the node must stop.
func serve(ctx context.Context, f *serveFlags, log *slog.Logger) error {
	ownerOnly()
	s, err := f.server(log)
	if err != nil {
		return err
	}
	warnOfVariables(log, f.unknown)
	f.encryption.warn(log)
	return s.Run(ctx)
}
