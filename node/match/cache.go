package match

import (
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"pxkv/node/kv"
)

// cached is how many filters a Cache remembers. One takes as much as its pattern is wide: up to about a megabyte, and
// a few kilobytes in practice.
const cached = 32

// Cache remembers the filters that were compiled last, for a list asks each partition for page after page with the
// same one. It is safe for use by many goroutines.
type Cache struct {
	filters *lru.Cache[kv.Filter, *Filter]
}

// NewCache returns an empty Cache.
func NewCache() *Cache {
	filters, err := lru.New[kv.Filter, *Filter](cached)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Cache{filters}
}

// Compile is Compile, done once for equal filters while they are remembered. What is refused is not remembered.
func (c *Cache) Compile(f kv.Filter) (*Filter, *kv.Error) {
	if compiled, ok := c.filters.Get(f); ok {
		return compiled, nil
	}
	compiled, err := Compile(f)
	if err == nil && compiled != nil {
		for _, text := range []*string{&f.Glob, &f.Regex, &f.Type, &f.Where} {
			*text = strings.Clone(*text) // it may be a piece of a long request
		}
		c.filters.Add(f, compiled)
	}
	return compiled, err
}
