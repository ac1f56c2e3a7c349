package persist

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/formattest"
)

//go:embed FORMAT.md
var formatText string

// TestFormat holds FORMAT.md to the code. The examples of the log and of the data are held by their packages;
// those that nobody knows are found here.
func TestFormat(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	b := db.NewBatch() // a checkpoint of nothing
	must(t, b.Commit())
	must(t, db.Close())
	formattest.Hold(t, "FORMAT.md", "persist", map[string][]byte{
		"log-segment": readFile(t, fs, "node/log/0000000000000001.log"),
	})
}

// TestIdentityFormat holds the example of identity.json to the code.
func TestIdentityFormat(t *testing.T) {
	t.Parallel()
	_, after, _ := strings.Cut(formatText, "```json\n")
	text, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("FORMAT.md has no example of identity.json")
	}
	fs := vfs.NewMem()
	db := openTest(t, fs)
	must(t, db.SaveIdentity(Identity{
		Node: 0xa1, Name: "n1", Cluster: 0xc1, ClusterName: "pxkv", Starts: 2, MetaReplica: 7,
	}))
	must(t, db.Close())
	if got := string(readFile(t, fs, "node/identity.json")); got != text {
		t.Errorf("FORMAT.md has\n%s\nthe code writes\n%s", text, got)
	}
}

// TestPinnedVersion is a decision: raising it makes directories that older versions cannot read.
func TestPinnedVersion(t *testing.T) {
	t.Parallel()
	if identityFormat != 2 {
		t.Errorf("the version of the directory is %d: does FORMAT.md say how the older one is read?", identityFormat)
	}
}
