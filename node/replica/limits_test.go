package replica

import (
	"strings"
	"testing"
)

func TestLimitsHaveDefaultsAndAreChecked(t *testing.T) {
	t.Parallel()
	l, err := Limits{EntryBytes: 7}.withDefaults()
	if err != nil || l.EntryBytes != 7 || l.MessageBytes != 256<<10 || l.NodeLogBytes != 256<<20 {
		t.Errorf("one limit set: %+v, %v", l, err)
	}
	_, err = Limits{
		Purges: -1, NodeLogBytes: -1, InflightBytes: 10, PurgeKeys: 1 << 20, LeastLogBytes: 1 << 40,
	}.withDefaults()
	for _, name := range []string{"Purges", "NodeLogBytes", "MessageBytes", "PurgeKeys", "LeastLogBytes"} {
		if err == nil || !strings.Contains(err.Error(), "limit "+name) {
			t.Errorf("nothing is said of %s: %v", name, err)
		}
	}
}

func TestALogHasAShareOfTheNodes(t *testing.T) {
	t.Parallel()
	l, _ := Limits{NodeLogBytes: 100, LeastLogBytes: 5, MostLogBytes: 20}.withDefaults()
	for groups, want := range map[int]int64{0: 20, 1: 20, 10: 10, 1000: 5} {
		if got := l.logBytes(groups); got != want {
			t.Errorf("%d groups: %d bytes each, want %d", groups, got, want)
		}
	}
}
