package match

import (
	"regexp"
	"regexp/syntax"

	"pxkv/node/kv"
)

// Filter is a kv.Filter, compiled. It does not change, and serves many goroutines at once.
type Filter struct {
	glob  []byte
	regex *regexp.Regexp
	want  string // type
	where eval
}

// Compile compiles a filter, nil for one that lets everything through. The error is of kind Invalid and says
// which parameter is wrong, and where.
func Compile(f kv.Filter) (*Filter, *kv.Error) {
	if f == (kv.Filter{}) {
		return nil, nil
	}
	c := &Filter{want: f.Type}
	var err *kv.Error
	if len(f.Glob) > kv.MaxGlobBytes {
		return nil, tooLong("glob", kv.MaxGlobBytes)
	}
	if f.Glob != "" {
		c.glob = []byte(f.Glob)
	}
	if c.regex, err = compileRegex(f.Regex); err != nil {
		return nil, err
	}
	if err := checkType(f.Type); err != nil {
		return nil, err
	}
	if c.where, err = compileWhere(f.Where); err != nil {
		return nil, err
	}
	return c, nil
}

func tooLong(name string, most int) *kv.Error {
	return kv.Errorf(kv.Invalid, "Parameter %s is longer than %d bytes", name, most)
}

func compileRegex(text string) (*regexp.Regexp, *kv.Error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > kv.MaxRegexBytes {
		return nil, tooLong("regex", kv.MaxRegexBytes)
	}
	if tooWide(text, maxKeySteps) {
		return nil, kv.Errorf(kv.Invalid, "Parameter regex: %s", widePattern(maxKeySteps))
	}
	re, err := regexp.Compile(text)
	if err == nil {
		return re, nil
	}
	what := err.Error()
	if e, ok := err.(*syntax.Error); ok { //nolint:errorlint // regexp.Compile documents this very type
		what = e.Code.String() + ": " + e.Expr
	}
	return nil, kv.Errorf(kv.Invalid, "Parameter regex: %s", what)
}

// anyJSON is the type of all that JSON has a text of its own for, but strings.
const anyJSON = "json"

func checkType(name string) *kv.Error {
	switch kv.ValueType(name) {
	case "", anyJSON, kv.TypeString, kv.TypeNumber, kv.TypeBool, kv.TypeObject, kv.TypeArray, kv.TypeBinary:
		return nil
	}
	return kv.Errorf(kv.Invalid,
		"Parameter type: %.64q is none of string, json, number, bool, object, array, binary", name)
}

// NeedsValue reports whether what an item holds is looked at, and not just its key and what is known of it.
func (f *Filter) NeedsValue() bool { return f.where != nil || f.want != "" }

// Match reports whether the item is wanted, at a time in Unix milliseconds. It keeps nothing of it.
func (f *Filter) Match(it *kv.Item, nowMS int64) bool {
	switch {
	case f.glob != nil && !kv.MatchGlob(f.glob, it.Key):
		return false
	case f.regex != nil && !f.regex.Match(it.Key):
		return false
	case f.want == anyJSON && it.Value.Kind != kv.JSON:
		return false
	case f.want != "" && f.want != anyJSON && string(it.Value.Type()) != f.want:
		return false
	}
	return f.where == nil || holds(f.where, it, nowMS)
}
