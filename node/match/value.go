package match

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"pxkv/node/kv"
)

// maxSeen is the longest value that expressions see, in bytes: a JSON value takes many times its length while it is
// looked at, which nobody counts.
const maxSeen = 1 << 20

// valueOf is a value as expressions see it: text, a number, a bool, an object, an array; nil when it is binary, or
// longer than maxSeen.
func valueOf(v *kv.Value) any {
	if len(v.Data) > maxSeen {
		return nil
	}
	switch v.Kind {
	case kv.String:
		return string(v.Data)
	case kv.JSON:
		d := json.NewDecoder(bytes.NewReader(v.Data))
		d.UseNumber()
		var x any
		if d.Decode(&x) != nil {
			return nil
		}
		return numbers(x)
	}
	return nil
}

// numbers turns the numbers in a JSON value into int where they are whole and fit, and float64 else.
func numbers(x any) any {
	switch x := x.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return int(i)
		}
		f, err := strconv.ParseFloat(string(x), 64)
		if err != nil {
			return nil // beyond what can be compared
		}
		return f
	case map[string]any:
		for k, e := range x {
			x[k] = numbers(e)
		}
	case []any:
		for i, e := range x {
			x[i] = numbers(e)
		}
	}
	return x
}

// comparisons tell whether something holds of their arguments, or that it is not sure.
var comparisons = map[string]func(p []any) (is, sure bool){
	"equal":   func(p []any) (bool, bool) { return equal(p[0], p[1]) },
	"unequal": func(p []any) (bool, bool) { is, sure := equal(p[0], p[1]); return !is, sure },
	"true":    func(p []any) (bool, bool) { is, sure := p[0].(bool); return is, sure },
	"less":    func(p []any) (bool, bool) { c, sure := compare(p[0], p[1]); return c < 0, sure },
	"atmost":  func(p []any) (bool, bool) { c, sure := compare(p[0], p[1]); return c <= 0, sure },
	"more":    func(p []any) (bool, bool) { c, sure := compare(p[0], p[1]); return c > 0, sure },
	"atleast": func(p []any) (bool, bool) { c, sure := compare(p[0], p[1]); return c >= 0, sure },
	"between": func(p []any) (bool, bool) {
		low, sureLow := compare(p[0], p[1])
		high, sureHigh := compare(p[0], p[2])
		return low >= 0 && high <= 0, sureLow && sureHigh
	},
	"in":         func(p []any) (bool, bool) { return in(p[0], p[1]) },
	"contains":   texts(strings.Contains),
	"startsWith": texts(strings.HasPrefix),
	"endsWith":   texts(strings.HasSuffix),
	"matches":    matches,
}

// operators says which function stands for an operator.
var operators = map[string]string{
	"==": "equal", "!=": "unequal", "<": "less", "<=": "atmost", ">": "more", ">=": "atleast", "in": "in",
	"contains": "contains", "startsWith": "startsWith", "endsWith": "endsWith", "matches": "matches",
	"+": "plus", "-": "minus", "*": "times", "/": "over", "%": "modulo",
}

func texts(f func(a, b string) bool) func(p []any) (bool, bool) {
	return func(p []any) (bool, bool) {
		a, okA := p[0].(string)
		b, okB := p[1].(string)
		return okA && okB && f(a, b), okA && okB
	}
}

// matches looks for a pattern. Expressions have few, written out, and each is compiled when it is met first.
func matches(p []any) (is, sure bool) {
	text, okText := p[0].(string)
	re, okRe := p[1].(*regexp.Regexp)
	return okText && okRe && re.MatchString(text), okText && okRe
}

// equal compares any two values. Of different types they are not equal; that nothing is there is not sure.
func equal(a, b any) (is, sure bool) {
	if a == nil || b == nil {
		return false, false
	}
	if c, ok := compare(a, b); ok {
		return c == 0, true
	}
	switch a := a.(type) {
	case bool:
		other, ok := b.(bool)
		return ok && a == other, true
	case []any:
		other, ok := b.([]any)
		return ok && sameList(a, other), true
	case map[string]any:
		other, ok := b.(map[string]any)
		return ok && sameObject(a, other), true
	}
	return false, true
}

// same is equality within a value, where null is as good as any.
func same(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	is, _ := equal(a, b)
	return is
}

func sameList(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func sameObject(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if other, ok := b[k]; !ok || !same(v, other) {
			return false
		}
	}
	return true
}

