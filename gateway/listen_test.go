package gateway_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/store"
)

func TestBothProtocolsOnOneCleartextPort(t *testing.T) {
	h := start(t, fast)
	for want, transport := range protocols() {
		client := newClient(t, transport)
		for _, path := range []string{conversePath, streamPath} {
			req, err := http.NewRequest("POST", h.URL+path, strings.NewReader(hello))
			if err != nil {
				t.Fatal(err)
			}
			r, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			body, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if err != nil || r.StatusCode != 200 || len(body) == 0 || !strings.HasPrefix(r.Proto, want) {
				t.Errorf("%s by %s: %d %s, %v", path, want, r.StatusCode, r.Proto, err)
			}
		}
	}
}

// certificate writes a certificate for localhost, and its key.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return certFile, keyFile, pool
}

func TestTLSWithBothProtocols(t *testing.T) {
	cert, key, pool := certificate(t)
	h := start(t, fast+"tls: {cert: "+cert+", key: "+key+"}\n")
	if !strings.HasPrefix(h.URL, "https://127.0.0.1:") {
		t.Errorf("the server is at %s", h.URL)
	}
	for want, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		client := newClient(t, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2})
		r, err := client.Post(h.URL+conversePath, "", strings.NewReader(hello))
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		if r.StatusCode != 200 || !strings.HasPrefix(r.Proto, want) {
			t.Errorf("%s: %d %s", want, r.StatusCode, r.Proto)
		}
	}
	old := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if c, err := tls.Dial("tcp", h.addr(), old); err == nil {
		_ = c.Close()
		t.Error("TLS 1.1 was taken")
	}
	answers := h.raw(t, request("GET", "/healthz", "", ""))
	if len(answers) != 1 || answers[0].status != 400 {
		t.Errorf("cleartext on the TLS port: %+v", answers)
	}
}

func TestACertificateThatCannotBeUsedIsSaidSo(t *testing.T) {
	cert, key, _ := certificate(t)
	_, otherKey, _ := certificate(t)
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, keyFile := range []string{key, otherKey} {
		h := newServer(t, load(t, fast+"tls: {cert: "+cert+", key: "+keyFile+"}\n"))
		if err := h.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot use the certificate") {
			t.Errorf("%s: %v", keyFile, err)
		}
	}
}

func TestAnOpenServerListensOnLoopbackAlone(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		h := newServer(t, load(t, "listen: '"+listen+"'\nsim: {speed: 0}\n"))
		err := h.Listen(t.Context())
		if err == nil {
			t.Fatalf("it listens on %s", listen)
		}
		for _, want := range []string{listen, "no key", "outcrop keys add", "127.0.0.1"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", listen, err)
			}
		}
	}
}

func TestAServerWithAKeyListensEverywhere(t *testing.T) {
	cfg := load(t, "listen: 0.0.0.0:0\nsim: {speed: 0}\n")
	_, token := aBearer(t, cfg.Data)
	h := startOn(t, cfg)
	if !strings.HasPrefix(h.URL, "http://localhost:") {
		t.Errorf("the server is at %s", h.URL)
	}
	if r := (caller{bearer: token}).ask(t, h, newClient(t, &http.Transport{}), "POST", conversePath, hello); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	h := start(t, fast)
	other := newServer(t, load(t, "listen: "+h.addr()+"\n"))
	if err := other.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), h.addr()) {
		t.Errorf("%v", err)
	}
}

