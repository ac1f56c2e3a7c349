package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// errLeaving is why a node is not ready that was asked to stop.
var errLeaving = errors.New("this node is shutting down")

func (x *exchange) getHealth() { x.sendJSON(http.StatusOK, []byte(`{"status":"ok"}`)) }

func (x *exchange) getReady() {
	err := x.server.service.Ready()
	if x.server.leaving.Load() {
		err = errLeaving
	}
	if err != nil {
		x.refuse(&refusal{status: http.StatusServiceUnavailable, text: err.Error(), code: "not_ready"})
		return
	}
	x.sendJSON(http.StatusOK, []byte(`{"status":"ready"}`))
}

func (x *exchange) getCluster() { x.sendView(x.server.service.ClusterHealth(x.r.Context())) }

func (x *exchange) getPartitions() { x.sendView(x.server.service.PartitionsHealth(x.r.Context())) }

// getSafeToStop answers 409 when it is not, with what would not be served.
func (x *exchange) getSafeToStop() {
	q, err := url.ParseQuery(x.r.URL.RawQuery)
	names := q[paramNode]
	others := slices.Sorted(maps.Keys(q))
	others = slices.DeleteFunc(others, func(name string) bool { return name == paramNode })
	switch {
	case err != nil:
		err = invalid("The parameters have a bad percent-encoding")
	case len(others) > 0:
		err = unknownParameter(others[0], paramNode)
	case len(names) != 1 || names[0] == "":
		err = invalid("Name one member: /cluster/safe-to-stop?node=NAME")
	}
	if err != nil {
		x.fail(err)
		return
	}
	v, err := x.server.service.SafeToStop(x.r.Context(), names[0])
	switch {
	case err != nil:
		x.fail(err)
	case v.Safe:
		x.sendView(v)
	default:
		x.sendViewAs(http.StatusConflict, struct {
			Error string `json:"error"`
			Code  string `json:"code"`
			kv.SafeView
		}{v.Why(), "not_safe", v})
	}
}

func (x *exchange) getOwner() {
	q, err := parseQuery(x.r.URL.RawQuery, paramKey)
	if err == nil && len(q.key) == 0 {
		err = errMissingKey
	}
	if err == nil && len(q.key) > kv.MaxKeyBytes {
		err = kv.ValidateKey(q.key)
	}
	if err != nil {
		x.fail(err)
		return
	}
	// The outer Key hides the view's: encoding/json would make one replacement character of
	// every byte that is not UTF-8.
	x.sendView(struct {
		Key json.RawMessage `json:"key"`
		kv.OwnerView
	}{jsontext.AppendString(nil, q.key), x.server.service.Owner(q.key)})
}

// sendView answers one of the views of the cluster, which are small and rarely asked for.
func (x *exchange) sendView(view any) { x.sendViewAs(http.StatusOK, view) }

func (x *exchange) sendViewAs(status int, view any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(view); err != nil {
		x.fail(err)
		return
	}
	x.sendJSON(status, bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}

func (x *exchange) getMetrics() {
	x.sent()
	x.server.gather.ServeHTTP(x.w, x.r)
}
