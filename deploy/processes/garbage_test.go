//go:build processes

package processes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
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
	garbageFlood     = 2000      // connections to each port that nobody waits for, and ten times as many packets
	garbageLinks     = 2000      // of strangers that speak as nodes do, until they send what makes no sense
	mostMemory       = 1 << 30   // bytes that a node may ever have held in memory in this test
	mostLines        = 500       // of the log of a node, of which some 30 are about its start and its end
	mostLogged       = 128 << 10 // bytes of it
	memoryPeakPrefix = "VmHWM:"
)

// TestMalformedTraffic sends bytes without sense to every port of a node, some of
// which begin as they should. It goes on serving as if nothing happened, and neither its memory nor its log
// grows by them.
func TestMalformedTraffic(t *testing.T) {
	c := startThree(t, anyStore(t))
	n := c.nodes[0]
	seed := drawSeed()
	t.Logf("PROCESSES_SEED=%d", seed)
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, "garbage-", c.nodes, func() {
		var senders sync.WaitGroup
		for i := range garbageSenders {
			senders.Go(func() { flood(n, garbageFlood/garbageSenders) })
			senders.Go(func() {
				for range garbageLinks / garbageSenders {
					if err := linkTo(n, uint64(1+i)); err != nil {
						t.Errorf("a stranger that speaks as nodes do: %v", err)
						return
					}
				}
			})
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
	said, err := os.ReadFile(n.log)
	lines := bytes.Count(said, []byte("\n"))
	t.Logf("%s wrote %d lines, %d bytes, to its log", n.name, lines, len(said))
	if lines > mostLines || len(said) > mostLogged || err != nil {
		t.Errorf("%s wrote %d lines, %d bytes, to its log, want at most %d and %d (%v): a stranger can fill the disk",
			n.name, lines, len(said), mostLines, mostLogged, err)
	}
	c.awaitReady()
	c.awaitSettled()
	verify(t, &ledger, c.nodes)
	peak, err := n.memoryPeak()
	t.Logf("%s held at most %d MiB in memory (%v)", n.name, peak>>20, err)
	if peak > mostMemory || err != nil {
		t.Errorf("%s held %d bytes in memory, want at most %d (%v): a stranger made it grow", n.name, peak, mostMemory,
			err)
	}
}

// beginnings are what each kind of traffic may begin with.
var beginnings = [...]string{
	"", "", "", "\x00", "\xff\xff\xff\xff", "\x7f\xff\xff\xff\xff\xff\xff\xff",
	"GET /kv HTTP/1.1\r\nHost: x\r\n", "PUT /kv/garbage HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
	"PUT /kv HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	"GET /kv/%zz HTTP/1.1\r\n\r\n",
	"*2\r\n$3\r\nGET\r\n$536870912\r\n", "*3\r\n$3\r\nSET\r\n$7\r\ngarbage\r\n$8388608\r\n", "*131072\r\n$1\r\n",
	"MULTI\r\nGET \"x\r\n",
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

// flood comes and goes so often at each port of a node as fast as it can, with something that is refused.
func flood(n *node, times int) {
	packets, err := net.Dial("udp", n.gossip)
	if err != nil {
		return
	}
	defer packets.Close()
	for range times {
		for range 10 {
			_, _ = packets.Write([]byte("garbage"))
		}
		for _, address := range []string{n.peer, n.gossip, n.http, n.resp} {
			if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				_, _ = conn.Write([]byte("POST garbage\r\n\r\n"))
				conn.Close()
			}
		}
	}
}

// linkTo greets a node as one does that has no cluster yet, and then sends a message that is whole and makes
// no sense. It returns when the node has closed the connection.
func linkTo(n *node, id uint64) error {
	conn, err := net.DialTimeout("tcp", n.peer, longPatience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(longPatience))
	sum := func(content []byte) uint32 { return crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)) }
	shake := func(content []byte) {
		b := binary.LittleEndian.AppendUint16([]byte("PXKV"), uint16(len(content)))
		_, _ = conn.Write(append(binary.LittleEndian.AppendUint32(b, sum(content)), content...))
	}
	// two versions, for a link, with anybody, of no cluster
	hello := append([]byte{1, 1, 0, 1, 0, 1}, make([]byte, 16)...)
	hello = binary.LittleEndian.AppendUint64(hello, id)
	hello = binary.LittleEndian.AppendUint64(hello, id) // its process
	shake(append(hello, "\x04pxkv"...))                 // the cluster's name
	head := make([]byte, 10)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	answer := make([]byte, binary.LittleEndian.Uint16(head[4:]))
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != hello[0] {
		return fmt.Errorf("the node answers its greeting with %q, %v", answer, err)
	}
	shake([]byte{2}) // it accepts the node
	content := []byte{255}
	_, _ = conn.Write(append(binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, sum(content)), content...))
	_, _ = io.Copy(io.Discard, conn)
	return nil
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
