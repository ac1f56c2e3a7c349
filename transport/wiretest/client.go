package wiretest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Patience is how long a connection of Dial, or Eventually, waits at most.
const Patience = 20 * time.Second

// Dial connects, until the test ends.
func Dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return c
}

// Ask writes the bytes of an HTTP request and reads one answer.
func Ask(t testing.TB, c net.Conn, raw string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return Answer(t, bufio.NewReader(c))
}

// Answer reads an HTTP answer, and its body.
func Answer(t testing.TB, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	return answerTo(t, r, nil)
}

func answerTo(t testing.TB, r *bufio.Reader, request *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, request)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("broken answer: %v", err)
	}
	return res, string(body)
}

// Transcript sends HTTP requests over one connection, one after the other, and returns what a client can see
// of each answer but for its date.
func Transcript(t testing.TB, c net.Conn, requests []string) (answers []string) {
	t.Helper()
	r := bufio.NewReader(c)
	for _, raw := range requests {
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatalf("%.60q: %v", raw, err)
		}
		method, _, _ := strings.Cut(raw, " ")
		res, body := answerTo(t, r, &http.Request{Method: method})
		if res.Header.Get("Date") == "" {
			t.Errorf("%.60q: no date", raw)
		}
		delete(res.Header, "Date")
		answers = append(answers, fmt.Sprintf("%.60q: %d %d %v %v %v %q",
			raw, res.StatusCode, res.ContentLength, res.TransferEncoding, res.Close, res.Header, body))
	}
	return answers
}

// Eventually polls until ok.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	pause := 20 * time.Microsecond
	for end := time.Now().Add(Patience); !ok(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatal("still not: " + what)
		}
		pause = min(2*pause, 2*time.Millisecond)
	}
}
