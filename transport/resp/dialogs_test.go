package resp

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// Each dialog is commands and the replies that they must get, in one connection.
func TestDialogs(t *testing.T) {
	t.Parallel()
	for name, dialog := range map[string]string{
		"get and set": `
			GET a -> nil
			SET a 1 -> +OK
			GET a -> "1"
			INCRBY a 41 -> :42
			DEL a b a -> :1
			GET -> -ERR wrong number of arguments for 'get' command
			SET a 1 EX -> -ERR syntax error
			SET a 1 NX XX -> -ERR syntax error
			SET a 1 EX 0 -> -ERR invalid expire time in 'set' command`,
		"unknown commands": `
			NONSENSE x y -> -ERR unknown command 'NONSENSE', with args beginning with: 'x' 'y' 
			CLIENT NONSENSE -> -ERR unknown subcommand 'NONSENSE'. Try CLIENT HELP.
			EVAL script 0 -> -ERR this server has no Lua: it knows the scripts of common lock recipes, and this is none of them. docs/api.md lists them
			SUBSCRIBE c -> -ERR unknown command 'SUBSCRIBE', with args beginning with: 'c' `,
		"transactions": `
			MULTI -> +OK
			SET {t}a 1 -> +QUEUED
			INCR {t}a -> +QUEUED
			PING -> +QUEUED
			GET {t}a -> +QUEUED
			EXEC -> [+OK :2 +PONG "2"]
			EXEC -> -ERR EXEC without MULTI
			MULTI -> +OK
			MULTI -> -ERR MULTI calls can not be nested
			NONSENSE -> -ERR unknown command 'NONSENSE', with args beginning with: 
			EXEC -> -EXECABORT Transaction discarded because of previous errors.
			MULTI -> +OK
			SET a 1 -> +QUEUED
			DISCARD -> +OK
			GET a -> nil
			MULTI -> +OK
			EXEC -> []`,
		"watch": `
			SET {t}a 1 -> +OK
			WATCH {t}a {t}b -> +OK
			SET {t}b x -> +OK
			MULTI -> +OK
			SET {t}a 2 -> +QUEUED
			EXEC -> nil array
			GET {t}a -> "1"
			WATCH {t}a -> +OK
			MULTI -> +OK
			SET {t}a 3 -> +QUEUED
			EXEC -> [+OK]
			GET {t}a -> "3"`,
		"transactions over partitions": `
			MULTI -> +OK
			SET foo 1 -> +QUEUED
			SET bar 1 -> +QUEUED
			EXEC -> -CROSSSLOT Keys in request are of different partitions: give them the same {hash tag}
			GET foo -> nil
			WATCH foo bar -> -CROSSSLOT Keys in request are of different partitions: give them the same {hash tag}
			MSETNX foo 1 bar 2 -> -CROSSSLOT Keys in request are of different partitions: give them the same {hash tag}
			MULTI -> +OK
			KEYS * -> -ERR Command not allowed inside a transaction
			EXEC -> -EXECABORT Transaction discarded because of previous errors.`,
		"RESP3": `
			GET a -> nil
			HELLO 3 SETNAME me -> {"server" "redis" "version" "7.0.15" "proto" :3 "id" :1 "mode" "cluster" "role" "master" "modules" []}
			GET a -> _
			CONFIG GET sav* -> {"save" ""}
			CLIENT GETNAME -> "me"
			HELLO 4 -> -NOPROTO unsupported protocol version
			HELLO 2 -> ["server" "redis" "version" "7.0.15" "proto" :2 "id" :1 "mode" "cluster" "role" "master" "modules" []]
			GET a -> nil`,
		"scan": `
			MSET a 1 b 2 c 3 -> +OK
			SCAN 0 COUNT 1000 -> ["0" ["b" "c" "a"]]
			SCAN 0 COUNT 1000 MATCH [ab] -> ["0" ["b" "a"]]
			SCAN 0 COUNT 1000 TYPE hash -> ["0" []]
			SCAN x -> -ERR invalid cursor
			SCAN 0 COUNT 0 -> -ERR syntax error
			KEYS * -> ["a" "b" "c"]
			DBSIZE -> :3
			FLUSHALL -> -ERR flushall is off: start every node that may take it with --allow-flush`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := start(t, newFake(), nil)
			c := dial(t, address)
			for line := range strings.Lines(strings.TrimLeft(dialog, "\n")) {
				said, want, _ := strings.Cut(strings.TrimLeft(strings.TrimSuffix(line, "\n"), "\t"), " -> ")
				if got := c.do(strings.Fields(said)...); got != want {
					t.Errorf("%s\n got %s\nwant %s", said, got, want)
				}
			}
		})
	}
}

