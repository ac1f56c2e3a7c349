package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"pxkv/cmd/pxkv/load"
)

// newServeBareCommand returns a hidden command, for comparisons: an HTTP server that does
// nothing.
func newServeBareCommand() *cobra.Command {
	var listen string
	var size int
	cmd := &cobra.Command{
		Use:    "serve-bare",
		Short:  "Serve a bare net/http handler, to compare with",
		Hidden: true,
		Args:   takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if size < 0 || size > 64<<20 {
				return usageError(cmd, "--size must be 0 to 67108864")
			}
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("serving a bare handler: %w; name another address with --listen", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "http://%s\n", listener.Addr())
			return serveBare(cmd.Context(), listener, size)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address; port 0 takes a free one, which is printed")
	cmd.Flags().IntVar(&size, "size", 256, "bytes of an answer")
	return cmd
}

// serveBare serves until ctx ends.
func serveBare(ctx context.Context, listener net.Listener, size int) error {
	server := &http.Server{Handler: load.BareHandler(size), ReadHeaderTimeout: 10 * time.Second}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		_ = server.Close() // nobody's data is lost with an open connection
		_ = <-serving
		return nil
	case err := <-serving:
		return fmt.Errorf("serving a bare handler: %w", err)
	}
}
