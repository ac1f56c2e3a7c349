package resp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// A command of very many words costs more than its bytes before it is complete.
func TestWordsOfAnUnfinishedCommandCount(t *testing.T) {
	t.Parallel()
	const words = 100_000
	address, s := start(t, newFake(), func(o *Options) { o.Budget = kv.NewBudget(12 << 20) })
	unfinished := fmt.Sprintf("*%d\r\n%s", maxArguments, strings.Repeat("$1\r\na\r\n", words))
	c := dial(t, address)
	c.raw(unfinished)
	wiretest.Eventually(t, "words and bytes count", func() bool {
		return s.opt.Budget.Held() >= int64(words*16+len(unfinished))
	})
	refused := 0
	for range 8 {
		more := dial(t, address)
		// Whoever is refused may be told before all is sent.
		_, _ = more.net.Write([]byte(unfinished))
		_ = more.net.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if got, err := readReply(more.in); err == nil && strings.Contains(got, errBuffers.text) {
			refused++
		}
		if held := s.opt.Budget.Held(); held > s.opt.Budget.Limit() {
			t.Errorf("%d bytes are held, the limit is %d", held, s.opt.Budget.Limit())
		}
	}
	if refused == 0 {
		t.Error("nobody was refused")
	}
	if got := dial(t, address).do("ECHO", "small"); got != `"small"` {
		t.Errorf("a small command beside them: %s", got)
	}
}

// The answer to KEYS is there once, not in three copies, and what is not read counts.
func TestUnreadAnswersCount(t *testing.T) {
	t.Parallel()
	f := newFake()
	const keys = 5000
	for i := range keys {
		f.items[fmt.Sprintf("%02000d", i)] = kv.Item{Value: value([]byte("v"))}
	}
	// The answer has 10 MB. While it grows there are two of it for a moment.
	address, s := start(t, f, func(o *Options) { o.Budget = kv.NewBudget(64 << 20) })
	readers := make([]*client, 8)
	for i := range readers {
		readers[i] = dial(t, address)
		readers[i].raw("KEYS *\r\n")
	}
	complete, refused := 0, 0
	for _, c := range readers {
		if held := s.opt.Budget.Held(); held > s.opt.Budget.Limit() {
			t.Errorf("%d bytes are held, the limit is %d", held, s.opt.Budget.Limit())
		}
		if strings.HasPrefix(c.reply(), "-ERR") {
			refused++
		} else {
			complete++
		}
		c.net.Close()
	}
	if complete == 0 || refused == 0 {
		t.Errorf("%d had their answer and %d were refused", complete, refused)
	}
	wiretest.Eventually(t, "nothing counts any more", func() bool { return s.opt.Budget.Held() == 0 })
	// With room for one and its growth, and for no second.
	address, _ = start(t, f, func(o *Options) { o.Budget = kv.NewBudget(48 << 20) })
	first := dial(t, address)
	first.raw("KEYS *\r\n")
	if _, err := first.in.Peek(1); err != nil { // now all of it is there, and waits for its client
		t.Fatal(err)
	}
	for range 4 {
		dial(t, address).raw("KEYS *\r\n")
	}
	if got := first.reply(); !strings.HasPrefix(got, "[") {
		t.Errorf("the first got %.60s", got)
	}
}
