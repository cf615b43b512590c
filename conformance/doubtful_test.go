package conformance_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A verdict is what becomes of a request to the foreign store. The zero value
// lets it pass.
type verdict struct {
	wait   time.Duration // before anything else
	status int           // that is answered, with code, in place of the store
	code   string
	reset  bool // the connection breaks before the store has got the request
	late   bool // it breaks when the store has done what was asked
	cut    bool // it breaks in the middle of the answer
}

// A doubtful is a store of objects behind a line on which things happen.
type doubtful struct {
	store *httputil.ReverseProxy

	mu    sync.Mutex
	fault func(r *http.Request) verdict // called one at a time
}

// ServeHTTP implements http.Handler.
func (d *doubtful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	v := d.fault(r)
	d.mu.Unlock()
	select {
	case <-time.After(v.wait):
	case <-r.Context().Done():
	}
	switch {
	case v.reset:
		panic(http.ErrAbortHandler)
	case v.status != 0:
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(v.status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>On the line.</Message></Error>", v.code)
		}
	case v.late, v.cut:
		answer := httptest.NewRecorder()
		d.store.ServeHTTP(answer, r)
		if v.cut {
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		}
		panic(http.ErrAbortHandler)
	default:
		d.store.ServeHTTP(w, r)
	}
}

// during has the fault happen from now on.
func (d *doubtful) during(fault func(r *http.Request) verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func noFault(*http.Request) verdict { return verdict{} }

// foreignFile is a file of two chunks, whose output is written in two parts.
func foreignFile() (f killedFile) {
	f.inputs = map[string]string{}
	text := strings.Repeat("what is it that we want to know ", 1250)
	for i := range 300 {
		id, most := fmt.Sprintf("r%d", i), "4"
		if i%poisoned == 0 {
			most = `"many"`
		}
		f.inputs[id] = fmt.Sprintf(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":%s,"messages":[{"role":"user","content":"%d %s"}]}`, most, i, text)
		f.text = fmt.Appendf(f.text, `{"recordId":"%s","modelInput":%s}`+"\n", id, f.inputs[id])
	}
	return f
}

// abroad is a server whose batch jobs are on another S3, which is another
// server's, with a doubtful line between the two.
type abroad struct {
	server, store *server
	line          *doubtful
	owner         *owner // of the buckets and jobs, and as whom the store is asked past the line
	file          killedFile
	jobs          int
}

func goAbroad(t *testing.T) *abroad {
	t.Helper()
	a := &abroad{store: start(t, "keys: open\nlog: {level: warn}\nsim: {speed: 0}\n"), owner: &owner{key: key{ID: "a", Secret: "b"}, account: "000000000000", bucket: "foreign"}, file: foreignFile()}
	to, err := url.Parse(a.store.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.line = &doubtful{store: httputil.NewSingleHostReverseProxy(to), fault: noFault}
	front := httptest.NewServer(a.line)
	t.Cleanup(front.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, "any-will-do")
	a.server = start(t, strings.NewReplacer("keys: required", "keys: open", "batch: {", "batch: {chunks: 1, ").Replace(killedConfig(0))+"s3: {endpoint: '"+front.URL+"', region: us-east-1, path_style: true, access_key: {file: '"+secret+"'}, secret_key: {file: '"+secret+"'}}\n")
	if _, err := a.owner.files(a.store).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &a.owner.bucket}); err != nil {
		t.Fatal(err)
	}
	a.put(t, "in/a.jsonl", a.file.text)
	return a
}

func (a *abroad) put(t *testing.T, key string, body []byte) {
	t.Helper()
	if _, err := a.owner.files(a.store).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &a.owner.bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

// run runs a job while the fault happens. Whenever its output can be seen, it
// must be whole.
func (a *abroad) run(t *testing.T, fault func(r *http.Request) verdict) (j jobState) {
	t.Helper()
	a.line.during(fault)
	a.jobs++
	a.owner.submit(t, a.server, "job-"+strconv.Itoa(a.jobs))
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if j = a.owner.state(t, a.server); j.ended() {
			return j
		}
		if time.Now().After(end) {
			t.Fatalf("the job is stuck: %+v\n%s", j, tail(a.server.err.String()))
		}
		out, err := a.owner.files(a.store).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &a.owner.bucket, Key: aws.String("out/" + a.owner.job + "/a.jsonl.out")})
		if err == nil && *out.ContentLength < int64(len(a.file.text)) {
			t.Fatalf("an output of %d bytes can be seen", *out.ContentLength)
		}
	}
}

// first is a fault of the first n requests that are meant.
func first(n int, meant func(*http.Request) bool, v verdict) func(*http.Request) verdict {
	return func(r *http.Request) verdict {
		if n > 0 && meant(r) {
			n--
			return v
		}
		return verdict{}
	}
}

// each is a fault of every third request.
func each(v verdict) func(*http.Request) verdict {
	n := 0
	return func(r *http.Request) verdict {
		if n++; n%3 == 0 {
			return v
		}
		return verdict{}
	}
}

