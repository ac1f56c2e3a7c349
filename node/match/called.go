package match

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// called are all functions of one argument. What they cannot be asked of makes them nil.
var called = map[string]func(s *scope, a any) any{
	"len":    length,
	"lower":  text(strings.ToLower),
	"upper":  text(strings.ToUpper),
	"trim":   text(strings.TrimSpace),
	"abs":    rounded(math.Abs),
	"floor":  rounded(math.Floor),
	"ceil":   rounded(math.Ceil),
	"round":  rounded(math.Round),
	"number": toNumber,
	"string": toText,
}

// length counts characters, elements or members.
func length(s *scope, a any) any {
	switch a := a.(type) {
	case string:
		if s.spend(len(a) / bytesPerStep) {
			return utf8.RuneCountInString(a)
		}
	case []any:
		return len(a)
	case map[string]any:
		return len(a)
	}
	return nil
}

func text(f func(string) string) func(s *scope, a any) any {
	return func(s *scope, a any) any {
		if t, ok := a.(string); ok && s.spend(len(t)) {
			return f(t)
		}
		return nil
	}
}

func rounded(f func(float64) float64) func(s *scope, a any) any {
	return func(_ *scope, a any) any {
		x, ok := number(a)
		if !ok {
			return nil
		}
		if x = f(x); x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int(x)
		}
		return x
	}
}

// toNumber reads a text as a JSON number.
func toNumber(s *scope, a any) any {
	t, ok := a.(string)
	if !ok {
		if _, ok := number(a); ok {
			return a
		}
		return nil
	}
	if t = strings.TrimSpace(t); !s.spend(len(t)) || !json.Valid([]byte(t)) {
		return nil
	}
	return numbers(json.Number(t))
}

func toText(_ *scope, a any) any {
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
