package match

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

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

// span is a number that is not known better than this: how many elements there are for which a condition holds, when it
// is not sure for some of them.
type span struct{ low, high int }

// ends are the least and the greatest that a value may be.
func ends(a any) (low, high any) {
	if s, ok := a.(span); ok {
		return s.low, s.high
	}
	return a, a
}

// settled is a value for what does not know spans.
func settled(a any) any {
	if _, ok := a.(span); ok {
		return nil
	}
	return a
}

// equal compares any two values: true or false, or nil when it is not sure, as of what is not there. Values of
// different types are surely not equal.
func (s *scope) equal(a, b any) any {
	if a == nil || b == nil {
		return nil
	}
	lowA, highA := ends(a)
	lowB, highB := ends(b)
	if c, ok := s.compare(lowA, highB); ok {
		d, _ := s.compare(highA, lowB)
		switch {
		case c == 0 && d == 0:
			return true
		case c > 0 || d < 0:
			return false
		}
		return nil
	}
	switch a := a.(type) {
	case bool:
		other, ok := b.(bool)
		return ok && a == other
	case []any:
		other, ok := b.([]any)
		return ok && s.sameList(a, other)
	case map[string]any:
		other, ok := b.(map[string]any)
		return ok && s.sameObject(a, other)
	}
	return false
}

// same is equality within a value, where null is as good as any.
func (s *scope) same(a, b any) bool {
	if !s.spend(1) {
		return false
	}
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return s.equal(a, b) == true
}

func (s *scope) sameList(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !s.same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (s *scope) sameObject(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if other, ok := b[k]; !ok || !s.same(v, other) {
			return false
		}
	}
	return true
}

// compare orders two numbers or two texts. Others have no order.
func (s *scope) compare(a, b any) (order int, ok bool) {
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
		if b, ok := b.(string); ok && s.spend(min(len(a), len(b))/bytesPerStep) {
			return three(a < b, a > b), true
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
func (s *scope) in(a, b any) any {
	if a = settled(a); a == nil {
		return nil
	}
	switch b := b.(type) {
	case []any:
		for _, e := range b {
			if s.same(a, e) {
				return true
			}
			if s.spent() {
				return nil
			}
		}
		return false
	case map[string]any:
		name, ok := a.(string)
		if !ok {
			return nil
		}
		_, there := b[name]
		return there
	}
	return nil
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

// part is what of an array, or of the characters of a text, stands from one place on and before another, both also from
// the end; nil is its begin or end.
func (s *scope) part(of, from, to any) any {
	switch of := of.(type) {
	case []any:
		if a, b, ok := places(len(of), from, to); ok {
			return of[a:b]
		}
	case string:
		if !s.spend(len(of)) {
			return nil
		}
		runes := []rune(of)
		if a, b, ok := places(len(runes), from, to); ok {
			return string(runes[a:b])
		}
	}
	return nil
}

func places(length int, from, to any) (a, b int, ok bool) {
	place := func(of any) int {
		i, whole := of.(int)
		ok = ok && whole
		if i < 0 {
			i += length
		}
		return min(max(i, 0), length)
	}
	ok = true
	a, b = place(from), place(to)
	return a, max(a, b), ok
}

// add, subtract and multiply calculate with whole numbers as long as these have 64 bits.
func add(a, b any) any {
	return calculate(a, b, func(a, b int) (int, bool) { c := a + b; return c, (c > a) == (b > 0) },
		func(a, b float64) float64 { return a + b })
}

func subtract(a, b any) any {
	return calculate(a, b, func(a, b int) (int, bool) { c := a - b; return c, (c < a) == (b > 0) },
		func(a, b float64) float64 { return a - b })
}

func multiply(a, b any) any {
	return calculate(a, b, func(a, b int) (int, bool) {
		c := a * b
		return c, a == 0 || c/a == b && !(a == -1 && b == math.MinInt)
	}, func(a, b float64) float64 { return a * b })
}

func divide(a, b any) any {
	if y, ok := number(b); !ok || y == 0 {
		return nil
	}
	return calculate(a, b, func(int, int) (int, bool) { return 0, false },
		func(a, b float64) float64 { return a / b })
}

func modulo(a, b any) any {
	x, okX := a.(int)
	y, okY := b.(int)
	if !okX || !okY || y == 0 {
		return nil
	}
	return x % y
}

// calculate makes a number of two. What cannot be calculated is not there.
func calculate(a, b any, whole func(a, b int) (int, bool), other func(a, b float64) float64) any {
	if a, ok := a.(int); ok {
		if b, ok := b.(int); ok {
			if c, fits := whole(a, b); fits {
				return c
			}
		}
	}
	x, okX := number(a)
	y, okY := number(b)
	if !okX || !okY {
		return nil
	}
	z := other(x, y)
	if math.IsNaN(z) || math.IsInf(z, 0) {
		return nil
	}
	return z
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
