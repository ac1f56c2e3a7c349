package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

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
	ttl         lifetime
	file        string
}

func newPutCommand() *cobra.Command {
	var put putFlags
	cmd := newKeyCommand(&cobra.Command{
		Use:   "put KEY VALUE|-",
		Short: "Set the value of a key",
		Long: `Set the value of a key; "-" reads the value from standard input, --file from a file.
When this command ends with 0, the value is on disk on a majority of its replicas.
With a condition that does not hold nothing is changed and the exit code is 1.
Exit code 4: the write was sent, but whether it was applied is not known.`,
		Example: `  pxkv put greeting hello
  pxkv put photo --file photo.jpg --content-type image/jpeg
  pxkv put settings '{"dark":true}' --content-type application/json
  pxkv put lock me --if-absent
  pxkv put greeting hi --if-match 17
  pxkv put session s3cret --ttl 30m`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("file") {
				return takes("KEY")(cmd, args)
			}
			return takes("KEY", "VALUE")(cmd, args)
		},
	}, func(k *keyCall) error {
		if put.ifAbsent && k.cmd.Flags().Changed("if-match") {
			return usageError(k.cmd, "--if-match and --if-absent exclude each other")
		}
		value, err := put.value(k)
		if err != nil {
			return err
		}
		r := &request{
			method: http.MethodPut, path: keyPath(k.key), query: put.query(), body: value, header: put.header(k.cmd),
		}
		resp, err := k.do(k.cmd.Context(), r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return k.printWritten(resp)
	})
	cmd.Flags().Uint64Var(&put.ifMatch, "if-match", 0, "only if the key is at this version")
	cmd.Flags().BoolVar(&put.ifAbsent, "if-absent", false, "only if there is no such key")
	cmd.Flags().Var(&put.ttl, "ttl", "delete the key after this time: 30 (seconds), 500ms, 24h")
	cmd.Flags().StringVar(&put.file, "file", "", "read the value from this file")
	cmd.Flags().StringVar(&put.contentType, "content-type", "", "kept with the value and given back with it")
	return cmd
}

// value is what is to be written.
func (p *putFlags) value(k *keyCall) ([]byte, error) {
	if k.cmd.Flags().Changed("file") {
		return readFile(p.file)
	}
	return readValue(k.cmd, k.rest[0])
}

func (p *putFlags) query() url.Values {
	if p.ttl.Duration == 0 {
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
	return readInput(cmd.InOrStdin(), "standard input")
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w; nothing was written", err)
	}
	defer f.Close()
	return readInput(f, name)
}

func readInput(r io.Reader, from string) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, maxInputBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the value from %s: %w; nothing was written", from, err)
	}
	if len(value) > maxInputBytes {
		return nil, fmt.Errorf("%s holds more than %d bytes, which no value may have; nothing was written", from,
			maxInputBytes)
	}
	return value, nil
}

// written is what a put has to tell.
type written struct {
	Key     keyText `json:"key"`
	Version uint64  `json:"version"`
	Created bool    `json:"created"`
	Expires string  `json:"expires,omitempty"` // RFC 3339
	receipt
}

func (k *keyCall) printWritten(resp *http.Response) error {
	w := written{Key: keyText(k.key), Created: resp.StatusCode == http.StatusCreated,
		Expires: resp.Header.Get("X-Pxkv-Expires"), receipt: readReceipt(resp.Header)}
	w.Version = parseETag(resp.Header.Get("Etag"))
	if k.asJSON {
		return writeJSON(k.cmd.OutOrStdout(), w)
	}
	what := "updated"
	if w.Created {
		what = "created"
	}
	if w.Expires != "" {
		what += " until " + w.Expires
	}
	_, err := fmt.Fprintf(k.cmd.OutOrStdout(), "%s, version %d\n", what, w.Version)
	return err
}
