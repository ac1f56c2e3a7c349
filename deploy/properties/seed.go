// Package properties lets the property tests of all packages draw the same each time. They import it for its effect.
//
// Without it they draw anew in each run: that is right for who works on the code, and wrong where what passed once has
// to pass again.
package properties

import (
	"flag"
	"fmt"
	"os"

	_ "pgregory.net/rapid" // has the flag
)

// variable is the environment variable with the seed, a positive number. Empty: each run has another one.
const variable = "PROPERTIES_SEED"

func init() {
	seed := os.Getenv(variable)
	if seed == "" {
		return
	}
	if err := flag.Set("rapid.seed", seed); err != nil {
		panic(fmt.Sprintf("%s=%q: %v", variable, seed, err))
	}
}
