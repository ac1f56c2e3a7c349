package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"pxkv/node/kv"
)

// tagList is a parsed If-Match or If-None-Match header.
type tagList struct {
	any  bool // "*"
	tags []tag
}

// tag is one entity tag, without its quotes.
type tag struct {
	opaque string
	weak   bool
}

// is reports whether the tag is that of a version.
func (t tag) is(version uint64) bool {
	var buf [20]byte
	return string(strconv.AppendUint(buf[:0], version, 10)) == t.opaque
}

func (l tagList) has(version uint64, weakToo bool) bool {
	if l.any {
		return true
	}
	for _, t := range l.tags {
		if (weakToo || !t.weak) && t.is(version) {
			return true
		}
	}
	return false
}

// maxTags bounds the tags of one condition.
const maxTags = 64

// parseTags parses the lines of a header by RFC 9110, section 8.8.3.
func parseTags(header string, lines []string) (tagList, error) {
	malformed := invalid(`%s is neither * nor a list of quoted entity tags like "7"`, header)
	s := strings.Trim(strings.Join(lines, ","), " \t")
	if s == "*" {
		return tagList{any: true}, nil
	}
	var l tagList
	for s != "" {
		var t tag
		s, t.weak = strings.CutPrefix(s, "W/")
		rest, quotedTag := strings.CutPrefix(s, `"`)
		opaque, rest, closed := strings.Cut(rest, `"`)
		if !quotedTag || !closed || strings.ContainsAny(opaque, " \t") || len(l.tags) == maxTags {
			return l, malformed
		}
		t.opaque = opaque
		l.tags = append(l.tags, t)
		rest = strings.TrimLeft(rest, " \t")
		s = strings.TrimLeft(rest, ", \t")
		if rest != "" && rest[0] != ',' {
			return l, malformed
		}
	}
	if len(l.tags) == 0 {
		return l, malformed
	}
	return l, nil
}

// writeCondition turns a write's conditional headers into a condition that the state
// machine decides, and refuses headers that would change the write's meaning and that
// this version cannot honour.
func writeCondition(h http.Header, o kv.Op) (kv.Condition, error) {
	var cond kv.Condition
	for _, name := range [...]string{"Idempotency-Key", "If-Unmodified-Since", "Content-Range"} {
		if _, given := h[name]; given {
			return cond, notSupported("Header %s on a write", name)
		}
	}
	match, none := h["If-Match"], h["If-None-Match"]
	switch {
	case len(match) == 0 && len(none) == 0:
		return cond, nil
	case len(match) > 0 && len(none) > 0:
		return cond, notSupported("If-Match together with If-None-Match")
	case len(match) > 0:
		return ifMatch(match)
	case o == kv.OpDelete:
		return cond, notSupported("If-None-Match on DELETE")
	}
	l, err := parseTags("If-None-Match", none)
	if err != nil {
		return cond, err
	}
	if !l.any {
		return cond, notSupported("If-None-Match other than * on PUT")
	}
	return kv.Condition{Kind: kv.CondAbsent}, nil
}

func ifMatch(lines []string) (kv.Condition, error) {
	l, err := parseTags("If-Match", lines)
	switch {
	case err != nil:
		return kv.Condition{}, err
	case l.any:
		return kv.Condition{Kind: kv.CondPresent}, nil
	case len(l.tags) > 1:
		return kv.Condition{}, notSupported("If-Match with more than one entity tag")
	case l.tags[0].weak:
		return kv.Condition{}, invalid(`If-Match needs a strong entity tag: "7", not W/"7"`)
	}
	// A tag that no version can have stays a condition, one that is never met: the answer
	// is then 412 with the current ETag, as for any other tag that is not current.
	version, err := strconv.ParseUint(l.tags[0].opaque, 10, 64)
	if err != nil || !l.tags[0].is(version) {
		version = 0
	}
	return kv.Condition{Kind: kv.CondVersion, Version: version}, nil
}

// readCondition evaluates a read's conditional headers against the version that was read.
// It returns 0 to go on, or the status to answer instead.
func readCondition(h http.Header, version uint64) (int, error) {
	match, none := h["If-Match"], h["If-None-Match"]
	if len(match) > 0 {
		l, err := parseTags("If-Match", match)
		if err != nil {
			return 0, err
		}
		if !l.has(version, false) {
			return http.StatusPreconditionFailed, nil
		}
	}
	if len(none) > 0 {
		l, err := parseTags("If-None-Match", none)
		if err != nil {
			return 0, err
		}
		if l.has(version, true) {
			return http.StatusNotModified, nil
		}
	}
	return 0, nil
}