func TestAPipelineIsCarriedOutTogetherAndAnsweredInOrder(t *testing.T) {
	t.Parallel()
	f := newFake()
	address, _ := start(t, f, nil)
	c := dial(t, address)
	var all strings.Builder
	for range 5 {
		all.WriteString("INCR n\r\nPING\r\nGET n\r\nNOPE\r\n")
	}
	c.raw(all.String())
	for i := range 5 {
		n := string(rune('1' + i))
		for _, want := range []string{
			":" + n, "+PONG", `"` + n + `"`, "-ERR unknown command 'NOPE', with args beginning with: ",
		} {
			if got := c.reply(); got != want {
				t.Fatalf("round %d: got %s, want %s", i, got, want)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.batches) == 0 || len(f.batches) > 2 {
		t.Errorf("batches %v: the pipeline was not carried out together", f.batches)
	}
}

func TestErrorsTellWhatBecameOfAWrite(t *testing.T) {
	t.Parallel()
	f := newFake()
	address, _ := start(t, f, nil)
	c := dial(t, address)
	for _, e := range []struct {
		err         *kv.Error
		read, write string
	}{
		{kv.ErrUnknown(), "-UNKNOWN outcome unknown: the command may yet take effect",
			"-UNKNOWN outcome unknown: the command may yet take effect"},
		{kv.Errorf(kv.Unavailable, "no leader"), "-CLUSTERDOWN no leader", "-CLUSTERDOWN no leader"},
		{kv.Errorf(kv.Full, "disk is full"), "-OOM disk is full", "-OOM disk is full"},
		{kv.Errorf(kv.Invalid, "no"), "-ERR no", "-ERR no"},
		{kv.Errorf(kv.Internal, "broken"), "-ERR broken", "-UNKNOWN outcome unknown: the command may yet take effect"},
	} {
		f.mu.Lock()
		f.failing = e.err
		f.mu.Unlock()
		if got := c.do("GET", "a"); got != e.read {
			t.Errorf("%v: GET: %s, want %s", e.err.Kind, got, e.read)
		}
		if got := c.do("SET", "a", "1"); got != e.write {
			t.Errorf("%v: SET: %s, want %s", e.err.Kind, got, e.write)
		}
		if got := c.do("MSET", "a", "1", "b", "2"); got != e.write {
			t.Errorf("%v: MSET: %s, want %s", e.err.Kind, got, e.write)
		}
		c.do("MULTI")
		c.do("SET", "a", "1")
		if got := c.do("EXEC"); got != e.write {
			t.Errorf("%v: EXEC: %s, want %s", e.err.Kind, got, e.write)
		}
	}
}

func TestLimitsAndBrokenProtocol(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), func(o *Options) {
		o.MaxValueBytes, o.Budget, o.ReadStall = 1<<20, kv.NewBudget(8<<20), 200*time.Millisecond
	})
	for said, want := range map[string]string{
		"*1\r\n$536870912\r\n":                  "-ERR Protocol error: invalid bulk length",
		"*1\r\n$-1\r\n":                         "-ERR Protocol error: invalid bulk length",
		"*1\r\n$01\r\n":                         "-ERR Protocol error: invalid bulk length",
		"*1\r\n+PING\r\n":                       "-ERR Protocol error: expected '$', got '+'",
		"*2147483648\r\n":                       "-ERR Protocol error: invalid multibulk length",
		"*x\r\n":                                "-ERR Protocol error: invalid multibulk length",
		"SET a \"b\r\n":                         "-ERR Protocol error: unbalanced quotes in request",
		strings.Repeat("x", 70<<10):             "-ERR Protocol error: too big inline request",
		"*" + strings.Repeat("1", 70<<10):       "-ERR Protocol error: too big mbulk count string",
		"*1\r\n$" + strings.Repeat("1", 70<<10): "-ERR Protocol error: too big bulk count string",
	} {
		c := dial(t, address)
		c.raw("PING\r\n" + said)
		if got := c.reply(); got != "+PONG" {
			t.Errorf("%.20q: got %s before it", said, got)
		}
		if got := c.reply(); got != want {
			t.Errorf("%.20q: got %s, want %s", said, got, want)
		}
		if !c.closed() {
			t.Errorf("%.20q: the connection stays open", said)
		}
	}
	// A command that does not go on ends the connection; empty ones are nothing.
	c := dial(t, address)
	c.raw("\r\n*0\r\n*-1\r\n  \r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\n")
	if got := c.reply(); got != "+PONG" {
		t.Errorf("got %s", got)
	}
	if !c.closed() {
		t.Error("a stalled command keeps its connection")
	}
	wiretest.Eventually(t, "the budget is whole again", func() bool { return s.opt.Budget.Held() == 0 })
}

