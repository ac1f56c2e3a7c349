package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

var sameSite = http.NewCrossOriginProtection()

// fromAnotherSite reports whether a page of another site has made a browser send a request: nobody is asked who he is,
// and who can open a page may be where the ports are not reached from outside. GET and HEAD pass, and change nothing;
// and so does whatever says not that it is from a browser, as curl and all client libraries do.
//
// Browsers tell Sec-Fetch-Site only to https and to their own machine. Elsewhere the Origin decides, and net/http
// compares its text with that of the Host: "" is the host of null then, and a proxy's "kv:80" another one than "kv".
func fromAnotherSite(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	err := sameSite.Check(r)
	if site != "" || origin == "" || err == nil && r.Host != "" {
		return err != nil
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	return !safe && !isOrigin(origin, r.Host)
}

// isOrigin reports whether a host, with or without a port, is that of an origin.
func isOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	bare := func(s string) string { return strings.TrimSuffix(s, port) }
	return strings.EqualFold(bare(u.Host), bare(host))
}
