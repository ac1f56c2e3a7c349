package sim

import (
	"os"
	"strconv"
)

// env reads a number from the environment: SIM_SEED is the first seed, SIM_COUNT how many.
func env(name string, def uint64) uint64 {
	if v, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return v
	}
	return def
}
