package resp

import (
	"bytes"
	"time"
)

// warnEvery is how often the log speaks of clients that speak HTTP.
const warnEvery = time.Minute

// isHTTP reports whether the first word of a command is one of an HTTP request: as in Redis, a
// POST, or the Host header, which is one of the first lines that a browser sends, whatever the
// method. The lines of such a request, its body included, would be carried out as commands: any
// page in a browser inside the network could write.
func isHTTP(word []byte) bool {
	return bytes.EqualFold(word, []byte("post")) || bytes.EqualFold(word, []byte("host:"))
}

// refuseHTTP closes the connection, without a word: whoever sent this reads no Redis.
func (s *Server) refuseHTTP(client *session) {
	s.metrics.strangers.Inc()
	if now := time.Now().UnixNano(); now-s.warned.Load() >= int64(warnEvery) {
		s.warned.Store(now)
		s.opt.Logger.Warn("a client sends HTTP requests to the Redis port: its connection is closed, "+
			"since a web page may try to write here (told once a minute)", "client", client.address())
	}
	client.quit = true
}
