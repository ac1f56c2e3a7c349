package server

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pxkv/node/kv"
)

// warnOfFlags says what of the command line has no effect, or more than one may think.
func (s *Server) warnOfFlags() {
	if is := s.core.Machine.State(); is != nil {
		for flag, values := range map[string][2]int{
			"partitions": {s.o.Partitions, is.Partitions}, "replicas": {s.o.Replicas, is.Replicas},
		} {
			if s.o.Given[flag] && values[0] != values[1] {
				s.log.Warn("a flag has no effect: it counts only when a cluster is formed", "flag", "--"+flag, "given",
					values[0], "in force", values[1])
			}
		}
	}
	for _, text := range s.o.warnings() {
		s.log.Warn(text)
	}
}

// warnings are what its flags make of this node that an operator should know for as long as it runs: in
// the log at the start, and in status.
func (o *Options) warnings() (out []string) {
	if o.InMemory {
		out = append(out,
			fmt.Sprintf("node %s keeps everything in memory (--store memory): all of it is lost when its process "+
				"ends, and it is another node at its next start, which the others fill again; what a majority of the "+
				"replicas of a partition loses at one time is lost for good", o.Name))
	}
	if text := o.openDoors(); text != "" {
		out = append(out, text)
	}
	return out
}

// warnings are what status shows of this node, and of others as this one sees them.
func (s *Server) warnings() []string {
	return slices.Concat(s.o.warnings(), s.outside(), s.core.Planner.Warnings(), differing(s.o.Name, s.core.Host),
		refused(s.links.peers.Refused(), s.links.nameOf))
}

// outside says, of a node in memory that is in no cluster yet, what it may be that nobody lets it in.
func (s *Server) outside() (out []string) {
	if s.o.InMemory && s.core.Machine.State() == nil {
		out = append(out, fmt.Sprintf("node %s has nothing in its memory and is in no cluster: the others let it in "+
			"when they have a majority without its former self. Where more of them ended at one time than a partition "+
			"bears, that never happens: save what is left, and stop all (\"In memory\" in docs/operations.md)",
			s.o.Name))
	}
	return out
}

// refused says with which nodes no connection comes about, since one of the two does not want it.
func refused(reasons map[kv.NodeID]string, names kv.Names) (out []string) {
	const most = 10
	for id, why := range reasons {
		out = append(out, fmt.Sprintf("no connection with node %s: %s", names.Of(id), why))
	}
	slices.Sort(out)
	return out[:min(len(out), most)]
}

// differing says which replicas of a node differ from others, as far as it knows.
func differing(name string, host interface {
	Differing() (inDoubt, void []kv.PartitionID)
}) (out []string) {
	const most = 10
	inDoubt, void := host.Differing()
	if len(inDoubt) > 0 {
		out = append(out,
			fmt.Sprintf("replicas of partitions %s differ, and node %s does not know which are right: it serves "+
				"nothing of them; its log says what to do", kv.PartitionList(inDoubt, most), name))
	}
	if len(void) > 0 {
		out = append(out,
			fmt.Sprintf("the copies of partitions %s on node %s are wrong, and wait to be replaced by those of "+
				"their leaders", kv.PartitionList(void, most), name))
	}
	return out
}

// openDoors says that others than this machine can use the node and are not asked who they are, and
// what changes it; "" when that is not so.
func (o *Options) openDoors() string {
	var open, closed []string
	for _, door := range []struct{ flag, listen string }{{"--http", o.HTTP}, {"--resp", o.RESP}} {
		if host, port, err := net.SplitHostPort(door.listen); err == nil && !isLoopback(host) {
			open = append(open, door.listen)
			closed = append(closed, door.flag+" "+net.JoinHostPort("127.0.0.1", port))
		}
	}
	if len(open) == 0 {
		return ""
	}
	return fmt.Sprintf("node %s: whoever reaches %s can read and write everything, since nobody is asked who he is: "+
		"%s keeps it to this machine; of a container, publish the ports on 127.0.0.1 only", o.Name, strings.Join(open,
		" and "), strings.Join(closed, " "))
}

// isLoopback reports whether only this machine reaches what listens on a host; "" is all hosts.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// dataPath tells where the data lies, for people.
func (o *Options) dataPath() string {
	if o.InMemory {
		return "in memory"
	}
	if path, err := filepath.Abs(o.DataDir); err == nil {
		return path
	}
	return o.DataDir
}

// warnOfAbsence says, before this node stops, what nobody can read or write while it is down.
func (s *Server) warnOfAbsence(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if needed := s.node.Needed(ctx); len(needed) > 0 {
		s.log.Warn("the others cannot serve without this node: until it is back, nobody can read or write what is in "+
			"these partitions",
			"count", len(needed), "partitions", kv.PartitionList(needed, 10))
	}
}

// toleranceInterval is how often a node looks whether the cluster tolerates a loss: seldom enough that one which is
// just being formed has all its members by then.
const toleranceInterval = 10 * time.Second

// watchTolerance says when the cluster has come to a size at which a single loss stops it.
func (s *Server) watchTolerance(ctx context.Context) error {
	ticker := time.NewTicker(toleranceInterval)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if is := s.core.Machine.State(); is != nil {
			if text := Intolerance(len(is.ActiveIDs()), is.Replicas); text != said {
				if said = text; text != "" {
					s.log.Warn(text)
				}
			}
		}
	}
}

// Intolerance says why a cluster of several members tolerates no loss, "" when it does. One member has
// only itself to lose.
func Intolerance(members, replicas int) string {
	switch {
	case members < 2 || min(members, replicas) > 2:
		return ""
	case members == 2 && replicas < 3:
		return "two members tolerate no loss: while one is down, nobody can read or write what it holds; add a " +
			"third, and pxkv replicas 3 puts everything on all of them"
	case replicas == 1:
		return "partitions have one replica: while a member is down, nobody can read or write what it holds, and its " +
			"disk is the only one; pxkv replicas 3 makes it three"
	case replicas == 2:
		return "partitions have two replicas, and a majority of two is two: while a member is down, nobody can read " +
			"or write what it holds; pxkv replicas 3 makes it three"
	}
	return "two members tolerate no loss, since a majority of two is two: while one is down, nothing can be read or " +
		"written; add a third"
}