// Commands that need nothing of the node wait behind one that does, and many of them fit into one
// read.
func TestSmallCommandsBehindAnOperation(t *testing.T) {
	t.Parallel()
	address, _ := start(t, newFake(), nil)
	c := dial(t, address)
	c.do("SET", "a", strings.Repeat("v", 200<<10)) // makes the input buffer large
	const pings = 50_000
	go func() {
		_, _ = io.WriteString(c.net, "GET b\r\n"+strings.Repeat("ECHO x\r\n", pings)+"GET b\r\nDBSIZE\r\n")
	}()
	for i := range pings + 3 {
		want := `"x"`
		switch i {
		case 0, pings + 1:
			want = "nil"
		case pings + 2:
			want = ":1"
		}
		if got := c.reply(); got != want {
			t.Fatalf("reply %d: %s, want %s", i, got, want)
		}
	}
}

// What a client made the server keep goes with it.
func TestAClientThatLeavesTakesItsShareOfTheBudget(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), func(o *Options) { o.Budget, o.MaxValueBytes = kv.NewBudget(4<<20), 1<<20 })
	c := dial(t, address)
	c.do("WATCH", "{t}a", "{t}b")
	c.do("MULTI")
	c.do("SET", "{t}a", strings.Repeat("v", 100<<10))
	wiretest.Eventually(t, "it counts", func() bool { return s.opt.Budget.Held() > 100<<10 })
	c.net.Close()
	wiretest.Eventually(t, "the budget is whole again", func() bool { return s.opt.Budget.Held() == 0 })
}

func TestValuesBeyondTheBudgetAreRefused(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), func(o *Options) { o.Budget, o.MaxValueBytes = kv.NewBudget(5<<20), 1<<20 })
	c := dial(t, address)
	c.do("SET", "a", strings.Repeat("v", 1<<20))
	if got := c.do("MGET", "a", "a", "a"); len(got) != 3*(1<<20)+3*2+2+2 {
		t.Errorf("3 MiB of answers: %.100s", got)
	}
	if got := c.do("MGET", "a", "a", "a", "a", "a"); !strings.HasPrefix(got,
		"-CLUSTERDOWN This node holds too many bytes") {
		t.Errorf("5 MiB of answers: %.100s", got)
	}
	wiretest.Eventually(t, "the budget is whole again", func() bool {
		return s.opt.Budget.Held() <= int64(s.opt.Limits.LargeInput)
	})
}

func TestTooManyClientsAreToldSo(t *testing.T) {
	t.Parallel()
	address, _ := start(t, newFake(), func(o *Options) { o.MaxConns = 1 })
	first := dial(t, address)
	first.do("PING")
	second := dial(t, address)
	if got := second.reply(); got != "-ERR max number of clients reached" || !second.closed() {
		t.Errorf("got %s", got)
	}
	if got := first.do("PING"); got != "+PONG" {
		t.Errorf("got %s", got)
	}
}

// A client may send all of a long pipeline before it reads the first answer.
func TestALongPipelineDoesNotLock(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), nil)
	c := dial(t, address)
	c.do("SET", "a", strings.Repeat("v", 4096))
	const commands = 5000 // 20 MB of answers: more than the kernel keeps
	c.raw(strings.Repeat("GET a\r\n", commands))
	for i := range commands {
		if got := c.reply(); len(got) != 4098 {
			t.Fatalf("reply %d has %d bytes", i, len(got))
		}
	}
	if used := s.opt.Budget.Held(); used > int64(s.opt.Limits.LargeInput)+1<<10 {
		t.Errorf("%d bytes of the budget are still taken", used)
	}
}

func TestAClientThatReadsNothingIsDropped(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), func(o *Options) { o.MaxOutputBytes = 1 << 20 })
	c := dial(t, address)
	c.do("SET", "a", strings.Repeat("v", 64<<10))
	for range 2000 {
		if _, err := c.net.Write([]byte("GET a\r\n")); err != nil {
			break
		}
	}
	wiretest.Eventually(t, "it is gone", func() bool { return s.listener.Open() == 0 })
}

func TestStopWaitsForCommandsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.blocked = make(chan struct{})
	s, err := New(Options{Listen: "127.0.0.1:0", Service: f})
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	busy, idle := dial(t, s.Addr().String()), dial(t, s.Addr().String())
	idle.do("PING")
	busy.send("SET", "a", "1")
	wiretest.Eventually(t, "both are served", func() bool { return s.listener.Open() == 2 && f.waiting.Load() == 1 })
	stop()
	if !idle.closed() {
		t.Error("an idle connection stays open")
	}
	close(f.blocked)
	if got := busy.reply(); got != "+OK" {
		t.Errorf("got %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
