package node

import (
	"fmt"
	"testing"
)

// The figures that an operator waits for: what is short of replicas, what has no leader, what moves.
func TestMetricsTellWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	tell := func(what string, short, leaderless int) {
		t.Helper()
		eventually(t, what, func() error {
			gotShort, moves, incomplete, fragile := 0, 0, 0, 0
			for _, s := range c.running() {
				gotShort += int(s.counter("pxkv_partitions_under_replicated"))
				moves += s.exec.Moves()
				incomplete += s.exec.Incomplete()
				fragile += s.exec.Fragile()
				if n := int(s.counter("pxkv_partitions_leaderless")); n != leaderless {
					return fmt.Errorf("%s knows no leader of %d partitions, want %d", s.name, n, leaderless)
				}
			}
			if leaderless == 0 && (gotShort != short || moves != 0) {
				return fmt.Errorf("%d partitions are short of replicas, want %d; %d move", gotShort, short, moves)
			}
			if want := short + short/c.partitions; leaderless == 0 && (incomplete != want || fragile != want) {
				return fmt.Errorf("%d groups are incomplete and %d fragile, want %d", incomplete, fragile, want)
			}
			return nil
		})
	}
	tell("all is there", 0, 0)
	servers[2].kill()
	tell("one of three is gone", c.partitions, 0)
	servers[1].kill()
	tell("two of three are gone", 0, c.partitions)
	servers[1].restart()
	servers[2].restart()
	tell("all are back", 0, 0)
	c.joining("d")
	c.settled(4)
	tell("the fourth has its share", 0, 0)
}
