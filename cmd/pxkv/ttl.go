package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// remaining is what a ttl has to tell.
type remaining struct {
	Key     keyText `json:"key"`
	TTL     *int64  `json:"ttl_ms"` // null: it lives for ever
	Expires string  `json:"expires,omitempty"`
	Version uint64  `json:"version"`
}

func newTTLCommand() *cobra.Command {
	return newKeyCommand(&cobra.Command{
		Use:   "ttl KEY",
		Short: "Print how long a key still lives",
		Long: `Print how long a key still lives, or "forever". Exit code 3 when there is no such key.
The time is told by the clock of the node that answers, to the second.`,
		Args: takes("KEY"),
	}, func(k *keyCall) error {
		resp, err := k.do(k.cmd.Context(), &request{method: http.MethodHead, path: keyPath(k.key)})
		if err != nil {
			return err
		}
		resp.Body.Close()
		return k.printRemaining(resp.Header)
	})
}

func (k *keyCall) printRemaining(h http.Header) error {
	r := remaining{Key: keyText(k.key), Expires: h.Get("X-Pxkv-Expires")}
	r.Version = parseETag(h.Get("Etag"))
	text := "forever"
	if r.Expires != "" {
		end, err := time.Parse(time.RFC3339, r.Expires)
		if err != nil {
			return fmt.Errorf("the node says that the key expires at %q, which is no time: %w", r.Expires, err)
		}
		left := max(end.UnixMilli()-nodeTime(h, time.Now()).UnixMilli(), 0)
		r.TTL = &left
		text = lifeText(left)
	}
	if k.asJSON {
		return writeJSON(k.cmd.OutOrStdout(), r)
	}
	_, err := fmt.Fprintln(k.cmd.OutOrStdout(), text)
	return err
}

// lifeText tells milliseconds to the second, and what is too long for a Duration, 292 years, in hours.
func lifeText(ms int64) string {
	if ms > int64(math.MaxInt64/time.Millisecond) {
		return fmt.Sprintf("%dh0m0s", ms/time.Hour.Milliseconds())
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

// nodeTime is what time it was on the node when it answered. Its Date tells only the second: what is missing is taken
// from the clock here when that shows the same one, or else supposed to be half of one.
func nodeTime(h http.Header, here time.Time) time.Time {
	second, err := http.ParseTime(h.Get("Date"))
	if since := here.Sub(second); err != nil || since >= 0 && since < time.Second {
		return here
	}
	return second.Add(time.Second / 2)
}

func newExpireCommand() *cobra.Command {
	return newKeyCommand(&cobra.Command{
		Use:   "expire KEY SECONDS|DURATION|never",
		Short: "Set how long a key still lives",
		Long: `Set how long a key still lives, in seconds (30, 0.5) or as a duration (90s, 24h); "never"
takes its deadline away. The value stays as it is: it is read, and written again on the
condition that nobody has changed it meanwhile.
Exit code 3 when there is no such key, 4 when the write was sent, but whether it was applied
is not known.`,
		Example: "  pxkv expire session 30m\n  pxkv expire session never",
		Args:    takes("KEY", "SECONDS|DURATION|never"),
	}, func(k *keyCall) error {
		var life lifetime
		if until := k.rest[0]; until != "never" {
			if err := life.Set(until); err != nil {
				return usageError(k.cmd, "%w", err)
			}
		}
		resp, err := k.expire(life)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return k.printWritten(resp)
	})
}

// expireAttempts is how often a value is read again that somebody else has just changed.
const expireAttempts = 10

// expire gives a key another deadline: its value is written again if it is still the same.
func (k *keyCall) expire(life lifetime) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := k.do(k.cmd.Context(), &request{method: http.MethodGet, path: keyPath(k.key)})
		if err != nil {
			return nil, err
		}
		value, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, brokenOff(k.client, "answer", err)
		}
		resp, err = k.do(k.cmd.Context(), again(k.key, value, resp.Header, life))
		if _, changed := errors.AsType[*conditionError](err); !changed || attempt == expireAttempts {
			return resp, err
		}
	}
}

// again is the request that writes a value once more, as it was, with another deadline.
func again(key string, value []byte, h http.Header, life lifetime) *request {
	header := http.Header{"If-Match": h["Etag"]}
	var query url.Values
	if life.Duration > 0 {
		query = url.Values{"ttl": {life.String()}}
	}
	// Only for a content type that was given with the value does a node forbid to run it as a page.
	kept := h.Get("Content-Security-Policy") != ""
	if kept {
		header["Content-Type"] = h["Content-Type"]
	}
	if kept || h.Get("Content-Type") != "application/json" {
		return &request{method: http.MethodPut, path: keyPath(key), query: query, header: header, body: value}
	}
	// JSON that was written as part of a pair has none.
	name, _ := keyText(key).MarshalJSON() // fails for no key
	body := append(append([]byte(`{"key":`), name...), `,"value":`...)
	body = append(body, value...)
	if life.Duration > 0 {
		body = append(append(append(body, `,"ttl":"`...), life.String()...), '"')
	}
	return &request{method: http.MethodPut, path: "/kv", header: header, body: append(body, '}')}
}
