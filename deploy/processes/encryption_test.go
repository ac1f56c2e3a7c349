//go:build processes

package processes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
	"pxkv/node/kv"
)

// drawEncryption lets all nodes of a test encrypt what they write, or none.
func (c *cluster) drawEncryption() {
	if draw(c.t, "encryption").IntN(2) == 0 {
		return
	}
	c.t.Logf("the data directories are encrypted (PROCESSES_SEED=%d)", drawSeed())
	c.encrypt(newKey(c.t))
}

// encrypt gives all nodes one key file.
func (c *cluster) encrypt(keys ...string) {
	c.t.Helper()
	for _, n := range c.nodes {
		n.keyFile = filepath.Join(filepath.Dir(c.nodes[0].dir), "all.key")
		n.writeKeys(keys...)
	}
}

// plain takes it back.
func plain(n *node) { n.keyFile = "" }

// encrypted sees to it.
func encrypted(keys ...string) setting {
	return func(n *node) {
		n.keyFile = n.dir + ".key"
		n.writeKeys(keys...)
	}
}

func (n *node) writeKeys(keys ...string) {
	n.t.Helper()
	if err := os.WriteFile(n.keyFile, []byte(strings.Join(keys, "\n")), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// keyFlags of a command line. A node that keeps all in memory has nothing to encrypt.
func (n *node) keyFlags() []string {
	if n.keyFile == "" || slices.Contains(n.extra, "memory") {
		return nil
	}
	return []string{"--encryption-key-file", n.keyFile}
}

func newKey(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(program, "keys", "new").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

const plantedText = "planted in clear"

// plantText writes it as keys and values, half of them long.
func plantText(t *testing.T, n *node, count int) {
	t.Helper()
	for i := range count {
		body, err := json.Marshal(map[string]string{"key": fmt.Sprintf("%s %d", plantedText, i),
			"value": fmt.Sprintf("value %d ", i) + strings.Repeat(plantedText, 1+i%2*2000)})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodPut, n.url()+"/kv", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("put: %s", resp.Status)
		}
	}
}

// inClear finds the files of a node in which something of the text can be read, by the directory that they are in.
func (n *node) inClear() map[string]int {
	n.t.Helper()
	found := map[string]int{}
	err := filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte(plantedText[:7])) || bytes.Contains(b, []byte(`"name": "`+n.name)) {
			rel, _ := filepath.Rel(n.dir, path)
			found[strings.Split(rel, "/")[0]]++
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return found
}

// TestDisksOfAnEncryptedClusterAreUnreadable writes keys and values to a cluster, kills a node, ends another in
// order, so that it has tables, and has a third get all as snapshots. Nothing of it can be read on any of the disks;
// without encryption the same search finds it on each, in logs and in tables.
func TestDisksOfAnEncryptedClusterAreUnreadable(t *testing.T) {
	for _, how := range []string{"plain", "encrypted"} {
		t.Run(how, func(t *testing.T) {
			set := setting(plain)
			if how == "encrypted" {
				set = encrypted(newKey(t))
			}
			c := startThree(t, set)
			plantText(t, c.nodes[0], 200)
			third := c.nodes[2]
			third.process.kill()
			third.wipe()
			third.start()
			third.awaitReady()
			c.awaitSettled()
			plantText(t, c.nodes[0], 20) // the log has some again, whatever was cut
			c.nodes[1].terminate()
			c.nodes[0].process.kill()
			third.process.kill()
			for _, n := range c.nodes {
				found := n.inClear()
				t.Logf("%s, %s: readable in %v", how, n.name, found)
				switch {
				case how == "encrypted" && len(found) > 0:
					t.Errorf("%s: the text is found in %v", n.name, found)
				case how == "plain" && (found["log"] == 0 || found["db"] == 0 && n == c.nodes[1] ||
					found["identity.json"] == 0):
					t.Errorf("%s: without encryption the text is found only in %v: the search is bad", n.name, found)
				}
			}
		})
	}
}

// rotate asks a node to rotate its keys.
func (n *node) rotate() (kv.EncryptionView, error) {
	var v kv.EncryptionView
	resp, err := http.Post(n.url()+"/cluster/encryption", "", nil)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("%s", resp.Status)
	}
	return v, json.NewDecoder(resp.Body).Decode(&v)
}

// awaitRotated waits until a node uses one data key alone.
func (n *node) awaitRotated() {
	n.t.Helper()
	await(n.t, n.name+" has forgotten its old data keys", settledAfter, func() error {
		v, err := see[kv.EncryptionView](n, "/cluster/encryption")
		if err == nil && (v.Rotating || len(v.DataKeys) != 1) {
			err = fmt.Errorf("%+v", v)
		}
		return err
	})
}

// TestKeysAreRotatedUnderLoad rotates the keys of all nodes while clients write: none of them sees anything of it.
// Then it kills each node in the middle of another rotation, and starts it with the newest key alone once that is
// over.
func TestKeysAreRotatedUnderLoad(t *testing.T) {
	old, next, last := newKey(t), newKey(t), newKey(t)
	c := startThree(t, encrypted(old))
	plantText(t, c.nodes[0], 100)
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, "rotated-", c.nodes, func() {
		for _, n := range c.nodes {
			n.writeKeys(next, old)
			if _, err := n.rotate(); err != nil {
				t.Errorf("%s: %v", n.name, err)
			}
			n.awaitRotated()
			n.writeKeys(next)
		}
	})
	nothingWrong(t, "load while keys were rotated", sum)
	for i, n := range c.nodes {
		n.writeKeys(last, next)
		if _, err := n.rotate(); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
		time.Sleep(time.Duration(i) * 40 * time.Millisecond) // in different places of it
		n.process.kill()
		n.start()
		n.awaitReady()
		n.awaitRotated()
		n.writeKeys(last)
		c.awaitSettled()
	}
	for _, n := range c.nodes {
		n.terminate()
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	verify(t, &ledger, c.nodes)

	n := c.nodes[2] // and what does not fit is refused
	n.terminate()
	n.writeKeys(old)
	n.start()
	n.refusedWith("the key does not fit", "nothing was changed")
	n.keyFile = ""
	n.start()
	n.refusedWith("encrypted, and no key is given")
}
