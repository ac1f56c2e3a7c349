package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// serveFlags is what "pxkv serve" can be told.
type serveFlags struct {
	name, dataDir, store       string
	http, resp, peer, gossip   string
	advertise, cluster         string
	join                       []string
	expect                     int
	partitions, replicas       int
	cacheEntries, maxValue     int
	reads, logFormat, logLevel string
	debug, allowFlush          bool
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	host, _ := os.Hostname()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node.

Without --join and with an empty data directory it starts a cluster of its own at once. With
--join it becomes a member of the cluster that it finds there. With data it is who it was,
whatever --join and --bootstrap-expect say, so the same command line is right for ever.

Every flag can also be given as an environment variable: --data-dir as PXKV_DATA_DIR.
SIGTERM and SIGINT hand this node's leaderships over and end it in good order.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return usageError(cmd, "%w", err)
			}
			if err := f.validate(); err != nil {
				return usageError(cmd, "%w", err)
			}
			return serve(cmd.Context(), &f, f.logger())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.name, "name", host, "name of this node, unique in the cluster")
	fs.StringVar(&f.dataDir, "data-dir", "./pxkv-data", "where the data lies; created if absent")
	fs.StringVar(&f.store, "store", "disk", "disk, or memory to keep everything in RAM")
	fs.StringVar(&f.http, "http", ":8080", "listen address for clients")
	fs.StringVar(&f.resp, "resp", ":6379", "listen address for Redis clients; \"\" turns it off")
	fs.StringVar(&f.peer, "peer", ":7947", "listen address for other nodes")
	fs.StringVar(&f.gossip, "gossip", ":7946", "listen address for gossip, TCP and UDP")
	fs.StringVar(&f.advertise, "advertise", "", "host name or address that other nodes use (default: first private address, else the host name)")
	fs.StringSliceVar(&f.join, "join", nil, "gossip addresses of other nodes, comma-separated or repeated")
	fs.StringVar(&f.cluster, "cluster", "pxkv", "name of the cluster; clusters of different names never mix")
	fs.IntVar(&f.expect, "bootstrap-expect", 0, "with --join: so many fresh nodes that see each other, and no cluster, form one")
	fs.IntVar(&f.partitions, "partitions", 64, "partitions of a new cluster, fixed for ever")
	fs.IntVar(&f.replicas, "replicas", 3, "replicas of each partition of a new cluster")
	fs.IntVar(&f.cacheEntries, "cache-entries", 65536, "values kept decoded in memory; 0 is off")
	fs.IntVar(&f.maxValue, "max-value-bytes", 8<<20, "largest value in bytes")
	fs.StringVar(&f.reads, "reads", "lease", "lease, or quorum to ask a majority for each batch of reads")
	fs.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.BoolVar(&f.allowFlush, "allow-flush", false, "let Redis clients delete everything with FLUSHALL")
	fs.BoolVar(&f.debug, "debug", false, "serve /debug/pprof/")
	return cmd
}

// fromEnvironment fills the flags that were not given from PXKV_ variables.
func fromEnvironment(fs *pflag.FlagSet) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		name := "PXKV_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok || f.Name == "help" {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s=%q: %w", name, value, err))
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
	if f.name == "" {
		fault("--name is empty")
	}
	if f.cluster == "" {
		fault("--cluster is empty")
	}
	if f.dataDir == "" {
		fault("--data-dir is empty")
	}
	oneOf("store", f.store, "disk", "memory")
	oneOf("reads", f.reads, "lease", "quorum")
	oneOf("log-format", f.logFormat, "text", "json")
	oneOf("log-level", f.logLevel, "debug", "info", "warn", "error")
	between := func(flag string, value, lo, hi int) {
		if value < lo || value > hi {
			fault("--%s is %d; it must be from %d to %d", flag, value, lo, hi)
		}
	}
	between("partitions", f.partitions, 1, 16384)
	between("replicas", f.replicas, 1, 9)
	between("cache-entries", f.cacheEntries, 0, 1<<30)
	between("max-value-bytes", f.maxValue, 1, 8<<20)
	between("bootstrap-expect", f.expect, 0, 1000)
	if f.expect > 0 && len(f.join) == 0 {
		fault("--bootstrap-expect needs --join: how should the expected nodes find each other?")
	}
	for flag, addr := range map[string]string{"http": f.http, "peer": f.peer, "gossip": f.gossip} {
		if !strings.Contains(addr, ":") {
			fault("--%s is %q; it must be host:port or :port", flag, addr)
		}
	}
	if f.resp != "" && !strings.Contains(f.resp, ":") {
		fault("--resp is %q; it must be host:port, :port or empty", f.resp)
	}
	return errors.Join(errs...)
}

func (f *serveFlags) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.logLevel)) // validated
	o := &slog.HandlerOptions{Level: level}
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

// serve runs a node until ctx ends or the node must stop.
func serve(ctx context.Context, f *serveFlags, log *slog.Logger) error {
	p, err := newProcess(f, log)
	if err != nil {
		return err
	}
	return p.run(ctx)
}
