package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

// Options say who this node is and where it looks for others.
type Options struct {
	ID          kv.NodeID // of this node; must not be 0
	ClusterName string    // 1 to 255 bytes; clusters of different names never hear each other
	Bind        string    // host:port for UDP and TCP; empty host: all IPv4 addresses; port 0: any
	// AdvertiseHost is the name or IP address at which peers reach this node. Empty: the bound
	// address, or if that is all of them, the host's first private address.
	AdvertiseHost string
	Meta          Meta     // what this node says of itself until SetMeta
	Join          []string // host[:port] of other nodes; the default port is our own

	Logger *slog.Logger // nil: no logs
	// OnChange is called after a peer appeared, changed or went, not once for each such event
	// but at least once after the last one, never concurrently and never after Run returned.
	// It may take its time and call any method. nil: nobody is told.
	OnChange func()
	Metrics  prometheus.Registerer // nil: none

	// ProbeInterval is the time between two checks of some peer's health. A dead peer is
	// missed after about four to six of them. 0: 500 ms.
	ProbeInterval time.Duration
	// AloneInterval is how often all addresses are tried while no peer is heard; 0: 1 s.
	AloneInterval time.Duration
	// RejoinInterval is how often those addresses are tried at which nobody is heard, while
	// other peers are; 0: 10 s.
	RejoinInterval time.Duration
	// ResolveTimeout is how long Run waits for AdvertiseHost, or the host of Bind, to resolve
	// before it fails; 0: 30 s.
	ResolveTimeout time.Duration

	// Transport replaces the network (tests). Bind is then ignored. Run shuts it down,
	// unless it fails for AdvertiseHost.
	Transport memberlist.Transport
	// Resolve replaces the lookup of host names (tests); nil: the system's.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (o *Options) setDefaults() {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.ProbeInterval = cmp.Or(o.ProbeInterval, 500*time.Millisecond)
	o.AloneInterval = cmp.Or(o.AloneInterval, time.Second)
	o.RejoinInterval = cmp.Or(o.RejoinInterval, 10*time.Second)
	o.ResolveTimeout = cmp.Or(o.ResolveTimeout, 30*time.Second)
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
}

// validate reports every fault at once.
func (o *Options) validate() error {
	var errs []error
	if o.ID == 0 {
		errs = append(errs, errors.New("node id is 0: draw one first"))
	}
	if n := len(o.ClusterName); n == 0 || n > memberlist.LabelMaxSize {
		errs = append(errs, fmt.Errorf("cluster name %.300q must be 1 to %d bytes long", o.ClusterName,
			memberlist.LabelMaxSize))
	}
	if o.Transport == nil {
		if _, _, err := splitHostPort(o.Bind); err != nil {
			errs = append(errs, fmt.Errorf("address to listen on: %w", err))
		}
	}
	if len(o.AdvertiseHost) > maxAddressBytes-len(":65535") {
		errs = append(errs, fmt.Errorf("host to advertise %.300q is too long", o.AdvertiseHost))
	}
	for _, a := range o.Join {
		if _, _, err := splitJoin(a, defaultPort); err != nil {
			errs = append(errs, fmt.Errorf("address to join: %w", err))
		}
	}
	for _, d := range []time.Duration{o.ProbeInterval, o.AloneInterval, o.RejoinInterval, o.ResolveTimeout} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("interval %v is negative", d))
		}
	}
	return errors.Join(errs...)
}

// defaultPort stands in for our own port, which is not known before we listen.
const defaultPort = "7946"

// splitJoin takes the address of another node apart: host:port, or host alone, which may be
// an IPv6 address with or without brackets.
func splitJoin(address, port string) (string, uint16, error) {
	host, n, err := splitHostPort(address)
	if err != nil {
		host, n, err = splitHostPort(net.JoinHostPort(strings.Trim(address, "[]"), port))
	}
	if err != nil || host == "" || n == 0 || !isHost(host) {
		return "", 0, fmt.Errorf("%.300q is not host or host:port", address)
	}
	return host, n, nil
}

func splitHostPort(address string) (string, uint16, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%.300q is not host:port: %w", address, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%.300q: port must be a number up to 65535", address)
	}
	return host, uint16(n), nil
}

// isHost tells host names and IP addresses from text that can be neither.
func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || !strings.ContainsAny(host, ":/ ")
}
