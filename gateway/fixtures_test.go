package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/store"
)

// TestMain looks for goroutines that are left over. Two of the library in the
// built-in S3 do not count: a clock of the process, and one that sees that its
// server has ended when it wakes up, some seconds later.
func TestMain(m *testing.M) {
	if err := migrate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	haiku        = "anthropic.claude-3-haiku-20240307-v1:0"
	haikuPath    = "/model/anthropic.claude-3-haiku-20240307-v1%3A0"
	conversePath = haikuPath + "/converse"
	streamPath   = haikuPath + "/converse-stream"
	hello        = `{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}`
)

// databases are those of a new data folder. To make them takes longer than most
// tests do.
var databases = map[string][]byte{"outcrop.db": nil, "batch.db": nil}

func migrate() error {
	data, err := os.MkdirTemp("", "outcrop-gateway-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	cfg, problems := config.Load("", nil, map[string]string{"data": data})
	if len(problems) > 0 {
		return errors.New(problems.String())
	}
	s, err := gateway.New(cfg, meter.NewLog(io.Discard, meter.JSON, slog.LevelInfo))
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	for name := range databases {
		if databases[name], err = os.ReadFile(filepath.Join(data, name)); err != nil {
			return err
		}
	}
	return nil
}

// dataFolder returns a data folder in which no server has run.
func dataFolder(t testing.TB) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range databases {
		if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// fast is a configuration in which the simulator answers at once.
const fast = "listen: 127.0.0.1:0\nsim: {speed: 0}\n"

// engineSecrets are the environment of every configuration.
var engineSecrets = []string{"ENGINE_ID=AKIAENGINE", "ENGINE_KEY=engine-secret"}

// load loads a configuration whose data folder is a new one.
func load(t testing.TB, yaml string) *config.Config {
	t.Helper()
	return loadAt(t, yaml, dataFolder(t))
}

// loadAt loads a configuration with the data folder.
func loadAt(t testing.TB, yaml, data string) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "outcrop.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(file, engineSecrets, map[string]string{"data": data})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg
}

// A house is a running server.
type house struct {
	*gateway.Server
	URL   string
	data  string
	log   *output
	stop  func() error // ends Run and returns its error; safe to call again
	close func() error // after stop; safe to call again
}

// An output is a log that can be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// lines returns the log's lines whose msg is the one given.
func (o *output) lines(t testing.TB, msg string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for text := range strings.Lines(o.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	return found
}

// newServer wires a server; it is closed with the test.
func newServer(t testing.TB, cfg *config.Config) *house {
	t.Helper()
	h := &house{log: &output{}, data: cfg.Data}
	s, err := gateway.New(cfg, meter.NewLog(h.log, meter.JSON, slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	h.Server, h.close = s, sync.OnceValue(s.Close)
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// start runs a server with the configuration on a free port of loopback.
func start(t testing.TB, yaml string) *house {
	t.Helper()
	return startOn(t, load(t, yaml))
}

func startOn(t testing.TB, cfg *config.Config) *house {
	t.Helper()
	h := newServer(t, cfg)
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.URL = h.Server.URL()
	h.run(t)
	return h
}

func (h *house) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func (h *house) addr() string {
	_, addr, _ := strings.Cut(h.URL, "//")
	return addr
}

// A pipes is a listener without a network, which lives in the time of a
// synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// startPiped runs a server over pipes; a test in a bubble talks to it.
func startPiped(t testing.TB, yaml string) (*house, *pipes) {
	t.Helper()
	h := newServer(t, load(t, yaml))
	return h, h.pipe(t)
}

// pipe runs the server over pipes.
func (h *house) pipe(t testing.TB) *pipes {
	p := newPipes()
	h.ListenOn(p)
	h.URL = "http://localhost"
	h.run(t)
	return p
}

func (p *pipes) connect(t testing.TB) net.Conn {
	t.Helper()
	c, err := p.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newClient returns a client that keeps no connection beyond the test.
func newClient(t testing.TB, transport *http.Transport) *http.Client {
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// A reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	closes bool // it says that the connection ends with it
}

func (r reply) code() string {
	code, _, _ := strings.Cut(r.header.Get("X-Amzn-Errortype"), ":")
	return code
}

func (r reply) message() string {
	var body struct{ Message string }
	_ = json.Unmarshal([]byte(r.body), &body)
	return body.Message
}

// ask sends a request with any credentials.
func (h *house) ask(t testing.TB, client *http.Client, method, path, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anything")
	return do(t, client, req)
}

func do(t testing.TB, client *http.Client, req *http.Request) reply {
	t.Helper()
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{r.StatusCode, r.Header, string(body), r.Close}
}

// raw sends bytes on a connection of their own and returns all answers until
// the server closes it; open tells that it did not.
func (h *house) raw(t testing.TB, sent string) (answers []reply) {
	t.Helper()
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(c, sent) }() // the server may answer before it has read all
	return answersOf(t, c)
}

// answersOf reads answers from c until the server closes it.
func answersOf(t testing.TB, c net.Conn) (answers []reply) {
	t.Helper()
	r := bufio.NewReader(c)
	for {
		answer, err := readAnswer(r)
		if err == io.EOF || err != nil && len(answers) > 0 {
			return answers
		}
		if err != nil {
			t.Fatalf("after %d answers: %v", len(answers), err)
		}
		answers = append(answers, answer)
	}
}

func readAnswer(r *bufio.Reader) (reply, error) {
	if _, err := r.Peek(1); err != nil {
		return reply{}, io.EOF
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body), response.Close}, err
}

// request writes a request head and body; extra lines end with \r\n.
func request(method, path, extra, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, extra, len(body), body)
}

// aKey makes an access key and adds it to the data folder.
func aKey(t testing.TB, data string, change func(*identity.Key)) (id, secret string) {
	t.Helper()
	id, s := identity.NewAccessKey()
	key := identity.Key{Kind: identity.KindSigV4, Secret: s, Created: time.Now(),
		Principal: outcrop.Principal{KeyID: id, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/test"}}
	if change != nil {
		change(&key)
	}
	addKey(t, data, key)
	return id, s.Reveal()
}

// aBearer makes an API key and adds it to the data folder.
func aBearer(t testing.TB, data string) (id, token string) {
	t.Helper()
	id, s := identity.NewAPIKey("111122223333")
	addKey(t, data, identity.Key{Kind: identity.KindBearer, Hash: identity.HashToken(s.Reveal()), Created: time.Now(),
		Principal: outcrop.Principal{KeyID: id, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/" + id}})
	return id, s.Reveal()
}

func addKey(t testing.TB, data string, key identity.Key) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func revoke(t testing.TB, data, id string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.RevokeKey(t.Context(), id, time.Now()); err != nil {
		t.Fatal(err)
	}
}
