package resp

import (
	"fmt"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strings"
	"time"

	"pxkv/node/kv"
)

// redisVersion is the version of Redis whose commands these are.
const redisVersion = "7.0.15"

// sections are the parts of INFO. Those that cost a walk over all keys are only shown when
// they are asked for by name, or with "all" or "everything".
var sections = []struct {
	name   string
	costly bool
	write  func(*conn, *strings.Builder)
}{
	{"Server", false, (*conn).infoServer},
	{"Clients", false, (*conn).infoClients},
	{"Memory", false, (*conn).infoMemory},
	{"Persistence", false, (*conn).infoPersistence},
	{"Stats", false, (*conn).infoStats},
	{"Replication", false, (*conn).infoReplication},
	{"Cluster", false, (*conn).infoCluster},
	{"Keyspace", true, (*conn).infoKeyspace},
}

// info answers INFO.
func (c *conn) info(args [][]byte) {
	var b strings.Builder
	for _, s := range sections {
		wanted := len(args) == 1 && !s.costly
		for _, a := range args[1:] {
			wanted = wanted || is(a, "default") && !s.costly || is(a, "all") || is(a, "everything") || is(a, strings.ToLower(s.name))
		}
		if !wanted {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + s.name + "\r\n")
		s.write(c, &b)
	}
	c.text(b.String())
}

func (c *conn) infoServer(b *strings.Builder) {
	up := time.Since(c.server.started)
	fmt.Fprintf(b, "redis_version:%s\r\npxkv_version:%s\r\nredis_mode:cluster\r\nos:%s %s\r\narch_bits:%d\r\nprocess_id:%d\r\ntcp_port:%s\r\n",
		redisVersion, c.server.opt.Version, runtime.GOOS, runtime.GOARCH, 32<<(^uint(0)>>63), os.Getpid(), c.server.port())
	fmt.Fprintf(b, "server_time_usec:%d\r\nuptime_in_seconds:%d\r\nuptime_in_days:%d\r\n", time.Now().UnixMicro(), int(up.Seconds()), int(up.Hours()/24))
}

func (c *conn) infoClients(b *strings.Builder) {
	fmt.Fprintf(b, "connected_clients:%d\r\nmaxclients:%d\r\nblocked_clients:0\r\n", int(c.server.clients()), c.server.opt.MaxConns)
}

func (c *conn) infoMemory(b *strings.Builder) {
	samples := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	runtimemetrics.Read(samples)
	fmt.Fprintf(b, "used_memory:%d\r\nused_memory_rss:%d\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n", samples[0].Value.Uint64(), samples[1].Value.Uint64())
}

func (c *conn) infoPersistence(b *strings.Builder) {
	b.WriteString("loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\n")
}

func (c *conn) infoStats(b *strings.Builder) {
	fmt.Fprintf(b, "total_connections_received:%d\r\ntotal_commands_processed:%d\r\n", c.server.nextID.Load(), c.server.processed.Load())
}

func (c *conn) infoReplication(b *strings.Builder) {
	b.WriteString("role:master\r\nconnected_slaves:0\r\n")
}

func (c *conn) infoCluster(b *strings.Builder) { b.WriteString("cluster_enabled:1\r\n") }

func (c *conn) infoKeyspace(b *strings.Builder) {
	ctx := kv.NewDeadline(c.server.base, time.Now().Add(longList))
	defer ctx.Release()
	if n, err := c.server.service.CountKeys(ctx); err == nil && n > 0 {
		fmt.Fprintf(b, "db0:keys=%d,expires=0,avg_ttl=0\r\n", n)
	}
}
