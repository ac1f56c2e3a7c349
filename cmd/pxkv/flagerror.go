package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// valueWords say what the value of a flag must be, by its type.
var valueWords = map[string]string{
	"bool":     "true or false",
	"int":      "a whole number",
	"int64":    "a whole number",
	"uint64":   "a whole number, 0 or more",
	"duration": "a duration, as 90s, 10m or 1h30m",
}

// flagError says what is wrong about a flag.
func flagError(cmd *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = badValue("--"+bad.GetFlag().Name, err)
	}
	return usageError(cmd, "%w", err)
}

// badValue says why a value cannot be, without naming a function of Go. what is the flag or variable that has it.
func badValue(what string, err error) error {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	value := bad.GetValue()
	words, known := valueWords[bad.GetFlag().Value.Type()]
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is %.100q, which is out of range", what, value)
	case known:
		return fmt.Errorf("%s is %.100q; it must be %s", what, value, words)
	}
	return fmt.Errorf("%s: %w", what, bad.Unwrap()) // which names the value
}
