package socket

import (
	"context"
	"net"
	"time"
)

// Options say where a Listener takes connections, and how many. Only Address is required.
type Options struct {
	Address   string              // such as ":8080"
	KeepAlive net.KeepAliveConfig // of accepted connections; the zero value is Go's default
	// MaxUnsent is how many bytes the system takes for a connection before they can be sent, 0 for what it
	// likes. Left to itself it takes up to 4 MiB for a client that does not read, which counts as memory of
	// this process where that is limited, and in no budget here.
	MaxUnsent int

	MaxConns int    // at one time, 0 for any number; others are refused
	Refusal  []byte // is said to those before they are closed; nil for nothing

	Refused func()                               // is called for each that was refused
	Paused  func(err error, pause time.Duration) // is called where none could be taken for a while
}

// UnsentOfClients is MaxUnsent where clients decide how much they are sent.
const UnsentOfClients = 128 << 10

// bind makes the listening socket.
func (o *Options) bind() (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: o.KeepAlive}
	if o.MaxUnsent > 0 {
		lc.Control = limitUnsent(o.MaxUnsent) // accepted connections inherit it, so that it costs them nothing
	}
	lc.SetMultipathTCP(false) // its sockets do not inherit that, and cost more; one path is what there is
	return lc.Listen(context.Background(), "tcp", o.Address)
}
