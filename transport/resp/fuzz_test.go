package resp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

var seeds = []string{
	"PING\r\n", "*1\r\n$4\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "SET a \"b\\x41\\n\" \r\n",
	"SET a 'it\\'s'\n", "*-1\r\n*0\r\n\r\n",
	"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-5\r\n", "*1\r\n$536870912\r\n", "*2147483648\r\n",
	"MULTI\r\nSET {t}a 1\r\nGET {t}a\r\nEXEC\r\n",
	"WATCH a\r\nMULTI\r\nINCR a\r\nDISCARD\r\n", "HELLO 3\r\nCOMMAND\r\n", "SCAN 0 MATCH a*[ COUNT 3\r\n",
	"CLIENT SETNAME x\r\nCLIENT INFO\r\n",
	"MSETNX {t}a 1 {t}b 2\r\n", "COMMAND GETKEYS MSET a 1\r\n", "CLUSTER SLOTS\r\nINFO all\r\nSLOWLOG GET -1\r\n",
	"QUIT\r\nPING\r\n",
	"GETRANGE a 9223372036854775807 -9223372036854775808\r\n", "SETRANGE a 99999999999 x\r\n", "KEYS [a-\r\n",
}

// However the input is cut into pieces, the same commands are read from it.
func FuzzInput(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		read := func(piece int) (commands []string, fault string) {
			in := newInput(make([]byte, len(b)), 1<<20, 1<<21)
			for rest := b; ; {
				for {
					args, ok, err := in.next()
					if err != nil {
						return commands, err.Error()
					}
					if !ok {
						break
					}
					commands = append(commands, fmt.Sprintf("%q", args))
				}
				in.drop()
				if len(rest) == 0 {
					return commands, ""
				}
				n := copy(in.buf[in.w:], rest[:min(piece, len(rest))])
				in.w, rest = in.w+n, rest[n:]
			}
		}
		whole, fault := read(max(len(b), 1))
		pieces, fault2 := read(int(piece) + 1)
		if fmt.Sprint(whole, fault) != fmt.Sprint(pieces, fault2) {
			t.Errorf("whole: %q %s\npieces: %q %s", whole, fault, pieces, fault2)
		}
	})
}

// Whatever strangers send, it is answered, the connection ends when they have no more to say, and nothing
// is held for them then. limits of 0 are the defaults; others are drawn tiny.
func FuzzConversation(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint64(0))
		f.Add([]byte(s), uint64(i+1))
	}
	f.Add(bytes.Repeat([]byte("SET a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nMGET a a a "+
		"b\r\nAPPEND a x\r\n"), 20), uint64(7))
	usual, shared := start(f, newFake(), func(o *Options) {
		o.MaxValueBytes, o.Budget, o.AllowFlush = 1<<16, kv.NewBudget(1<<22), true
	})
	f.Fuzz(func(t *testing.T, b []byte, limits uint64) {
		address, s := usual, shared
		if limits != 0 {
			address, s = start(t, newFake(), tinyOptions(rand.New(rand.NewPCG(limits, 4))))
		}
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			_, _ = nc.Write(b)
			_ = nc.(*net.TCPConn).CloseWrite()
		}()
		answer, err := io.ReadAll(nc)
		if err, timeout := err.(net.Error); timeout && err.Timeout() {
			t.Fatalf("no end after %.100q", answer)
		}
		for _, line := range bytes.SplitAfter(answer, []byte("\r\n"))[:1] {
			if len(line) > 0 && !bytes.ContainsAny(line[:1], "+-:$*_%~=") {
				t.Errorf("the answer begins with %.20q", line)
			}
		}
		wiretest.Eventually(t, "nobody is there, and nothing is held", func() bool {
			return s.listener.Open() == 0 && s.opt.Budget.Held() == 0
		})
	})
}

// FuzzMatch holds that matching ends soon, and that a pattern without special bytes matches itself.
func FuzzMatch(f *testing.F) {
	f.Add([]byte("a*b*c*d*e*f*g*h*"), []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	f.Add([]byte("[^a-z]\\"), []byte("A\\"))
	f.Fuzz(func(t *testing.T, pattern, text []byte) {
		got := kv.MatchGlob(pattern, text)
		if !bytes.ContainsAny(pattern, "*?[\\") && got != bytes.Equal(pattern, text) {
			t.Errorf("%q and %q: %v", pattern, text, got)
		}
		if got && !bytes.HasPrefix(text, kv.GlobPrefix(pattern)) {
			t.Errorf("%q matches %q, which does not begin with %q", text, pattern, kv.GlobPrefix(pattern))
		}
	})
}
