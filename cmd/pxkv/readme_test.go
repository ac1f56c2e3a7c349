package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What the README does not name nobody finds.
func TestTheReadmeNamesEveryCommandAndDocument(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := slices.DeleteFunc(newRootCommand().Commands(), func(c *cobra.Command) bool { return c.Hidden })
	if len(commands) < 20 {
		t.Fatalf("there are only %d commands", len(commands))
	}
	for _, c := range commands {
		if want := "`" + c.CommandPath(); !strings.Contains(string(readme), want) {
			t.Errorf("the README does not name %s", c.CommandPath())
		}
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) < 8 {
		t.Fatal(documents, err)
	}
	for _, d := range documents {
		if want := "](docs/" + filepath.Base(d) + ")"; !strings.Contains(string(readme), want) {
			t.Errorf("the README does not lead to docs/%s", filepath.Base(d))
		}
	}
}
