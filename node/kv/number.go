package kv

import (
	"bytes"
	"math"
	"math/big"
)

// floatPrecision is that of the long double of x86, with which Redis adds: results are the same
// as there, and on every machine.
const floatPrecision = 64

// maxFloatBytes bounds the text of a number that is parsed.
const maxFloatBytes = 5 << 10

// The exponents of the long double of x86, base 2, for a mantissa from 0.5 to 1: smaller numbers
// would become 0, and Redis takes none that do.
const (
	minFloatExponent = -16445
	maxFloatExponent = 16384
)

// ParseInt reads an integer as Redis writes one: decimal digits, a minus sign before it if it is
// negative, no leading zeros, no spaces, no "-0".
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	digits, negative := b, len(b) > 0 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' {
		return 0, false
	}
	var v uint64 // 19 digits fit
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = 10*v + uint64(c-'0')
	}
	switch {
	case negative && v <= 1<<63:
		return -int64(v), true
	case !negative && v <= math.MaxInt64:
		return int64(v), true
	}
	return 0, false
}

// ParseFloat reads a decimal number: digits with an optional sign, point and exponent.
func ParseFloat(b []byte) (*big.Float, bool) {
	if len(b) == 0 || len(b) > maxFloatBytes {
		return nil, false
	}
	digits := 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' || c == 'e' || c == 'E':
		case (c == '+' || c == '-') && (i == 0 || b[i-1] == 'e' || b[i-1] == 'E'):
		default:
			return nil, false
		}
	}
	if digits == 0 || longExponent(b) {
		return nil, false
	}
	f, _, err := big.ParseFloat(string(b), 10, floatPrecision, big.ToNearestEven)
	if err != nil || !finite(f) || f.Sign() != 0 && f.MantExp(nil) < minFloatExponent {
		return nil, false
	}
	return f, true
}

// longExponent reports whether an exponent has so many digits that the number is no long double,
// and would take long to compute.
func longExponent(b []byte) bool {
	i := bytes.IndexAny(b, "eE")
	return i >= 0 && len(b)-i > 6
}

func finite(f *big.Float) bool {
	return !f.IsInf() && f.MantExp(nil) <= maxFloatExponent
}

// MaxFloatBytes is above the length of any sum of AddFloat: 4,933 digits, 17 behind the point.
const MaxFloatBytes = 5 << 10

// AddFloat adds two numbers of ParseFloat and writes the sum as Redis does: at most 17 decimals,
// no exponent, no zeros at the end. It is false when the sum is too large.
func AddFloat(x, y *big.Float) ([]byte, bool) {
	sum := new(big.Float).SetPrec(floatPrecision).SetMode(big.ToNearestEven).Add(x, y)
	if !finite(sum) {
		return nil, false
	}
	b := sum.Append(nil, 'f', 17)
	b = bytes.TrimRight(b, "0")
	b = bytes.TrimSuffix(b, []byte("."))
	if string(b) == "-0" {
		b = b[1:]
	}
	return b, true
}