func TestASecondServerOnTheSameDataFolderSaysWhoHasIt(t *testing.T) {
	h := start(t, fast)
	_, err := gateway.New(loadAt(t, fast, h.data), meter.NewLog(io.Discard, meter.JSON, slog.LevelInfo))
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.Dir != h.data || locked.PID != os.Getpid() || !strings.Contains(err.Error(), h.data) {
		t.Fatalf("%v", err)
	}
	if r := h.ask(t, newClient(t, &http.Transport{}), "POST", conversePath, hello); r.status != 200 {
		t.Errorf("the first server is hurt: %d", r.status)
	}
	_ = h.stop()
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	again, err := gateway.New(loadAt(t, fast, h.data), meter.NewLog(io.Discard, meter.JSON, slog.LevelInfo))
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestAServerThatCannotBeWiredLeavesNothingBehind(t *testing.T) {
	data := t.TempDir()
	bad := loadAt(t, fast+"models: [{id: a.b, engines: [{url: 'http://127.0.0.1:1', model: m}]}, {id: c.d, engines: [{kind: sim}]}]\n", data)
	bad.Models[1].Engines[0].Kind = "nonsense"
	log := meter.NewLog(io.Discard, meter.JSON, slog.LevelInfo)
	if _, err := gateway.New(bad, log); err == nil || !strings.Contains(err.Error(), "c.d") {
		t.Fatalf("%v", err)
	}
	s, err := gateway.New(loadAt(t, fast, data), log)
	if err != nil {
		t.Fatalf("the data folder is still taken: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	h := start(t, fast+"limits: {connections_per_address: 2}\n")
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", h.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		served(t, c)
	}
	over, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	_ = over.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(over, request("GET", "/healthz", "", ""))
	if _, err := bufio.NewReader(over).ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the third connection: %v", err)
	}
	served(t, open[0])
	_ = open[1].Close()
	until := time.Now().Add(time.Minute)
	for !canBeServed(h.addr()) {
		if time.Now().After(until) {
			t.Fatal("a closed connection still counts")
		}
	}
}

// served checks that a request on the connection is answered.
func served(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, request("GET", "/healthz", "", "")); err != nil {
		t.Fatal(err)
	}
	if r, err := readAnswer(bufio.NewReader(c)); err != nil || r.status != 200 {
		t.Fatalf("%v %+v", err, r)
	}
}

func canBeServed(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, request("GET", "/healthz", "", ""))
	r, err := readAnswer(bufio.NewReader(c))
	return err == nil && r.status == 200
}

func TestConnectionsInAllAreBoundedAndMoreWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := startPiped(t, fast+"limits: {connections: 2}\n")
		first, second := p.connect(t), p.connect(t)
		third := make(chan net.Conn, 1)
		go func() {
			c, err := p.dial(t.Context(), "", "")
			if err != nil {
				t.Error(err)
			}
			third <- c
		}()
		synctest.Wait()
		select {
		case <-third:
			t.Fatal("a third connection was accepted")
		default:
		}
		served(t, second)
		_ = first.Close()
		c := <-third
		served(t, c)
		_ = c.Close()
	})
}

func TestAFullServerStillStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast+"limits: {connections: 1, drain_timeout: 5s}\n")
		served(t, p.connect(t))
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSummarySaysWhatIsServedAndToWhom(t *testing.T) {
	engines := "models: [{id: meta.llama3-8b-instruct-v1:0, engines: [{url: 'http://127.0.0.1:1', model: m}]}, {id: my.own, engines: [{kind: sim}]}]\n"
	for yaml, want := range map[string]string{
		fast + engines:                      "1 models on your engines, 1 simulated; any credentials, loopback only",
		fast + engines + "keys: required\n": "1 models on your engines, 1 simulated; callers need a key",
	} {
		h := newServer(t, load(t, yaml))
		if got := h.Summary(); got != want {
			t.Errorf("%q", got)
		}
		if got := h.ExampleModel(); got != "meta.llama3-8b-instruct-v1:0" {
			t.Errorf("the example is %s", got)
		}
		if h.Region() != "us-east-1" {
			t.Errorf("the region is %s", h.Region())
		}
	}
	h := newServer(t, load(t, fast))
	if !strings.HasPrefix(h.Summary(), "0 models on your engines, ") || h.ExampleModel() != haiku {
		t.Errorf("%q, %s", h.Summary(), h.ExampleModel())
	}
}

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "192.0.2.1:80": false, "example.com:80": false, "localhost.example.com:80": false, "127.0.0.1": false, "": false,
	} {
		if got := gateway.IsLoopback(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}
