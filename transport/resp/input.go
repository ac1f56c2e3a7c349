package resp

import (
	"bytes"

	"pxkv/node/kv"
)

const (
	// maxHeaderLine bounds the lines "*N" and "$N" and an inline command, in bytes, as in Redis.
	maxHeaderLine = 64 << 10
	// maxArguments bounds the arguments of one command.
	maxArguments = 128 << 10
)

// protocolError is a failure that ends the connection.
func protocolError(text string) *failure { return &failure{codeError, "Protocol error: " + text} }

// input is what a connection has sent and was not answered yet. Commands are read where
// they lie: arguments alias buf, which must not be filled again before they were used.
//
// What was understood of an unfinished command is kept, so that a command that comes in
// many pieces is not read from its beginning with each.
type input struct {
	buf  []byte
	r, w int // buf[r:w] was received and not consumed

	maxBulk    int // longest argument in bytes
	maxCommand int // longest command in bytes

	// The command under way begins at buf[r]; offsets are relative to it.
	at    int // parsed up to here
	left  int // arguments still to come; -1 before the header
	bulk  int // length of the argument under way; -1 before its header
	begun [][2]int
	words [][]byte // arguments of the commands since reset
}

func newInput(buf []byte, maxBulk, maxCommand int) input {
	return input{buf: buf, maxBulk: maxBulk, maxCommand: maxCommand, left: -1, bulk: -1}
}

// next returns the next complete command, whose arguments live until reset; ok is false when
// more input is needed. Empty commands are skipped, as in Redis.
func (in *input) next() (args [][]byte, ok bool, err *failure) {
	for in.r < in.w {
		b := in.buf[in.r:in.w]
		if in.left < 0 {
			if b[0] != '*' {
				args, ok, err := in.inline(b)
				if err != nil || !ok || len(args) > 0 {
					return args, ok, err
				}
				continue
			}
			n, size, err := number(b, "too big mbulk count string", "invalid multibulk length")
			if size == 0 || err != nil {
				return nil, false, err
			}
			if n > maxArguments {
				return nil, false, protocolError("invalid multibulk length")
			}
			if n <= 0 {
				in.r += size
				continue
			}
			in.at, in.left, in.begun = size, int(n), in.begun[:0]
		}
		switch done, err := in.arguments(b); {
		case err != nil:
			return nil, false, err
		case done:
			return in.take(b), true, nil
		}
		return nil, false, nil
	}
	return nil, false, nil
}

// arguments reads what is there of the arguments of the command at b's beginning.
func (in *input) arguments(b []byte) (done bool, err *failure) {
	for in.left > 0 {
		if in.bulk < 0 {
			if in.at == len(b) {
				return false, nil
			}
			if b[in.at] != '$' {
				// Redis waits for the end of the line before it complains.
				if bytes.IndexByte(b[in.at:], '\r') >= 0 {
					return false, protocolError("expected '$', got '" + string(b[in.at:in.at+1]) + "'")
				}
				if len(b)-in.at > maxHeaderLine {
					return false, protocolError("too big bulk count string")
				}
				return false, nil
			}
			n, size, err := number(b[in.at:], "too big bulk count string", "invalid bulk length")
			if size == 0 || err != nil {
				return false, err
			}
			if n < 0 || n > int64(in.maxBulk) {
				return false, protocolError("invalid bulk length")
			}
			if in.at+size+int(n) > in.maxCommand {
				return false, protocolError("command is too long")
			}
			in.at, in.bulk = in.at+size, int(n)
		}
		if len(b)-in.at < in.bulk+2 {
			return false, nil
		}
		in.begun = append(in.begun, [2]int{in.at, in.at + in.bulk})
		in.at += in.bulk + 2 // Redis does not look at the line break either
		in.bulk = -1
		in.left--
	}
	return true, nil
}

// take consumes the complete command at b's beginning.
func (in *input) take(b []byte) [][]byte {
	first := len(in.words)
	for _, a := range in.begun {
		in.words = append(in.words, b[a[0]:a[1]:a[1]])
	}
	in.r += in.at
	in.left = -1
	if cap(in.begun) > keepWords {
		in.begun = nil
	}
	return in.words[first:len(in.words):len(in.words)]
}

// number reads a line like "*3" or "$10" and returns its length; 0 when it has not ended yet.
func number(b []byte, tooLong, invalid string) (n int64, size int, err *failure) {
	end := bytes.IndexByte(b[:min(len(b), maxHeaderLine+1)], '\r')
	if end < 0 {
		if len(b) > maxHeaderLine {
			return 0, 0, protocolError(tooLong)
		}
		return 0, 0, nil
	}
	if end+2 > len(b) {
		return 0, 0, nil
	}
	n, ok := kv.ParseInt(b[1:end])
	if !ok {
		return 0, 0, protocolError(invalid)
	}
	return n, end + 2, nil
}

// inline reads a command that was typed as a line.
func (in *input) inline(b []byte) (args [][]byte, ok bool, err *failure) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(b) > maxHeaderLine {
			return nil, false, protocolError("too big inline request")
		}
		return nil, false, nil
	}
	line := b[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	if args, ok = splitLine(line); !ok {
		return nil, false, protocolError("unbalanced quotes in request")
	}
	in.r += end + 1
	return args, true, nil
}

// drop forgets the bytes that were consumed, and the arguments that were read from them.
func (in *input) drop() {
	clear(in.words)
	in.words = in.words[:0]
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// want is how many bytes the command under way is known to need in all; 0 when it is not.
func (in *input) want() int {
	if in.left <= 0 || in.bulk < 0 {
		return 0
	}
	return in.at + in.bulk + 2
}
