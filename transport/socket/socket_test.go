package socket

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// The system takes little of an answer that its client does not read.
func TestLittleWaitsInTheSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a limit for it")
	}
	t.Parallel()
	l, err := (&Options{Address: "127.0.0.1:0", MaxUnsent: UnsentOfClients}).bind()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := server.Write(make([]byte, 16<<20))
	if err == nil || n > 1<<20 {
		t.Errorf("the system took %d bytes, %v", n, err)
	}
}
