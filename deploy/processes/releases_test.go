//go:build processes

package processes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pxkv/node/meta"
)

// TestDirectoriesOfReleasesOpen starts a node on a data directory of each release whose formats differ from those
// before it (testdata/releases, by commit): each must open for ever. It was filled through HTTP and Redis, one value in
// it is packed, one has a deadline in 2100, and one key was deleted.
func TestDirectoriesOfReleasesOpen(t *testing.T) {
	archives, err := filepath.Glob("testdata/releases/*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no directories of releases: %v", err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) {
			c := newCluster(t, 1)
			n := c.nodes[0]
			n.keyFile = "" // it is not encrypted
			if err := os.MkdirAll(n.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("tar", "-xzf", archive, "-C", n.dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			n.start()
			n.awaitReady()
			want := map[string]string{"packed": strings.Repeat("z", 3000), "binary": "\x00\xff\x01", "mortal": "soon"}
			for i := 1; i <= 40; i++ {
				want[fmt.Sprintf("json-%d", i)] = fmt.Sprintf(`{"n":%d,"text":"é"}`, i)
				want[fmt.Sprintf("text-%d", i)] = fmt.Sprintf("value %d", i)
				want[fmt.Sprintf("counter-%d", i)] = fmt.Sprint(i)
			}
			delete(want, "text-40")
			for key, value := range want {
				if got, _, err := n.look("/kv/" + key); err != nil || string(got) != value {
					t.Errorf("%s is %.60q, %v, want %.60q", key, got, err, value)
				}
			}
			if _, _, err := n.look("/kv/text-40"); err == nil || !strings.Contains(err.Error(), "404") {
				t.Errorf("what was deleted: %v", err)
			}
			c.awaitVersion(meta.NewestVersion, c.nodes)
		})
	}
}
