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
type param uint32

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
	paramMatch // any name that is not reserved
	paramFrom
	paramTo
	paramGlob
	paramRegex
	paramType
	paramWhere
	paramValuesOnly
	paramMeta
	paramFormat

	paramsOfOneRead = paramKey | paramMatch | paramConsistency | paramMinIndex | paramTimeout
	paramsOfFilter  = paramGlob | paramRegex | paramType | paramWhere
	paramsOfList    = paramPrefix | paramLimit | paramCursor | paramKeysOnly | paramConsistency | paramTimeout |
		paramFrom | paramTo | paramsOfFilter | paramValuesOnly | paramMeta | paramFormat
)

// reserved are the names that mean something to GET /kv, in the order in which they are complained about.
var reserved = []string{
	"key", "prefix", "limit", "cursor", "keys_only", "consistency", "min_index", "timeout", "from", "to", "glob",
	"regex", "type", "where", "values_only", "meta", "format",
}

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
	case "from":
		return paramFrom
	case "to":
		return paramTo
	case "glob":
		return paramGlob
	case "regex":
		return paramRegex
	case "type":
		return paramType
	case "where":
		return paramWhere
	case "values_only":
		return paramValuesOnly
	case "meta":
		return paramMeta
	case "format":
		return paramFormat
	}
	return paramMatch
}

const (
	maxLimit   = 1_000_000 // largest limit=; pages end earlier by bytes anyway
	maxMatches = 64        // pairs that one request may match, or keys that it may name; each is a read
)

// query is a parsed query string.
type query struct {
	seen    param
	key     []byte
	others  [][]byte // keys behind the first
	prefix  []byte
	from    []byte // also the key that the cursor points to, when that is larger
	cursor  []byte // that key
	to      []byte
	filter  kv.Filter
	limit   int // 0 is none
	shape   listShape
	read    kv.ReadOptions
	timeout time.Duration // 0 is the default
	ttl     kv.Expiry
	incr    int64
	matches []wantedPair
}

// wantedPair is a parameter that asks for one pair: the key must hold the value.
type wantedPair struct{ key, value string }

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
	case p == paramMatch && allowed&p == 0:
		return invalid("Parameter %s is not known here", quoted(name))
	case allowed&p == 0:
		return invalid("Parameter %s does not apply to this request", name)
	case p == paramKey && q.seen&p != 0 && allowed&paramMatch != 0:
		return q.addKey(value)
	case p != paramMatch && q.seen&p != 0:
		return invalid("Parameter %s is given twice", name)
	}
	q.seen |= p
	var err error
	switch p {
	case paramKey:
		q.key = []byte(value)
	case paramPrefix:
		q.prefix, err = keyPart(name, value)
	case paramFrom:
		q.from, err = keyPart(name, value)
	case paramTo:
		q.to, err = keyPart(name, value)
	case paramGlob:
		q.filter.Glob, err = notEmpty(name, value)
	case paramRegex:
		q.filter.Regex, err = notEmpty(name, value)
	case paramType:
		q.filter.Type, err = notEmpty(name, value)
	case paramWhere:
		q.filter.Where, err = notEmpty(name, value)
	case paramLimit:
		q.limit, err = parseLimit(value)
	case paramCursor:
		q.cursor, err = parseCursor(value)
	case paramKeysOnly:
		q.shape.keysOnly, err = parseBool(name, value)
	case paramValuesOnly:
		q.shape.valuesOnly, err = parseBool(name, value)
	case paramMeta:
		q.shape.meta, err = parseBool(name, value)
	case paramFormat:
		q.shape.lines, err = parseFormat(value)
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

func (q *query) addKey(key string) error {
	if len(q.others) == maxMatches-1 {
		return invalid("More than %d keys to read", maxMatches)
	}
	q.others = append(q.others, []byte(key))
	return nil
}

func (q *query) addMatch(name, value string) error {
	if name == "" {
		return errMissingKey
	}
	if len(q.matches) == maxMatches {
		return invalid("More than %d pairs to match", maxMatches)
	}
	q.matches = append(q.matches, wantedPair{name, value})
	return nil
}

// only refuses parameters outside allowed, for requests whose meaning follows from other
// parameters.
func (q *query) only(allowed param, what string) error {
	wrong := q.seen &^ allowed
	if wrong == 0 {
		return nil
	}
	for _, name := range reserved {
		if wrong&paramOf(name) != 0 {
			return invalid("Parameter %s does not go with %s", name, what)
		}
	}
	return invalid("Parameter %s does not go with %s", quoted(q.matches[0].key), what)
}

// keyPart is what a key is compared with.
func keyPart(name, value string) ([]byte, error) {
	if len(value) > kv.MaxKeyBytes {
		return nil, invalid("Parameter %s is longer than a key can be, %d bytes", name, kv.MaxKeyBytes)
	}
	return []byte(value), nil
}

// notEmpty refuses a filter that an empty variable of a script left out: the answer would be everything.
func notEmpty(name, value string) (string, error) {
	if value == "" {
		return "", invalid("Parameter %s is empty", name)
	}
	return value, nil
}

func parseFormat(value string) (lines bool, err error) {
	switch value {
	case "json":
		return false, nil
	case "ndjson":
		return true, nil
	}
	return false, invalid("Parameter format: %s is neither json nor ndjson", quoted(value))
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
