package match

import (
	"fmt"
	"regexp/syntax"
)

// How many steps a pattern may have when its repetitions are written out: each byte of a text may cost as many. Keys
// are short, values are not.
const (
	maxKeySteps   = 10_000
	maxMatchSteps = 1_024
)

func widePattern(most int) string {
	return fmt.Sprintf("the pattern has more than %d steps when its repetitions are written out", most)
}

// tooWide reports whether a pattern has more steps. One that does not parse has none.
func tooWide(text string, most int) bool {
	re, err := syntax.Parse(text, syntax.Perl)
	return err == nil && width(re) > most
}

// width counts the steps of a pattern.
func width(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += width(sub)
	}
	if re.Op == syntax.OpRepeat {
		return (n - 1) * max(re.Min, re.Max, 1)
	}
	return n
}
