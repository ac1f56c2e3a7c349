package main

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// otherVariables are environment variables of this prefix that are no flags of serve.
var otherVariables = []string{serverEnv, "PXKV_IMAGE", keyEnv}

// unknownVariables returns the PXKV_ variables that mean nothing here, each with the one that was
// perhaps meant, or "".
func unknownVariables(fs *pflag.FlagSet, environ []string) map[string]string {
	known := map[string]string{} // without underscores, by what they are called
	fs.VisitAll(func(f *pflag.Flag) { known[squeezed(variable(f.Name))] = variable(f.Name) })
	unknown := map[string]string{}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || slices.Contains(otherVariables, name) {
			continue
		}
		if meant := known[squeezed(name)]; meant != name {
			unknown[name] = meant
		}
	}
	return unknown
}

func squeezed(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "_", "")) }

// warnOfVariables says which environment variables have no effect.
func warnOfVariables(log *slog.Logger, unknown map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		if meant := unknown[name]; meant != "" {
			log.Warn("an environment variable is not known and has no effect", "name", name, "meant", meant)
		} else {
			log.Warn("an environment variable is not known and has no effect", "name", name)
		}
	}
}
