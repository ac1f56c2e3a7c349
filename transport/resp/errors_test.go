package resp

import (
	"testing"

	"pxkv/node/kv"
)

// What a command's end is counted as rests on the kind of its error, whatever the text says.
func TestTheKindOfAnErrorDecidesItsCodeAndOutcome(t *testing.T) {
	t.Parallel()
	reading, writing := &command{}, &command{flags: write}
	for _, tc := range []struct {
		kind kv.ErrorKind
		cmd  *command
		want string
		end  outcome
	}{
		{kv.Invalid, writing, "-ERR OOM UNKNOWN x\r\n", outcomeError},
		{kv.TooLarge, writing, "-ERR OOM UNKNOWN x\r\n", outcomeError},
		{kv.Unavailable, writing, "-CLUSTERDOWN OOM UNKNOWN x\r\n", outcomeUnavailable},
		{kv.NotLeader, reading, "-CLUSTERDOWN OOM UNKNOWN x\r\n", outcomeUnavailable},
		{kv.Overloaded, writing, "-CLUSTERDOWN OOM UNKNOWN x\r\n", outcomeUnavailable},
		{kv.Full, writing, "-OOM OOM UNKNOWN x\r\n", outcomeFull},
		{kv.Internal, reading, "-ERR OOM UNKNOWN x\r\n", outcomeError},
		{kv.Internal, writing, "-UNKNOWN outcome unknown: the command may yet take effect\r\n", outcomeUnknown},
		{kv.Unknown, reading, "-UNKNOWN outcome unknown: the command may yet take effect\r\n", outcomeUnknown},
	} {
		var r replies
		r.fail(failureOf(&kv.Error{Kind: tc.kind, Text: "OOM UNKNOWN x"}, tc.cmd))
		if got := string(r.out); got != tc.want || r.end != tc.end {
			t.Errorf("%v of a command with flags %b: %q, outcome %d; want %q, %d",
				tc.kind, tc.cmd.flags, got, r.end, tc.want, tc.end)
		}
	}
}

// A text that holds what a client sent cannot end its reply early.
func TestAnErrorIsOneLine(t *testing.T) {
	t.Parallel()
	if got := string((&failure{codeError, "a\r\n+OK\nb"}).append(nil)); got != "-ERR a  +OK b\r\n" {
		t.Errorf("%q", got)
	}
}
