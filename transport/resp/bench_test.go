package resp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// still is a Service that answers at once, from memory of its own, and allocates nothing but the
// slice of a batch's answers.
type still struct {
	*fake
	item kv.Item
}

func (s *still) Read(context.Context, []byte, kv.ReadOptions) (kv.ReadResult, error) {
	return kv.ReadResult{Found: true, Item: s.item}, nil
}

func (s *still) Write(context.Context, *kv.Command) (kv.Result, error) {
	return kv.Result{Outcome: kv.Done}, nil
}

func (s *still) Batch(_ context.Context, commands []kv.Command) []kv.Answer {
	answers := make([]kv.Answer, len(commands))
	for i := range commands {
		if answers[i].Result.Outcome = kv.Done; commands[i].Op == kv.OpRead {
			answers[i].Result.Item = &s.item
		}
	}
	return answers
}

// exchange sends one request again and again and reads as many answers, allocating nothing.
func exchange(t testing.TB, request, answer string) func() {
	t.Helper()
	service := &still{fake: newFake(), item: kv.Item{Value: value(bytes.Repeat([]byte("v"), 256)), Version: 1}}
	s, err := New(Options{Listen: "127.0.0.1:0", Service: service})
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	out, in := []byte(request), make([]byte, len(answer))
	return func() {
		if _, err := nc.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, in); err != nil || string(in) != answer {
			t.Fatalf("%v: %.60q", err, in)
		}
	}
}

var (
	getRequest = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n"
	setRequest = "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$256\r\n" + strings.Repeat("v", 256) + "\r\n"
	getAnswer  = "$256\r\n" + strings.Repeat("v", 256) + "\r\n"
	setAnswer  = "+OK\r\n"
)

func TestPlainCommandsAllocateNextToNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, c := range map[string]struct {
		request, answer string
		most            float64
	}{
		"GET":     {getRequest, getAnswer, 1},
		"SET":     {setRequest, setAnswer, 2},
		"16 GETs": {strings.Repeat(getRequest, 16), strings.Repeat(getAnswer, 16), 2},
		"16 SETs": {strings.Repeat(setRequest, 16), strings.Repeat(setAnswer, 16), 2},
	} {
		do := exchange(t, c.request, c.answer)
		for range 100 {
			do()
		}
		if got := testing.AllocsPerRun(500, do); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, c.most)
		}
	}
}

func BenchmarkCommands(b *testing.B) {
	for _, c := range []struct{ name, request, answer string }{
		{"GET", getRequest, getAnswer},
		{"SET", setRequest, setAnswer},
		{"16GETs", strings.Repeat(getRequest, 16), strings.Repeat(getAnswer, 16)},
		{"16SETs", strings.Repeat(setRequest, 16), strings.Repeat(setAnswer, 16)},
	} {
		b.Run(c.name, func(b *testing.B) {
			do := exchange(b, c.request, c.answer)
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}
