package httpapi

import (
	"math"
	"strconv"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// maxTTL is the longest life in milliseconds that can be asked for: 100 years.
const maxTTL = 100 * 365 * 24 * 3600 * 1000

// parseTTL reads a life in seconds ("5", "0.5") or as a Go duration ("500ms").
func parseTTL(text string) (kv.Expiry, bool) {
	var ms float64
	if d, err := time.ParseDuration(text); err == nil {
		ms = float64(d.Milliseconds())
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		ms = math.Floor(seconds * 1000)
	}
	if !(ms >= 1 && ms <= maxTTL) { // also when it is no number
		return kv.Expiry{}, false
	}
	return kv.Expiry{Kind: kv.ExpiryIn, MS: int64(ms)}, true
}

func parseTTLParameter(value string) (kv.Expiry, error) {
	e, ok := parseTTL(value)
	if !ok {
		return e,
			invalid("Parameter ttl: %s is neither seconds nor a duration (30, 1.5, 500ms, 24h) from 1ms to 100 years",
				quoted(value))
	}
	return e, nil
}

// ttlMember reads the member "ttl" of a JSON body: a number of seconds, or a text.
func ttlMember(text []byte) (kv.Expiry, error) {
	wrong := invalid(
		`Member "ttl": %s is neither seconds nor a duration (30, 1.5, "500ms", "24h") from 1ms to 100 years`, quoted(
			string(text)))
	switch c := text[0]; {
	case c == '"':
		inside, ok := jsontext.Unquote(text, false)
		if !ok {
			return kv.Expiry{}, wrong
		}
		text = inside
	case c != '-' && (c < '0' || c > '9'):
		return kv.Expiry{}, wrong
	}
	e, ok := parseTTL(string(text))
	if !ok {
		return e, wrong
	}
	return e, nil
}

// lastMoment is the last that RFC 3339 can tell, in Unix milliseconds. Redis clients may give later deadlines.
var lastMoment = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()

// timestamp shows Unix milliseconds as X-Pxkv-Expires does.
func timestamp(deadlineMS int64) string {
	return time.UnixMilli(min(deadlineMS, lastMoment)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// expiresMember reads the member "expires" of a JSON body: a moment as timestamp writes it. One that has passed is
// taken, and the key is gone at once.
func expiresMember(text []byte) (kv.Expiry, error) {
	if text[0] == '"' {
		if inside, ok := jsontext.Unquote(text, false); ok {
			at, err := time.Parse(time.RFC3339Nano, string(inside))
			if ms := at.UnixMilli(); err == nil && ms > 0 {
				return kv.Expiry{Kind: kv.ExpiryAt, MS: ms}, nil
			}
		}
	}
	return kv.Expiry{}, invalid(`"expires" is no moment after 1970 like "2026-01-02T03:04:05.678Z" (RFC 3339)`)
}
