package resp

import (
	"bytes"
	"fmt"
	"strings"

	"pxkv/node/kv"
)

// failure is an error as a client sees it: a code, by which programs tell errors apart, and a text for
// people. As a *failure, nil is none.
type failure struct {
	code code
	text string
}

// Error implements error.
func (f *failure) Error() string { return f.code.word() + " " + f.text }

// code is the first word of an error, and tells what became of the command.
type code uint8

const (
	codeError code = iota
	codeClusterDown
	codeCrossSlot
	codeExecAbort
	codeNoProto
	codeNoScript
	codeOOM
	codeUnknown
	codeWrongPass
)

// codes are how each stands on the wire, and in metrics.
var codes = [...]struct {
	word string
	end  outcome
}{
	codeError:       {"ERR", outcomeError},
	codeClusterDown: {"CLUSTERDOWN", outcomeUnavailable},
	codeCrossSlot:   {"CROSSSLOT", outcomeError},
	codeExecAbort:   {"EXECABORT", outcomeError},
	codeNoProto:     {"NOPROTO", outcomeError},
	codeNoScript:    {"NOSCRIPT", outcomeError},
	codeOOM:         {"OOM", outcomeFull},
	codeUnknown:     {"UNKNOWN", outcomeUnknown},
	codeWrongPass:   {"WRONGPASS", outcomeError},
}

// append appends the failure as a reply.
func (f *failure) append(b []byte) []byte {
	from := len(b)
	b = append(append(append(append(b, '-'), f.code.word()...), ' '), f.text...)
	for i, c := range b[from:] {
		if c == '\r' || c == '\n' { // whatever the text is made of, a reply ends with its line
			b[from+i] = ' '
		}
	}
	return append(b, "\r\n"...)
}

func (c code) word() string { return codes[c].word }

// Errors of Redis 7.0 that several commands share.
var (
	errSyntax     = &failure{codeError, "syntax error"}
	errNotInteger = &failure{codeError, "value is not an integer or out of range"}
	errNotFloat   = &failure{codeError, "value is not a valid float"}
	errOverflow   = &failure{codeError, "increment or decrement would overflow"}
	errInfinite   = &failure{codeError, "increment would produce NaN or Infinity"}
	errNoSuchKey  = &failure{codeError, "no such key"}
	errTooLong    = &failure{codeError, "string exceeds maximum allowed size (proto-max-bulk-len)"}
)

// Errors of this server.
var (
	errPartitions = &failure{codeCrossSlot,
		"Keys in request are of different partitions: give them the same {hash tag}"}
	errBuffers = &failure{codeError, "this node holds too many bytes for its clients at the moment: retry"}
	errLeaving = &failure{codeClusterDown, "this node is shutting down: ask another one"}
	errClients = &failure{codeError, "max number of clients reached"}
	errOutcome = &failure{codeUnknown, "outcome unknown: the command may yet take effect"}
)

// failureOf is what a client is told of an operation that has no result. Nobody knows whether it was a
// write, but by its command.
func failureOf(e *kv.Error, cmd *command) *failure {
	switch e.Kind {
	case kv.Invalid, kv.TooLarge:
		return &failure{codeError, e.Text}
	case kv.Unavailable, kv.NotLeader, kv.Overloaded:
		return &failure{codeClusterDown, e.Text}
	case kv.Full:
		return &failure{codeOOM, e.Text}
	case kv.Internal:
		if cmd.flags&write == 0 {
			return &failure{codeError, e.Text}
		}
	}
	return errOutcome
}

func wrongArity(name string) *failure {
	return &failure{codeError, "wrong number of arguments for '" + name + "' command"}
}

// unknownCommand is Redis's error for a name that is in no table.
func unknownCommand(args [][]byte) *failure {
	var said strings.Builder
	for _, a := range args[1:] {
		if said.Len() >= 128 {
			break
		}
		fmt.Fprintf(&said, "'%s' ", cString(a, 128-said.Len()))
	}
	return &failure{codeError, fmt.Sprintf("unknown command '%s', with args beginning with: %s",
		cString(args[0], 128), said.String())}
}

// unknownSubcommand is Redis's error for the second word of a command that has several.
func unknownSubcommand(args [][]byte) *failure {
	return &failure{codeError, fmt.Sprintf("unknown subcommand '%s'. Try %s HELP.",
		cString(args[1], 128), strings.ToUpper(string(args[0])))}
}

// cString is what C's printf shows of bytes: at most limit, up to the first zero.
func cString(b []byte, limit int) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b[:min(len(b), limit)]
}
