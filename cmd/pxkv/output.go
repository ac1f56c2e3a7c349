package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// outputFlag is --output of the commands that print what they read.
type outputFlag struct{ format string }

func (o *outputFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "text or json")
}

// check reports a format that does not exist; call it before asking a node.
func (o *outputFlag) check(cmd *cobra.Command) error {
	if o.format != "text" && o.format != "json" {
		return usageError(cmd, "--output must be text or json, not %q", o.format)
	}
	return nil
}

func (o *outputFlag) json() bool { return o.format == "json" }

// writeJSON prints v as indented JSON, with <, > and & as they are.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// newTable returns a writer that aligns tab-separated columns when it is flushed.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// output is where a command prints what a node sends. It marks its errors, so that no node is blamed for them.
type output struct{ io.Writer }

// Write implements io.Writer.
func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// outputError is what went wrong with the output.
type outputError struct{ err error }

// Error implements error.
func (e *outputError) Error() string {
	return fmt.Sprintf("cannot print what the node sends: %v; what was printed is not all of it", e.err)
}

// Unwrap gives errors.Is the cause.
func (e *outputError) Unwrap() error { return e.err }

// brokenOff is the error of something, as "answer", that came from a node, or was printed, only in part.
func brokenOff(c *client, what string, err error) error {
	if e, ok := errors.AsType[*outputError](err); ok {
		return e
	}
	return fmt.Errorf("the %s from %s broke off: %w; what was printed is not all of it", what, c.base, err)
}

// isTerminal reports whether a person reads w, or at least a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// yesNo prints a bool for people.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// orDash prints a text that may be empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
