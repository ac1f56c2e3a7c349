package resp

import (
	"strconv"
	"strings"

	"pxkv/node/kv"
)

// settings are what CONFIG GET tells: what clients and tools ask a Redis for, with the values
// that are true here.
func (s *Server) settings() [][2]string {
	number := func(n int) string { return strconv.Itoa(n) }
	return [][2]string{
		{"appendfsync", "always"},
		{"appendonly", "yes"},
		{"cluster-enabled", "yes"},
		{"databases", "1"},
		{"maxclients", number(s.opt.MaxConns)},
		{"maxmemory", "0"},
		{"maxmemory-policy", "noeviction"},
		{"notify-keyspace-events", ""},
		{"port", s.port()},
		{"proto-max-bulk-len", number(s.opt.MaxValueBytes)},
		{"requirepass", ""},
		{"save", ""},
		{"slowlog-log-slower-than", strconv.FormatInt(s.opt.SlowAfter.Microseconds(), 10)},
		{"slowlog-max-len", number(s.opt.SlowKept)},
		{"timeout", strconv.FormatInt(int64(s.opt.IdleTimeout.Seconds()), 10)},
	}
}

func (s *Server) port() string {
	if a := s.Addr(); a != nil {
		return a.String()[strings.LastIndexByte(a.String(), ':')+1:]
	}
	return ""
}

// configGetCommand answers CONFIG GET, whose arguments are patterns.
func configGetCommand(h *handler, args [][]byte) {
	var chosen [][2]string
	for _, pair := range h.server.settings() {
		for _, pattern := range args[2:] {
			if kv.MatchGlob([]byte(strings.ToLower(string(pattern))), []byte(pair[0])) {
				chosen = append(chosen, pair)
				break
			}
		}
	}
	h.mapOf(len(chosen))
	for _, pair := range chosen {
		h.bulkText(pair[0])
		h.bulkText(pair[1])
	}
}
