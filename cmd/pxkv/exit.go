package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The exit codes of every command; scripts rely on them.
const (
	exitFine     = 0
	exitFailed   = 1 // certainly not done
	exitUsage    = 2 // the command line is wrong; nothing was tried
	exitNotFound = 3 // there is no such key
	exitUnknown  = 4 // a write may or may not have been applied
)

// exitError is an error with an exit code of its own. Any other error is exitFailed.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap gives errors.Is and errors.AsType the cause.
func (e *exitError) Unwrap() error { return e.err }

// failure makes an error that ends the process with code.
func failure(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

// usageError makes an error about cmd's command line, and says where to read on.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf("%w\nsee: %s --help", fmt.Errorf(format, args...), cmd.CommandPath())}
}

// exitCode returns the exit code of a process that ends with err.
func exitCode(err error) int {
	if err == nil {
		return exitFine
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailed
}

// takesOneName accepts the name of a node, or none.
func takesOneName(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return usageError(cmd, "unexpected argument %q", args[1])
	case len(args) == 1 && args[0] == "": // as of a script's variable that is not set
		return usageError(cmd, "NAME is empty")
	}
	return nil
}

// takes accepts exactly the named arguments.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usageError(cmd, "missing %s", names[len(args)])
		}
		if len(args) > len(names) {
			return usageError(cmd, "unexpected argument %q", args[len(names)])
		}
		return nil
	}
}