func every(*http.Request) bool { return true }
func reading(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".jsonl")
}
func changing(r *http.Request) bool { return writing(r) || r.Method == http.MethodDelete }

func writing(r *http.Request) bool { return r.Method == http.MethodPut || r.Method == http.MethodPost }

// TestJobsOnAFailingS3 wait, go on, and come to the same as without a fault.
func TestJobsOnAFailingS3WaitAndGoOn(t *testing.T) {
	t.Parallel()
	unavailable := verdict{status: 503, code: "SlowDown"}
	once := map[string]bool{}
	for name, fault := range map[string]func(*http.Request) verdict{
		"nothing":                       noFault,
		"it is down for a while":        first(4, every, unavailable),
		"writes fail for a while":       first(4, writing, verdict{status: 500, code: "InternalError"}),
		"reads fail for a while":        first(4, reading, verdict{status: 500, code: "InternalError"}),
		"every third request fails":     each(verdict{status: 500, code: "InternalError"}),
		"every third connection breaks": each(verdict{reset: true}),
		"it is slow":                    func(*http.Request) verdict { return verdict{wait: 250 * time.Millisecond} },
		"what is read breaks off":       first(4, reading, verdict{cut: true}),
		"an upload is gone": first(1, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") },
			verdict{status: 404, code: "NoSuchUpload"}),
		"uploads cannot be listed": always(func(r *http.Request) bool { return r.URL.Query().Has("uploads") && r.Method == http.MethodGet },
			verdict{status: 403, code: "AccessDenied"})(),
		"nobody hears of the first try of a write": func(r *http.Request) verdict {
			name := r.Method + r.URL.String()
			late := writing(r) && !once[name]
			once[name] = true
			return verdict{late: late}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := goAbroad(t)
			if j := a.run(t, fault); j.Status != "Completed" {
				t.Fatalf("%+v\n%s", j, tail(a.server.err.String()))
			}
			a.line.during(noFault)
			a.owner.exact(t, a.store, a.server, &a.file)
		})
	}
}

// TestJobsThatAForeignS3EndsSayWhy and leave no output.
func TestJobsThatAForeignS3EndsSayWhy(t *testing.T) {
	t.Parallel()
	a := goAbroad(t)
	denied := verdict{status: 403, code: "AccessDenied"}
	input, output := "s3://foreign/in/a.jsonl", "s3://foreign/out/"
	const readOnly = "the output becomes read-only while the job runs" // so that answers stay there
	for name, c := range map[string]struct {
		fault func() func(*http.Request) verdict
		want  string
	}{
		"the output cannot be written":           {always(writing, denied), "Access is denied: cannot write to " + output + "."},
		"the input cannot be read":               {always(reading, denied), "Access is denied: cannot read " + input + "."},
		"the input cannot be looked at":          {always(func(r *http.Request) bool { return r.Method == http.MethodHead }, denied), "Access is denied: cannot read " + input + "."},
		readOnly:                                 {afterPart(func() func(*http.Request) verdict { return always(changing, denied)() }), "Access is denied: cannot write to " + output + "."},
		"the input is denied while the job runs": {afterPart(always(reading, denied)), "Access is denied: cannot read " + input + "."},
		"the input is replaced while the job runs": {afterPart(func() func(*http.Request) verdict {
			a.put(t, "in/a.jsonl", append([]byte(nil), a.file.text[:len(a.file.text)/2]...))
			return noFault
		}), "The input " + input + " was changed while the job ran."},
		"the bucket is in another region": {always(every, verdict{status: 301, code: "PermanentRedirect"}), "The store refuses to read " + input + ". S3: cannot look at " + input + ": S3 refuses the request (MovedPermanently)."},
	} {
		t.Run(name, func(t *testing.T) {
			a.put(t, "in/a.jsonl", a.file.text)
			if j := a.run(t, c.fault()); j.Status != "Failed" || j.Message != c.want {
				t.Errorf("%+v, want %s\n%s", j, c.want, tail(a.server.err.String()))
			}
			a.line.during(noFault)
			var left []string
			if !eventually(takeEffect, func() bool {
				left = slices.DeleteFunc(a.owner.left(t, a.store), func(key string) bool { return name == readOnly && strings.Contains(key, "/.parts/0") })
				return len(left) == 0
			}) {
				t.Errorf("the job has left %v", left)
			}
		})
	}
}

// always is a fault of all requests that are meant.
func always(meant func(*http.Request) bool, v verdict) func() func(*http.Request) verdict {
	return func() func(*http.Request) verdict { return first(1<<30, meant, v) }
}

// afterPart is a fault that begins once the first answers have been written.
func afterPart(fault func() func(*http.Request) verdict) func() func(*http.Request) verdict {
	return func() func(*http.Request) verdict {
		var now func(*http.Request) verdict
		return func(r *http.Request) verdict {
			if now != nil {
				return now(r)
			}
			if writing(r) && strings.Contains(r.URL.Path, "/.parts/0") {
				now = fault()
			}
			return verdict{}
		}
	}
}
