package resp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"pxkv/node/kv"
)

// Error texts of Redis 7.0 that several commands share.
const (
	errSyntax     = "ERR syntax error"
	errNotInteger = "ERR value is not an integer or out of range"
	errNotFloat   = "ERR value is not a valid float"
	errOverflow   = "ERR increment or decrement would overflow"
	errInfinite   = "ERR increment would produce NaN or Infinity"
	errNoSuchKey  = "ERR no such key"
	errTooLong    = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
)

// Error texts of this server.
const (
	errPartitions = "CROSSSLOT Keys in request are of different partitions: give them the same {hash tag}"
	errBuffers    = "ERR this node holds too many request bytes at the moment: retry"
	errLongReads  = "ERR values of the commands together are too long for one transaction: ask for fewer"
	errClients    = "ERR max number of clients reached"
)

// failed writes the reply for an operation that has no result, of which nobody knows whether
// it was a write.
func (c *conn) failed(e *kv.Error) {
	switch e.Kind {
	case kv.Invalid, kv.TooLarge:
		if e.Text == errPartitions {
			c.fail(e.Text)
			return
		}
		c.fail("ERR " + e.Text)
	case kv.Unavailable, kv.NotLeader:
		c.fail("CLUSTERDOWN " + e.Text)
	case kv.Full:
		c.fail("OOM " + e.Text)
	case kv.Internal:
		if c.cmd.flags&write == 0 {
			c.fail("ERR " + e.Text)
			return
		}
		fallthrough
	default:
		c.fail("UNKNOWN outcome unknown: the command may yet take effect")
	}
}

// asError returns err as a *kv.Error; any other one tells nothing about what became of a
// command.
func asError(err error) *kv.Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*kv.Error](err); ok {
		return e
	}
	return kv.Errorf(kv.Internal, "%v", err)
}

// unexpected is the reply to a result that the command cannot have. Nobody knows what was done.
func (c *conn) unexpected(o kv.Outcome) {
	c.failed(kv.Errorf(kv.Internal, "unexpected outcome %d", o))
}

func wrongArity(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

// unknownCommand is Redis's error for a name that is in no table.
func unknownCommand(args [][]byte) string {
	var said strings.Builder
	for _, a := range args[1:] {
		if said.Len() >= 128 {
			break
		}
		fmt.Fprintf(&said, "'%s' ", cString(a, 128-said.Len()))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", cString(args[0], 128), said.String())
}

// unknownSubcommand is Redis's error for the second word of a command that has several.
func unknownSubcommand(args [][]byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", cString(args[1], 128), strings.ToUpper(string(args[0])))
}

// cString is what C's printf shows of bytes: at most limit, up to the first zero.
func cString(b []byte, limit int) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b[:min(len(b), limit)]
}
