package resp

import (
	"fmt"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strings"
	"sync"
	"time"

	"pxkv/node/kv"
)

// redisVersion is the version of Redis whose commands these are.
const redisVersion = "7.0.15"

// sections are the parts of INFO.
var sections = []struct {
	name  string
	write func(*Server, *strings.Builder)
}{
	{"Server", (*Server).infoServer},
	{"Clients", (*Server).infoClients},
	{"Memory", (*Server).infoMemory},
	{"Persistence", (*Server).infoPersistence},
	{"Stats", (*Server).infoStats},
	{"Replication", (*Server).infoReplication},
	{"Cluster", (*Server).infoCluster},
	{"Keyspace", (*Server).infoKeyspace},
}

// infoCommand answers INFO.
func infoCommand(h *handler, args [][]byte) {
	var b strings.Builder
	for _, part := range sections {
		wanted := len(args) == 1
		for _, a := range args[1:] {
			wanted = wanted || is(a, "default") || is(a, "all") || is(a, "everything") ||
				is(a, strings.ToLower(part.name))
		}
		if !wanted {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + part.name + "\r\n")
		part.write(h.server, &b)
	}
	h.text(b.String())
}

func (s *Server) infoServer(b *strings.Builder) {
	up := time.Since(s.started)
	fmt.Fprintf(b, "redis_version:%s\r\npxkv_version:%s\r\nredis_mode:cluster\r\nos:%s %s\r\narch_bits:%d\r\n",
		redisVersion, s.opt.Version, runtime.GOOS, runtime.GOARCH, 32<<(^uint(0)>>63))
	fmt.Fprintf(b, "process_id:%d\r\ntcp_port:%s\r\n", os.Getpid(), s.port())
	fmt.Fprintf(b, "server_time_usec:%d\r\nuptime_in_seconds:%d\r\nuptime_in_days:%d\r\n",
		time.Now().UnixMicro(), int(up.Seconds()), int(up.Hours()/24))
}

func (s *Server) infoClients(b *strings.Builder) {
	fmt.Fprintf(b, "connected_clients:%d\r\nmaxclients:%d\r\nblocked_clients:0\r\n",
		s.listener.Open(), s.opt.MaxConns)
}

func (s *Server) infoMemory(b *strings.Builder) {
	samples := []runtimemetrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"},
	}
	runtimemetrics.Read(samples)
	fmt.Fprintf(b, "used_memory:%d\r\nused_memory_rss:%d\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
		samples[0].Value.Uint64(), samples[1].Value.Uint64())
}

func (s *Server) infoPersistence(b *strings.Builder) {
	b.WriteString("loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\n" +
		"aof_enabled:1\r\naof_rewrite_in_progress:0\r\n")
}

func (s *Server) infoStats(b *strings.Builder) {
	fmt.Fprintf(b, "total_connections_received:%d\r\ntotal_commands_processed:%d\r\n",
		s.nextID.Load(), s.processed.Load())
}

func (s *Server) infoReplication(b *strings.Builder) {
	b.WriteString("role:master\r\nconnected_slaves:0\r\n")
}

func (s *Server) infoCluster(b *strings.Builder) { b.WriteString("cluster_enabled:1\r\n") }

// infoKeyspace tells about how many keys there are; DBSIZE counts them.
func (s *Server) infoKeyspace(b *strings.Builder) {
	if n := s.keys.about(s); n > 0 {
		fmt.Fprintf(b, "db0:keys=%d,expires=0,avg_ttl=0\r\n", n)
	}
}

const (
	// estimateLives is for how long an estimate of the number of keys is good: INFO may be asked every
	// second, by many.
	estimateLives = 2 * time.Second
	// estimatePatience is how long INFO waits for one; libraries ask it before they do anything else.
	estimatePatience = 300 * time.Millisecond
)

// keyCount is the last estimate of the number of keys.
type keyCount struct {
	mu   sync.Mutex
	made time.Time
	keys int64
}

// about returns an estimate, the former one when none can be had in time; 0: there was none yet.
func (k *keyCount) about(s *Server) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.made.IsZero() && time.Since(k.made) < estimateLives {
		return k.keys
	}
	ctx := kv.NewDeadline(s.base, time.Now().Add(estimatePatience))
	defer ctx.Release()
	if n, err := s.service.EstimateKeys(ctx); err == nil {
		k.keys = n
	}
	k.made = time.Now()
	return k.keys
}
