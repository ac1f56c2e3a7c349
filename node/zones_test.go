package node

import (
	"fmt"
	"testing"

	"pxkv/node/kv"
)

// Replicas are in different zones while there are enough of them; who starts again in another zone is moved to.
func TestReplicasAreInDifferentZones(t *testing.T) {
	t.Parallel()
	zones := map[string]string{"a": "east", "b": "east", "c": "west", "d": "west", "e": "north"}
	c, servers := of(t, 5, func(c *cluster) { c.zones = zones })
	placed := func() error {
		s := servers[0].machine.State()
		for _, m := range s.Members {
			if m.Zone != zones[m.Name] {
				return fmt.Errorf("%s is in %q, want %q", m.Name, m.Zone, zones[m.Name])
			}
		}
		for p, row := range s.Placement {
			seen := map[string]kv.NodeID{}
			for _, r := range row {
				m, _ := s.Member(r.Node)
				if twin, twice := seen[m.Zone]; twice {
					return fmt.Errorf("partition %d is twice in %s: on %v and %v", p, m.Zone, twin, r.Node)
				}
				seen[m.Zone] = r.Node
			}
		}
		if s.PlacementOutdated() {
			return fmt.Errorf("the placement is for %q", s.PlacedZones)
		}
		return nil
	}
	eventually(t, "replicas are in different zones", placed)
	c.settled(5)
	servers[1].stop()
	zones["b"] = "south"
	servers[1] = servers[1].restart()
	eventually(t, "they are so after a node has moved to another zone", placed)
	c.settled(5)
	if v := servers[0].node.Cluster(); v.Members[1].Zone != "south" {
		t.Errorf("the members are shown as %+v", v.Members)
	}
}