// compare orders two numbers or two texts. Others have no order.
func compare(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case int:
		switch b := b.(type) {
		case int:
			return three(a < b, a > b), true
		case float64:
			return three(float64(a) < b, float64(a) > b), true
		}
	case float64:
		switch b := b.(type) {
		case int:
			return three(a < float64(b), a > float64(b)), true
		case float64:
			return three(a < b, a > b), true
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	}
	return 0, false
}

func three(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// in reports whether a is an element of the array b, or the name of a member of the object b.
func in(a, b any) (is, sure bool) {
	if a == nil {
		return false, false
	}
	switch b := b.(type) {
	case []any:
		for _, e := range b {
			if same(a, e) {
				return true, true
			}
		}
		return false, true
	case map[string]any:
		name, ok := a.(string)
		_, there := b[name]
		return ok && there, ok
	}
	return false, false
}

// calculations make a value of two. What cannot be calculated is not there.
var calculations = map[string]func(a, b any) any{
	"plus": func(a, b any) any {
		if a, ok := a.(string); ok {
			if b, ok := b.(string); ok && len(a)+len(b) <= maxText {
				return a + b
			}
			return nil
		}
		return calculate(a, b, func(a, b int) int { return a + b }, func(a, b float64) float64 { return a + b })
	},
	"minus": func(a, b any) any {
		return calculate(a, b, func(a, b int) int { return a - b }, func(a, b float64) float64 { return a - b })
	},
	"times": func(a, b any) any {
		return calculate(a, b, func(a, b int) int { return a * b }, func(a, b float64) float64 { return a * b })
	},
	"over": func(a, b any) any {
		x, okX := number(a)
		y, okY := number(b)
		if !okX || !okY || y == 0 {
			return nil
		}
		return x / y
	},
	"modulo": func(a, b any) any {
		x, okX := a.(int)
		y, okY := b.(int)
		if !okX || !okY || y == 0 {
			return nil
		}
		return x % y
	},
	"member": member,
}

// maxText is the longest text that + makes, in bytes.
const maxText = 2 * kv.DefaultMaxValueBytes

func calculate(a, b any, whole func(a, b int) int, other func(a, b float64) float64) any {
	if a, ok := a.(int); ok {
		if b, ok := b.(int); ok {
			return whole(a, b)
		}
	}
	x, okX := number(a)
	y, okY := number(b)
	if !okX || !okY {
		return nil
	}
	return other(x, y)
}

func number(a any) (float64, bool) {
	switch a := a.(type) {
	case int:
		return float64(a), true
	case float64:
		return a, true
	}
	return 0, false
}

// member is a member of an object, or an element of an array, also from the end. What is not there is nil.
func member(of, name any) any {
	switch of := of.(type) {
	case map[string]any:
		if name, ok := name.(string); ok {
			return of[name]
		}
	case []any:
		if i, ok := name.(int); ok {
			if i < 0 {
				i += len(of)
			}
			if i >= 0 && i < len(of) {
				return of[i]
			}
		}
	}
	return nil
}

// called are the functions that clients can call, but for those over elements.
var called = map[string]func(a any) any{
	"len":    length,
	"lower":  text(strings.ToLower),
	"upper":  text(strings.ToUpper),
	"trim":   text(strings.TrimSpace),
	"abs":    func(a any) any { return rounded(a, math.Abs) },
	"floor":  func(a any) any { return rounded(a, math.Floor) },
	"ceil":   func(a any) any { return rounded(a, math.Ceil) },
	"round":  func(a any) any { return rounded(a, math.Round) },
	"number": toNumber,
	"string": toText,
}

// length counts characters, elements or members.
func length(a any) any {
	switch a := a.(type) {
	case string:
		return utf8.RuneCountInString(a)
	case []any:
		return len(a)
	case map[string]any:
		return len(a)
	}
	return nil
}

func text(f func(string) string) func(any) any {
	return func(a any) any {
		if s, ok := a.(string); ok {
			return f(s)
		}
		return nil
	}
}

func rounded(a any, f func(float64) float64) any {
	x, ok := number(a)
	if !ok {
		return nil
	}
	if x = f(x); x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return int(x)
	}
	return x
}

// toNumber reads a text as a JSON number.
func toNumber(a any) any {
	s, ok := a.(string)
	if !ok {
		if _, ok := number(a); ok {
			return a
		}
		return nil
	}
	if s = strings.TrimSpace(s); !json.Valid([]byte(s)) {
		return nil
	}
	n := numbers(json.Number(s))
	return n
}

func toText(a any) any {
	switch a := a.(type) {
	case string:
		return a
	case int:
		return strconv.Itoa(a)
	case float64:
		return strconv.FormatFloat(a, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(a)
	}
	return nil
}
