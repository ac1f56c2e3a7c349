package httpapi

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pxkv/node/kv"
)

// param is a set of reserved parameter names.
type param uint16

const (
	paramKey param = 1 << iota
	paramPrefix
	paramLimit
	paramCursor
	paramKeysOnly
	paramConsistency
	paramMinIndex
	paramTimeout
	paramTTL
	paramIncr
	paramMatch   // any name that is not reserved
	paramUnbuilt // reserved for later versions

	paramsOfOneRead = paramKey | paramMatch | paramConsistency | paramMinIndex | paramTimeout
	paramsOfList    = paramPrefix | paramLimit | paramCursor | paramKeysOnly | paramConsistency | paramTimeout
)

// paramOf tells what a name is reserved for; paramMatch is none.
func paramOf(name string) param {
	switch name {
	case "key":
		return paramKey
	case "prefix":
		return paramPrefix
	case "limit":
		return paramLimit
	case "cursor":
		return paramCursor
	case "keys_only":
		return paramKeysOnly
	case "consistency":
		return paramConsistency
	case "min_index":
		return paramMinIndex
	case "timeout":
		return paramTimeout
	case "ttl":
		return paramTTL
	case "incr":
		return paramIncr
	case "glob", "regex", "from", "to", "where", "type", "values_only", "meta", "format":
		return paramUnbuilt
	}
	return paramMatch
}

const (
	maxLimit   = 1_000_000 // largest limit=; pages end earlier by bytes anyway
	maxMatches = 64        // pairs that one request may match, each is a read
)

// query is a parsed query string.
type query struct {
	seen    param
	key     []byte
	prefix  []byte
	from    []byte // the key that the cursor points to
	limit   int    // 0 is none
	keys    bool   // keys_only
	read    kv.ReadOptions
	timeout time.Duration // 0 is the default
	ttl     kv.Expiry
	incr    int64
	matches []match
}

// match is a parameter that asks for one pair: the key must hold the value.
type match struct{ key, value string }

func (q *query) has(p param) bool { return q.seen&p != 0 }

// parseQuery parses raw and refuses every parameter that is not in allowed. It is written
// by hand because url.ParseQuery makes a map and two slices for a single key=.
func parseQuery(raw string, allowed param) (q query, err error) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return q, invalid("Parameter name %s has a bad percent-encoding", quoted(rawName))
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return q, invalid("Parameter %s has a bad percent-encoding", quoted(name))
		}
		if err := q.set(name, value, allowed); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (q *query) set(name, value string, allowed param) error {
	p := paramOf(name)
	switch {
	case p == paramUnbuilt:
		return notSupported("Parameter %s", name)
	case p == paramMatch && allowed&p == 0:
		return invalid("Parameter %s is not known here", quoted(name))
	case allowed&p == 0:
		return invalid("Parameter %s does not apply to this request", name)
	case p != paramMatch && q.seen&p != 0:
		return invalid("Parameter %s is given twice", name)
	}
	q.seen |= p
	var err error
	switch p {
	case paramKey:
		q.key = []byte(value)
	case paramPrefix:
		q.prefix = []byte(value)
		if len(value) > kv.MaxKeyBytes {
			return invalid("Parameter prefix is longer than a key can be, %d bytes", kv.MaxKeyBytes)
		}
	case paramLimit:
		q.limit, err = parseLimit(value)
	case paramCursor:
		q.from, err = parseCursor(value)
	case paramKeysOnly:
		q.keys, err = parseBool(name, value)
	case paramConsistency:
		q.read.Consistency, err = parseConsistency(value)
	case paramMinIndex:
		q.read.MinIndex, err = parseMinIndex(value)
	case paramTimeout:
		q.timeout, err = parseTimeout(value)
	case paramTTL:
		q.ttl, err = parseTTLParameter(value)
	case paramIncr:
		q.incr, err = parseIncr(value)
	case paramMatch:
		err = q.addMatch(name, value)
	}
	return err
}

func (q *query) addMatch(name, value string) error {
	if name == "" {
		return errMissingKey
	}
	if len(q.matches) == maxMatches {
		return invalid("More than %d pairs to match", maxMatches)
	}
	q.matches = append(q.matches, match{name, value})
	return nil
}

// only refuses parameters outside allowed, for requests whose meaning follows from other
// parameters.
func (q *query) only(allowed param, what string) error {
	wrong := q.seen &^ allowed
	if wrong == 0 {
		return nil
	}
	for _, name := range []string{
		"key", "prefix", "limit", "cursor", "keys_only", "consistency", "min_index", "timeout",
	} {
		if wrong&paramOf(name) != 0 {
			return invalid("Parameter %s does not go with %s", name, what)
		}
	}
	return invalid("Parameter %s does not go with %s", quoted(q.matches[0].key), what)
}

func parseLimit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalid("Parameter limit: %s is not a number from 1 to %d", quoted(value), maxLimit)
	}
	return n, nil
}

func parseBool(name, value string) (bool, error) {
	switch value {
	case "", "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, invalid("Parameter %s: %s is neither true nor false", name, quoted(value))
}

func parseConsistency(value string) (kv.Consistency, error) {
	switch value {
	case "linearizable":
		return kv.Linearizable, nil
	case "stale":
		return kv.Stale, nil
	}
	return 0, invalid("Parameter consistency: %s is neither linearizable nor stale", quoted(value))
}

func parseMinIndex(value string) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, invalid("Parameter min_index: %s is not an index as in X-Pxkv-Index", quoted(value))
	}
	return n, nil
}

// parseTimeout reads seconds ("5", "0.5") or a Go duration ("500ms").
func parseTimeout(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if seconds, numErr := strconv.ParseFloat(value, 64); numErr == nil && math.Abs(seconds) < 1e6 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d <= 0 || d > maxTimeout {
		return 0, invalid("Parameter timeout: %s is neither seconds nor a duration (5, 500ms) up to 60s", quoted(value))
	}
	return d, nil
}

// quoted shows a client's text in an error, shortened.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}
