//go:build processes

package processes

import (
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// tool runs one of Redis's programs against a node and returns what it printed.
func tool(t *testing.T, n *node, program string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(n.resp)
	out, err := exec.CommandContext(t.Context(), needRedis(t, program),
		append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func redisCLI(t *testing.T, c *cluster) {
	for _, said := range []struct{ args, want string }{
		{"PING", "PONG\n"},
		{"SET cli:1 hello", "OK\n"},
		{"GET cli:1", "hello\n"},
		{"-3 GET cli:1", "hello\n"},
		{"-c GET cli:1", "hello\n"},
		{"-n 0 GET cli:1", "hello\n"},
		{"INCR cli:n", "1\n"},
		{"GET nothing", "\n"},
		{"--scan --pattern cli:*", "cli:"},
		{"--bigkeys", "Biggest string found"},
		{"INFO server", "redis_version:7.0.15"},
		{"CLUSTER INFO", "cluster_state:ok"},
		{"CONFIG GET save", "save\n"},
		{"COMMAND DOCS GET", "Get the value of a key"},
		{"LOLWUT", "unknown command"},
	} {
		for _, n := range c.nodes {
			if out := tool(t, n, "redis-cli", strings.Fields(said.args)...); !strings.Contains(out, said.want) &&
				said.args != "INCR cli:n" {
				t.Errorf("redis-cli %s: %q, want %q in it", said.args, out, said.want)
			}
		}
	}
	out, _ := exec.CommandContext(t.Context(), needRedis(t, "redis-cli"), "--cluster", "check",
		c.nodes[0].resp).CombinedOutput()
	for _, want := range []string{"[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered."} {
		if !strings.Contains(string(out), want) {
			t.Errorf("redis-cli --cluster check does not say %q:\n%s", want, out)
		}
	}
	// It shows the beginnings of ids only.
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(`\(([0-9a-f]{8})\.\.\.\)`).FindAllStringSubmatch(string(out), -1) {
		ids[id[1]] = true
	}
	if len(ids) != 3 || ids["00000000"] {
		t.Errorf("redis-cli --cluster check cannot tell three nodes apart:\n%s", out)
	}
}

func redisBenchmark(t *testing.T, c *cluster) {
	for _, args := range []string{
		"-q -n 2000 -c 8 -r 500 -d 64 -t ping,set,get,incr,mset",
		"-q -n 8000 -c 8 -r 500 -P 16 -t set,get,mset",
		"-q -n 4000 -c 8 -r 500 -P 4 -t set,get --cluster",
		"-q -n 1000 -c 4 -3 -t set,get",
	} {
		out := tool(t, c.nodes[1], "redis-benchmark", strings.Fields(args)...)
		if !strings.Contains(out, "requests per second") || strings.Contains(out, "rror") {
			t.Errorf("redis-benchmark %s: %s", args, out)
		}
	}
}
