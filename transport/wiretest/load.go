//go:build unix

package wiretest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"syscall"
	"testing"
)

// Load measures a server: 16 connections for each core send the request, which is answered with 200 and a
// Content-Length, one after the other. Beside time and allocations it reports cpu-ns/op, of client and server
// together: unlike time it does not depend on the neighbours of this machine.
func Load(b *testing.B, addr, request string) {
	b.SetParallelism(16)
	b.ReportAllocs()
	before := cpuTime()
	b.RunParallel(func(pb *testing.PB) { pump(b, pb.Next, addr, request) })
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the nanoseconds that this process has spent on processors.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// pump sends a request and reads its answer until next says no. It allocates nothing on the way, so that
// allocations are those of the server.
func pump(b *testing.B, next func() bool, addr, request string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	raw := []byte(request)
	for next() {
		if _, err := c.Write(raw); err != nil {
			b.Error(err)
			return
		}
		if err := skipAnswer(r); err != nil {
			b.Error(err)
			return
		}
	}
}

// skipAnswer reads an answer of HTTP and returns an error if it is not a 200.
func skipAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err == nil && !bytes.Contains(line, []byte(" 200 ")) {
		err = fmt.Errorf("the answer is %q", line)
	}
	length := 0
	for err == nil && len(line) > 2 {
		if line, err = r.ReadSlice('\n'); bytes.HasPrefix(line, []byte("Content-Length: ")) {
			for _, digit := range bytes.TrimSpace(line[16:]) {
				length = length*10 + int(digit-'0')
			}
		}
	}
	if err == nil {
		_, err = r.Discard(length)
	}
	return err
}
