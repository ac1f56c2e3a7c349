package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// maxInputBytes is the most that put reads from standard input; nodes take far less by
// default (8 MiB).
const maxInputBytes = 512 << 20

// putFlags are what put knows beside the node.
type putFlags struct {
	ifMatch     uint64
	ifAbsent    bool
	contentType string
	ttl         time.Duration
}

func newPutCommand() *cobra.Command {
	var flags clientFlags
	var output outputFlag
	var put putFlags
	cmd := &cobra.Command{
		Use:   "put KEY VALUE|-",
		Short: "Set the value of a key",
		Long: `Set the value of a key; "-" reads the value from standard input.
When this command ends with 0, the value is on disk on a majority of its replicas.
With a condition that does not hold nothing is changed and the exit code is 1.
Exit code 4: the write was sent, but whether it was applied is not known.`,
		Example: `  pxkv put greeting hello
  pxkv put photo - < photo.jpg --content-type image/jpeg
  pxkv put settings '{"dark":true}' --content-type application/json
  pxkv put lock me --if-absent
  pxkv put greeting hi --if-match 17
  pxkv put session s3cret --ttl 30m`,
		Args: takes("KEY", "VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.check(cmd); err != nil {
				return err
			}
			if err := checkKey(cmd, args[0]); err != nil {
				return err
			}
			if put.ifAbsent && cmd.Flags().Changed("if-match") {
				return usageError(cmd, "--if-match and --if-absent exclude each other")
			}
			if cmd.Flags().Changed("ttl") && put.ttl < time.Millisecond {
				return usageError(cmd, "--ttl %v: a key lives at least 1ms", put.ttl)
			}
			c, err := flags.client(cmd)
			if err != nil {
				return err
			}
			value, err := readValue(cmd, args[1])
			if err != nil {
				return err
			}
			r := &request{method: http.MethodPut, path: keyPath(args[0]), query: put.query(), body: value, header: put.header(cmd)}
			resp, err := c.do(cmd.Context(), r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			return printWritten(cmd, args[0], resp, output.json())
		},
	}
	flags.add(cmd)
	output.add(cmd)
	cmd.Flags().Uint64Var(&put.ifMatch, "if-match", 0, "only if the key is at this version")
	cmd.Flags().BoolVar(&put.ifAbsent, "if-absent", false, "only if there is no such key")
	cmd.Flags().DurationVar(&put.ttl, "ttl", 0, "delete the key after this time: 90s, 24h")
	cmd.Flags().StringVar(&put.contentType, "content-type", "", "kept with the value and given back with it")
	return cmd
}

func (p *putFlags) query() url.Values {
	if p.ttl == 0 {
		return nil
	}
	return url.Values{"ttl": {p.ttl.String()}}
}

func (p *putFlags) header(cmd *cobra.Command) http.Header {
	h := make(http.Header)
	if p.contentType != "" {
		h.Set("Content-Type", p.contentType)
	}
	if p.ifAbsent {
		h.Set("If-None-Match", "*")
	}
	if cmd.Flags().Changed("if-match") {
		h.Set("If-Match", strconv.Quote(strconv.FormatUint(p.ifMatch, 10)))
	}
	return h
}

func readValue(cmd *cobra.Command, arg string) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	value, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxInputBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the value from standard input: %w; nothing was written", err)
	}
	if len(value) > maxInputBytes {
		return nil, fmt.Errorf("standard input holds more than %d bytes, which no value may have; nothing was written", maxInputBytes)
	}
	return value, nil
}

// written is what a put has to tell.
type written struct {
	Key     string `json:"key"`
	Version uint64 `json:"version"`
	Created bool   `json:"created"`
	Expires string `json:"expires,omitempty"` // RFC 3339
	receipt
}

func printWritten(cmd *cobra.Command, key string, resp *http.Response, asJSON bool) error {
	w := written{Key: key, Created: resp.StatusCode == http.StatusCreated, Expires: resp.Header.Get("X-Pxkv-Expires"), receipt: readReceipt(resp.Header)}
	w.Version, _ = parseETag(resp.Header.Get("Etag"))
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), w)
	}
	what := "updated"
	if w.Created {
		what = "created"
	}
	if w.Expires != "" {
		what += " until " + w.Expires
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s, version %d\n", what, w.Version)
	return err
}
