//go:build processes

package processes

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

const (
	garbageRounds    = 150 // connections to each port
	garbageSenders   = 4
	garbageIO        = 300 * time.Millisecond
	mostMemory       = 1 << 30 // bytes that a node may ever have held in memory in this test
	memoryPeakPrefix = "VmHWM:"
)

// TestMalformedTraffic sends bytes without sense to every port of a node, some of
// which begin as they should. It goes on serving as if nothing happened.
func TestMalformedTraffic(t *testing.T) {
	c := startThree(t)
	n := c.nodes[0]
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, "garbage-", c.nodes, func() {
		var senders sync.WaitGroup
		for i := range garbageSenders {
			senders.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				for range garbageRounds / garbageSenders {
					send(rng, "tcp", n.peer)
					send(rng, "tcp", n.gossip)
					send(rng, "udp", n.gossip)
					send(rng, "tcp", n.http)
					send(rng, "tcp", n.resp)
				}
			})
		}
		senders.Wait()
	})
	nothingWrong(t, "load during the garbage", sum)
	if !n.process.running() {
		t.Fatalf("%s ended: %v", n.name, n.process.cmd.ProcessState)
	}
	c.awaitReady()
	c.awaitSettled()
	verify(t, &ledger, c.nodes)
	peak, err := n.memoryPeak()
	t.Logf("%s held at most %d MiB in memory (%v)", n.name, peak>>20, err)
	if peak > mostMemory || err != nil {
		t.Errorf("%s held %d bytes in memory, want at most %d (%v): a stranger made it grow", n.name, peak, mostMemory, err)
	}
}

// beginnings are what each kind of traffic may begin with.
var beginnings = [...]string{
	"", "", "", "\x00", "\xff\xff\xff\xff", "\x7f\xff\xff\xff\xff\xff\xff\xff",
	"GET /kv HTTP/1.1\r\nHost: x\r\n", "PUT /kv/garbage HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
	"PUT /kv HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "GET /kv/%zz HTTP/1.1\r\n\r\n",
	"*2\r\n$3\r\nGET\r\n$536870912\r\n", "*3\r\n$3\r\nSET\r\n$7\r\ngarbage\r\n$8388608\r\n", "*131072\r\n$1\r\n", "MULTI\r\nGET \"x\r\n",
}

// send opens one connection, sends something, and closes it after a while or at once.
func send(rng *rand.Rand, network, address string) {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(garbageIO))
	size := rng.IntN(1200)
	if network == "tcp" && rng.IntN(5) == 0 {
		size = rng.IntN(256 << 10)
	}
	var b bytes.Buffer
	b.WriteString(beginnings[rng.IntN(len(beginnings))])
	for range size {
		b.WriteByte(byte(rng.Uint32()))
	}
	_, _ = conn.Write(b.Bytes())
	if rng.IntN(2) == 0 {
		_, _ = conn.Read(make([]byte, 4096))
	}
}

// memoryPeak returns the most memory that the node's process ever held, in bytes.
func (n *node) memoryPeak() (bytes int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, memoryPeakPrefix); ok {
			_, err := fmt.Sscanf(rest, "%d kB", &bytes)
			return bytes << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of the process", memoryPeakPrefix)
}
