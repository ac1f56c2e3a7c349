package properties

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A package whose property tests do not import this one draws anew each time.
func TestAllPropertyTestsDrawFromTheSeed(t *testing.T) {
	t.Parallel()
	draw, seeded := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			switch i.Path.Value {
			case `"pgregory.net/rapid"`:
				draw[filepath.Dir(path)] = true
			case `"pxkv/deploy/properties"`:
				seeded[filepath.Dir(path)] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(draw) < 5 {
		t.Errorf("only %d packages have property tests", len(draw))
	}
	delete(draw, "../../deploy/properties")
	for dir := range draw {
		if !seeded[dir] {
			t.Errorf("%s: property tests without import of pxkv/deploy/properties", dir)
		}
	}
}

func TestTheSeedDecidesWhatIsDrawn(t *testing.T) {
	t.Parallel()
	if os.Getenv("PROPERTIES_DRAWN") != "" {
		rapid.Check(t, func(t *rapid.T) { t.Log("drawn:", rapid.Uint64().Draw(t, "n")) })
		return
	}
	drawn := func(seed string) string {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestTheSeedDecidesWhatIsDrawn$", "-rapid.log", "-rapid.checks=5")
		cmd.Env = append(os.Environ(), "PROPERTIES_DRAWN=1", variable+"="+seed)
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		var lines []string
		for line := range strings.Lines(string(said)) {
			if strings.Contains(line, "drawn:") {
				lines = append(lines, line[strings.Index(line, "drawn:"):])
			}
		}
		if len(lines) < 5 {
			t.Fatalf("drawn %v: %s", lines, said)
		}
		return strings.Join(lines, "")
	}
	if a, b := drawn("7"), drawn("7"); a != b {
		t.Errorf("one seed, and %s and %s", a, b)
	}
	if a, b := drawn("7"), drawn("8"); a == b {
		t.Errorf("two seeds, and the same: %s", a)
	}
}
