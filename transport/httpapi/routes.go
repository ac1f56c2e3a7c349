package httpapi

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// route is a path and what each method does there.
type route struct {
	path    string
	methods []method
	allow   string // the Allow header of a 405
}

type method struct {
	name  string
	op    op
	serve func(*exchange)
}

const debugPrefix = "/debug/pprof/"

// The two paths of the data. They are matched by hand and not by ServeMux, which would
// clean and redirect paths, while in a key "//", ".." and a trailing slash are ordinary
// bytes.
var (
	collection = newRoute("/kv",
		method{"GET", opList, (*exchange).getCollection},
		method{"HEAD", opList, (*exchange).getCollection},
		method{"PUT", opPut, (*exchange).putPair},
		method{"DELETE", opDelete, (*exchange).deletePair})
	resource = newRoute("/kv/{key}",
		method{"GET", opGet, (*exchange).getRaw},
		method{"HEAD", opGet, (*exchange).getRaw},
		method{"PUT", opPut, (*exchange).putRaw},
		method{"DELETE", opDelete, (*exchange).deleteRaw},
		method{"POST", opIncr, (*exchange).addRaw})
	profiles = newRoute(debugPrefix,
		method{"GET", opDebug, (*exchange).getProfile},
		method{"POST", opDebug, (*exchange).getProfile})
)

func newRoute(path string, methods ...method) *route {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = m.name
	}
	return &route{path: path, methods: methods, allow: strings.Join(names, ", ")}
}

func newReadOnlyRoute(path string, o op, serve func(*exchange)) *route {
	return newRoute(path, method{"GET", o, serve}, method{"HEAD", o, serve})
}

// fixedRoutes are the routes that are matched by their whole path.
func fixedRoutes(debug bool) map[string]*route {
	m := make(map[string]*route)
	for _, r := range []*route{
		newRoute("/batch", method{"POST", opBatch, (*exchange).postBatch}),
		newReadOnlyRoute("/healthz", opHealth, (*exchange).getHealth),
		newReadOnlyRoute("/readyz", opHealth, (*exchange).getReady),
		newReadOnlyRoute("/cluster", opCluster, (*exchange).getCluster),
		newReadOnlyRoute("/cluster/partitions", opCluster, (*exchange).getPartitions),
		newReadOnlyRoute("/cluster/safe-to-stop", opCluster, (*exchange).getSafeToStop),
		newReadOnlyRoute("/cluster/owner", opCluster, (*exchange).getOwner),
		newReadOnlyRoute("/cluster/plan", opCluster, (*exchange).getPlan),
		newRoute("/cluster/leave",
			method{"POST", opCluster, (*exchange).postLeave},
			method{"DELETE", opCluster, (*exchange).deleteLeave}),
		newRoute("/cluster/replicas", method{"PUT", opCluster, (*exchange).putReplicas}),
		newRoute("/cluster/encryption",
			method{"GET", opCluster, (*exchange).getEncryption},
			method{"HEAD", opCluster, (*exchange).getEncryption},
			method{"POST", opCluster, (*exchange).postEncryption}),
		newReadOnlyRoute("/metrics", opMetrics, (*exchange).getMetrics),
		newReadOnlyRoute("/openapi.json", opOther, (*exchange).getOpenAPI),
	} {
		m[r.path] = r
	}
	if debug {
		for _, name := range []string{"", "cmdline", "profile", "symbol", "trace", "allocs", "block", "goroutine",
			"heap", "mutex", "threadcreate"} {
			m[debugPrefix+name] = profiles
		}
	}
	return m
}

// route finds the method that answers, or refuses. r.URL.Path is the percent-decoded
// path; RawPath is set when the client encoded more than it had to, and then tells a slash
// that is part of the key from one that is part of the route.
func (x *exchange) route() {
	path, escaped := x.r.URL.Path, x.r.URL.RawPath
	var found *route
	switch {
	case path == "/kv" && escaped == "":
		found = collection
	case strings.HasPrefix(path, "/kv/") && (escaped == "" || strings.HasPrefix(escaped, "/kv/")):
		found = resource
		if path == "/kv/" && (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) {
			found = collection
		}
	case strings.HasPrefix(path, membersPrefix) && (escaped == "" || strings.HasPrefix(escaped, membersPrefix)):
		found = member
	case escaped == "":
		found = x.server.fixed[path]
	}
	if found == nil {
		x.refuse(errInvalidPath)
		return
	}
	for i := range found.methods {
		if m := &found.methods[i]; m.name == x.r.Method {
			x.op = m.op
			if fromAnotherSite(x.r) {
				x.refuse(errCrossSite)
				return
			}
			m.serve(x)
			return
		}
	}
	x.refuse(&refusal{
		status: http.StatusMethodNotAllowed, code: "method", allow: found.allow,
		text: "Method " + quoted(x.r.Method) + " is not allowed here: use " + found.allow,
	})
}

// pathKey returns the key of a /kv/{key} path, which may be empty.
func (x *exchange) pathKey() []byte { return []byte(x.r.URL.Path[len("/kv/"):]) }

func (x *exchange) getProfile() {
	x.sent()
	switch strings.TrimPrefix(x.r.URL.Path, debugPrefix) {
	case "cmdline":
		pprof.Cmdline(x.w, x.r)
	case "profile":
		pprof.Profile(x.w, x.r)
	case "symbol":
		pprof.Symbol(x.w, x.r)
	case "trace":
		pprof.Trace(x.w, x.r)
	default:
		pprof.Index(x.w, x.r)
	}
}

// sent notes that another package's handler writes the answer.
func (x *exchange) sent() { x.status = http.StatusOK }
