// Command revproxy is the floor for a Go gateway: the standard library's
// reverse proxy, flushing at once, with enough idle upstream connections.
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9101", "listen address")
	upstream := flag.String("upstream", "http://127.0.0.1:9100", "where requests go")
	whole := flag.Bool("buffer", false, "read the whole request body before sending it on; "+
		"without it about one stream in a thousand is cut off under load")
	flag.Parse()
	base, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	var handler http.Handler = proxy(base)
	if *whole {
		handler = readFirst(handler)
	}
	log.Fatal(http.ListenAndServe(*addr, handler))
}

func proxy(base *url.URL) *httputil.ReverseProxy {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.DisableCompression = 0, 1024, true
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(base) },
		Transport:     t,
		FlushInterval: -1,
	}
}

// readFirst reads the request's body before next sees it.
func readFirst(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		next.ServeHTTP(w, r)
	})
}
