package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/load"
	"pxkv/cmd/pxkv/monitor"
	"pxkv/cmd/pxkv/server"
)

// benchFlags are the flags of bench that do not go into a load.Config as they are.
type benchFlags struct {
	config  load.Config
	client  clientFlags
	output  outputFlag
	servers []string
	target  string
	api     string
	dist    string
	prepare bool
}

func newBenchCommand() *cobra.Command {
	var b benchFlags
	cmd := &cobra.Command{
		Use:   "bench [put|get|mix]",
		Short: "Measure throughput and latency under load",
		Long: `Measure throughput and latency: every connection has one request in flight and sends
the next one when it has the answer. Without an argument: mix.

It writes keys that begin with "` + load.KeyPrefix + `" and leaves them. An interruption ends it with
the figures so far. The client shares the CPU with servers on the same machine.

--target etcd drives the JSON gateway of etcd, --target raw gets the URL of --servers as
it is: with the same engine, so that ratios compare the servers.`,
		Example: `  pxkv bench
  pxkv bench put --servers http://127.0.0.1:8080,http://127.0.0.1:8081 --connections 128
  pxkv bench get --requests 100000 --dist zipf --output json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, "unexpected argument %q", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := b.output.check(cmd); err != nil {
				return err
			}
			config, err := b.complete(cmd, args)
			if err != nil {
				return err
			}
			return bench(cmd, config, b.output.json())
		},
	}
	b.add(cmd)
	cmd.AddCommand(newServeBareCommand(), newFsyncCommand())
	return cmd
}

func (b *benchFlags) add(cmd *cobra.Command) {
	b.client.add(cmd)
	b.output.add(cmd)
	f, c := cmd.Flags(), &b.config
	f.StringSliceVar(&b.servers, "servers", nil, "nodes that share the connections in turn (default: --server)")
	f.IntVar(&c.Connections, "connections", 64, "connections, each with one request in flight")
	f.DurationVar(&c.Duration, "duration", 10*time.Second, "how long to measure")
	f.Uint64Var(&c.Requests, "requests", 0, "measure so many requests instead of a duration")
	f.IntVar(&c.Keys, "keys", 10_000, "different keys")
	f.IntVar(&c.Size, "size", 256, "bytes of a value")
	f.StringVar(&b.dist, "dist", string(load.Uniform), "how keys are drawn: uniform or zipf")
	f.IntVar(&c.ReadPercent, "read-percent", 80, "reads in a mix, in percent")
	f.BoolVar(&b.prepare, "prepare", false, "write every key first (default: for get and mix)")
	f.DurationVar(&c.Warmup, "warmup", time.Second, "the same load before, not counted")
	f.Uint64Var(&c.Seed, "seed", 1, "same seed, same keys in the same order")
	f.StringVar(&b.target, "target", "pxkv", "what is measured: pxkv, etcd or raw")
	f.StringVar(&b.api, "api", "raw", "for pxkv: raw (/kv/{key}) or json (/kv)")
}

// complete makes the Config that the flags and arguments describe.
func (b *benchFlags) complete(cmd *cobra.Command, args []string) (*load.Config, error) {
	c := b.config
	c.Mode = load.Mix
	if len(args) == 1 {
		c.Mode = load.Mode(args[0])
	}
	c.Target, c.Dist, c.Timeout = load.Target(b.target), load.Distribution(b.dist), b.client.timeout
	switch {
	case b.api != "raw" && b.api != "json":
		return nil, usageError(cmd, "--api must be raw or json, not %q", b.api)
	case b.api == "json" && c.Target == load.PxkvRaw:
		c.Target = load.PxkvJSON
	case b.api == "json":
		return nil, usageError(cmd, "--api goes with --target pxkv only")
	}
	if c.Target == load.RawGet && len(args) == 0 {
		c.Mode = load.Get
	}
	c.Prepare = b.prepare
	if !cmd.Flags().Changed("prepare") {
		c.Prepare = c.Mode != load.Put && c.Target != load.RawGet
	}
	servers := b.servers
	if len(servers) == 0 {
		servers = b.client.servers
	}
	for _, s := range servers {
		u, err := parseServer(s)
		if err != nil {
			return nil, usageError(cmd, "%w", err)
		}
		c.Servers = append(c.Servers, u.String())
	}
	if err := c.Validate(); err != nil {
		return nil, usageError(cmd, "%w", err)
	}
	return &c, nil
}

func bench(cmd *cobra.Command, c *load.Config, asJSON bool) error {
	// What the runtime does for itself is taken from the machine that is measured.
	_ = monitor.Calm() // it then works as other programs do
	server.CollectSeldom()
	progress := newProgressLine(cmd.ErrOrStderr())
	result, err := load.Run(cmd.Context(), *c, progress.report)
	progress.clear()
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), result)
	} else {
		err = result.WriteText(cmd.OutOrStdout())
	}
	if err == nil && result.Succeeded == 0 && !result.Interrupted {
		return errors.New("no request succeeded: is pxkv serve running there? See pxkv status")
	}
	return err
}

// progressLine is a line on a terminal that is written over and over.
type progressLine struct {
	w     io.Writer // nil when nobody watches
	last  load.Progress
	begun bool
}

func newProgressLine(w io.Writer) *progressLine {
	if !isTerminal(w) {
		return &progressLine{}
	}
	return &progressLine{w: w}
}

const eraseLine = "\r\x1b[K"

func (l *progressLine) report(p load.Progress) {
	if l.w == nil {
		return
	}
	if l.last.Phase != p.Phase {
		l.last = load.Progress{}
	}
	rate := float64(p.Done-l.last.Done) / (p.Elapsed - l.last.Elapsed).Seconds()
	fmt.Fprintf(l.w, eraseLine+"%-8s %4.0f s  %9d done  %8.0f/s  %d errors", p.Phase, p.Elapsed.Seconds(), p.Done, rate,
		p.Failed)
	l.last, l.begun = p, true
}

func (l *progressLine) clear() {
	if l.begun {
		fmt.Fprint(l.w, eraseLine)
	}
}
