package member

import (
	"testing"

	"pxkv/persist"
)

// Each start writes the identity anew where it is, so what the first start of a copy finds has to
// stay: a copy that is refused, or whose start fails half-way, must not be let in by the next one.
func TestACopyStaysACopy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		found           persist.Identity
		elsewhere, copy bool
	}{
		"where it was written":        {persist.Identity{}, false, false},
		"moved after an orderly end":  {persist.Identity{Moved: true, Stopped: true}, true, false},
		"a copy of one in use":        {persist.Identity{Moved: true}, true, true},
		"a copy, started here before": {persist.Identity{Elsewhere: true, Copy: true}, true, true},
		"that was ended in order": {persist.Identity{
			Elsewhere: true, Copy: true, Stopped: true,
		}, true, true},
		"and was moved then": {persist.Identity{
			Elsewhere: true, Copy: true, Stopped: true, Moved: true,
		}, true, true},
		"moved in order, and started here":   {persist.Identity{Elsewhere: true}, true, false},
		"moved in order, then copied in use": {persist.Identity{Elsewhere: true, Moved: true}, true, true},
		"moved in order, then again in order": {persist.Identity{
			Elsewhere: true, Moved: true, Stopped: true,
		}, true, false},
	} {
		id := Start(tc.found)
		if id.Elsewhere != tc.elsewhere || id.Copy != tc.copy || id.Starts != tc.found.Starts+1 || id.Stopped {
			t.Errorf("%s: %+v", name, id)
		}
		id, changed := Settled(id)
		if id.Elsewhere || id.Copy || changed != tc.elsewhere {
			t.Errorf("%s, settled: %+v, changed %v", name, id, changed)
		}
	}
}

func TestAClonedFreshDirectoryIsAnotherNode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		id       persist.Identity
		replicas int
		want     bool
	}{
		"started before it was copied":           {persist.Identity{Node: 7, Moved: true, Stopped: true}, 0, true},
		"where it was":                           {persist.Identity{Node: 7}, 0, false},
		"of a cluster":                           {persist.Identity{Node: 7, Moved: true, Cluster: 9}, 0, false},
		"of a cluster, and died while it formed": {persist.Identity{Node: 7, Moved: true}, 3, false},
	} {
		if got := Cloned(tc.id, tc.replicas); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
