package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/replica"
)

// panicExit is how the process of the test ends.
const panicExit = 1

// TestABrokenInvariantEndsTheProcess runs this test binary as a node whose loop panics while it
// holds requests. They are answered, and the process ends at once.
func TestABrokenInvariantEndsTheProcess(t *testing.T) {
	if dir := os.Getenv("PXKV_TEST_PANIC"); dir != "" {
		serveUntilPanic(dir)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestABrokenInvariantEndsTheProcess$")
	cmd.Env = append(os.Environ(), "PXKV_TEST_PANIC="+t.TempDir())
	errors := new(strings.Builder)
	cmd.Stderr = errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var broken time.Time
	answers := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch {
		case lines.Text() == "broken":
			broken = time.Now()
		case strings.HasPrefix(lines.Text(), "answer 503"), strings.HasPrefix(lines.Text(), "answer 504"):
			answers++
		default:
			t.Log(lines.Text())
		}
	}
	took := time.Since(broken)
	err = cmd.Wait()
	if broken.IsZero() || cmd.ProcessState.ExitCode() != panicExit ||
		!strings.Contains(errors.String(), "broken invariant: planted") {
		t.Fatalf("the process ended with %v, and said: %.2000s", err, errors)
	}
	if answers != 2 {
		t.Errorf("%d of 2 requests were answered", answers)
	}
	if limit := 15 * time.Second; took > limit { // a second, and as much as a busy machine may add
		t.Errorf("it took %v to end, longer than %v", took, limit)
	}
}

// serveUntilPanic is the process of the test. It does not return.
func serveUntilPanic(dir string) {
	p, err := New(Options{
		Name: "n1", DataDir: dir, HTTP: "127.0.0.1:0", Peer: "127.0.0.1:0", Gossip: "127.0.0.1:0", Cluster: "panic",
		Partitions: 1, Replicas: 1, MaxValueBytes: 1 << 20, QuorumReads: true,
		Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Exit: func(why string) {
			fmt.Fprintln(os.Stderr, why)
			os.Exit(panicExit)
		},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	url := "http://" + p.doors.http.Addr().String() + "/kv/k"
	request := func(method string) int {
		req, _ := http.NewRequest(method, url, strings.NewReader("v"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for request(http.MethodPut)/100 != 2 {
	}
	hold, held := make(chan struct{}), make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		_ = p.loop.Do(context.Background(), func(*replica.Host) { close(held); <-hold })
	})
	<-held
	asking.Go(func() { _ = p.loop.Do(context.Background(), func(*replica.Host) { panic("planted") }) })
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		asking.Go(func() { fmt.Println("answer", request(method)) })
	}
	for p.loop.Queued() < 3 { // the order and both requests are with the loop
		time.Sleep(time.Millisecond)
	}
	fmt.Println("broken")
	close(hold)
	err = <-ended
	asking.Wait()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(panicExit)
}
