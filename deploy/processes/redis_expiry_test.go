//go:build processes

package processes

import (
	"fmt"
	"testing"
	"time"
)

// Keys whose deadline has come are not drawn, counted or found, though they are still stored for a moment.
func TestRedisExpiredKeysAreShownNowhere(t *testing.T) {
	c := dialRedis(t, startOne(t).resp)
	slot := c.do([]string{"CLUSTER", "KEYSLOT", "{t}"})[0][1:]
	asked := [][]string{
		{"RANDOMKEY"}, {"CLUSTER", "COUNTKEYSINSLOT", slot}, {"DBSIZE"}, {"KEYS", "*"}, {"SCAN", "0", "COUNT", "1000"},
	}
	none := []string{"$nil", ":0", ":0", "[]", `[$"0" []]`}
	deadline := time.Now().Add(2 * time.Second).Truncate(time.Millisecond)
	var sets [][]string
	for i := range 200 {
		sets = append(sets, []string{"SET", fmt.Sprint("{t}", i), "v", "PXAT", fmt.Sprint(deadline.UnixMilli())})
	}
	c.do(sets...)
	if got := c.do([]string{"DBSIZE"})[0]; got != ":200" && time.Now().Before(deadline) {
		t.Fatalf("DBSIZE is %s before the deadline", got)
	}
	for past := false; !past; {
		past = time.Now().After(deadline.Add(2 * time.Millisecond)) // its clock is exact to a millisecond
		for i, got := range c.do(asked...) {
			if past && got != none[i] {
				t.Errorf("%q answers %s when all deadlines have come", asked[i], got)
			}
		}
	}
}
