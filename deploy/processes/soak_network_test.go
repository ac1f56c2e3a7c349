//go:build processes && soak

package processes

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// lan is a network of namespaces, one a node, on a switch that the clients are on too. The switch
// has a namespace of its own: what a machine filters between its interfaces is not its business.
type lan struct {
	t    *testing.T
	name string // begins all names
}

// sh runs a command line, word by word.
func sh(format string, args ...any) error {
	words := strings.Fields(fmt.Sprintf(format, args...))
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

// newLAN puts each node into a namespace of its own. Where none can be made it says so, and leaves
// the nodes on the loopback address.
func newLAN(t *testing.T, nodes []*node) *lan {
	t.Helper()
	l := &lan{t: t, name: fmt.Sprintf("pxs%d", os.Getpid())}
	err := sh("ip netns add %s", l.name)
	if err == nil {
		t.Cleanup(func() { _ = sh("ip netns del %s", l.name) })
		err = firstError(
			func() error { return sh("ip -n %s link add br0 type bridge", l.name) },
			func() error { return sh("ip -n %s link set br0 up", l.name) },
			func() error { return sh("ip link add %s type veth peer name clients netns %s", l.name, l.name) },
			func() error { return sh("ip -n %s link set clients master br0 up", l.name) },
			func() error { return sh("ip addr add 10.213.77.254/24 dev %s", l.name) },
			func() error { return sh("ip link set %s up", l.name) },
		)
	}
	for i := 0; i < len(nodes) && err == nil; i++ {
		err = l.put(i)
	}
	if err != nil {
		t.Logf("NO NETWORK FAULTS, since namespaces cannot be made here: %v", err)
		return nil
	}
	for i, n := range nodes {
		at := l.address(i)
		n.http, n.resp, n.peer, n.gossip = at+":8080", at+":6379", at+":7947", at+":7946"
		n.by = []string{"ip", "netns", "exec", l.namespace(i)}
	}
	return l
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *lan) namespace(i int) string { return fmt.Sprintf("%sn%d", l.name, i) }
func (l *lan) address(i int) string   { return fmt.Sprintf("10.213.77.%d", i+1) }

// put makes the namespace of a node.
func (l *lan) put(i int) error {
	ns, port := l.namespace(i), fmt.Sprintf("n%d", i)
	if err := sh("ip netns add %s", ns); err != nil {
		return err
	}
	l.t.Cleanup(func() { _ = sh("ip netns del %s", ns) })
	return firstError(
		func() error { return sh("ip -n %s link add %s type veth peer name eth0 netns %s", l.name, port, ns) },
		func() error { return sh("ip -n %s link set %s master br0 up", l.name, port) },
		func() error { return sh("ip -n %s addr add %s/24 dev eth0", ns, l.address(i)) },
		func() error { return sh("ip -n %s link set eth0 up", ns) },
		func() error { return sh("ip -n %s link set lo up", ns) },
		func() error { return sh("ip netns exec %s nft add table ip soak", ns) },
		func() error {
			return sh("ip netns exec %s nft add chain ip soak in { type filter hook input priority 0 ; }", ns)
		},
	)
}

// deaf makes a node hear nothing from another one any more.
func (l *lan) deaf(to, from int) error {
	return sh("ip netns exec %s nft add rule ip soak in ip saddr %s drop", l.namespace(to), l.address(from))
}

// heal lets a node hear everybody.
func (l *lan) heal(i int) error {
	return sh("ip netns exec %s nft flush chain ip soak in", l.namespace(i))
}
