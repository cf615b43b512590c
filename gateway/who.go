package gateway

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/sigv4"
)

// heads holds the memory in which request heads are put together for the
// authenticator.
var heads = sync.Pool{New: func() any { return new(identity.Request) }}

// authenticate finds out who sent r. It works on the request target as it was
// sent, which is also what is routed.
func (d *door) authenticate(r *http.Request, body []byte, now time.Time, isRuntime bool) (*outcrop.Principal, error) {
	if d.who.Open() {
		if err := samePage(r); err != nil {
			return nil, err
		}
	}
	head := heads.Get().(*identity.Request)
	defer func() {
		*head = identity.Request{Head: sigv4.Request{Fields: head.Head.Fields[:0]}}
		heads.Put(head)
	}()
	fields := sigv4.AppendFields(head.Head.Fields[:0], r.Header)
	if r.ContentLength >= 0 && r.Header.Get("Content-Length") == "" {
		fields = append(fields, sigv4.Field{Name: "Content-Length", Value: strconv.FormatInt(r.ContentLength, 10)})
	}
	head.Head = sigv4.Request{Method: r.Method, URI: r.RequestURI, Host: r.Host, Fields: fields}
	head.Presigned = isRuntime
	return d.who.Authenticate(head, body, now)
}
