package conformance_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

func TestTheServerStartsWithoutAnything(t *testing.T) {
	t.Parallel()
	s := &server{Data: filepath.Join(t.TempDir(), "data"), out: &output{}, err: &output{}, ended: make(chan struct{})}
	s.command = program("serve", "--addr", "127.0.0.1:0", "--data", s.Data)
	s.command.Env, s.command.Dir, s.command.Stdout, s.command.Stderr = cleanEnvironment(), t.TempDir(), s.out, s.err
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exit = s.command.Wait(); close(s.ended) }()
	defer s.stop()
	if !s.ready() {
		t.Fatalf("it does not start:\n%s%s", s.out, s.err)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		response, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", path, response.Status)
		}
	}
}

func TestTerminationLetsStreamsEnd(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	out, err := runtimeOf(s, "a", "b", 1).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku),
		Messages: turn("Hello"), InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(10)}, RequestMetadata: map[string]string{"fault": "slow"}})
	if err != nil {
		t.Fatal(err)
	}
	events := out.GetStream().Events()
	<-events // the stream has begun
	_ = s.command.Process.Signal(syscall.SIGTERM)
	complete := false
	for event := range events {
		_, complete = event.(*types.ConverseStreamOutputMemberMetadata)
	}
	if err := out.GetStream().Err(); err != nil || !complete {
		t.Errorf("the stream is cut off: complete %v, error %v", complete, err)
	}
	s.wait(stopTimeout)
	if s.exit != nil {
		t.Errorf("exit: %v", s.exit)
	}
}

func TestTerminationIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, simulator()+"limits: {drain_timeout: 1s}\n")
	out, err := runtimeOf(s, "a", "b", 1).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku),
		Messages: turn("Tell me a long story"), InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(1000)}, RequestMetadata: map[string]string{"fault": "slow"}})
	if err != nil {
		t.Fatal(err)
	}
	<-out.GetStream().Events()
	begin := time.Now()
	s.stop()
	if took := time.Since(begin); took > 20*time.Second { // the stream alone would take minutes
		t.Errorf("the server ends after %s", took)
	}
	out.GetStream().Close()
}

func TestASecondServerOnOneDataFolderSaysSoAndExits(t *testing.T) {
	t.Parallel()
	first := start(t, simulator())
	second := &server{Data: first.Data, Config: first.Config, out: &output{}, err: &output{}, ended: make(chan struct{})}
	second.run(t).wait(startTimeout)
	if second.exit == nil {
		t.Fatal("the second server ends without an error")
	}
	if said := second.err.String(); !strings.Contains(said, first.Data) {
		t.Errorf("it does not name the folder: %s", said)
	}
	if err := first.askAs(t, "a", "b", haiku); err != nil {
		t.Errorf("the first server is hurt: %v", err)
	}
}

func TestAnOpenServerRefusesToListenBeyondLoopback(t *testing.T) {
	t.Parallel()
	s := launch(t, "sim: {speed: 0}\n", "--addr", "0.0.0.0:0")
	s.wait(startTimeout)
	if s.exit == nil {
		t.Fatal("it listens for everybody")
	}
	if said := s.err.String(); !strings.Contains(said, "loopback") || !strings.Contains(said, "keys add") {
		t.Errorf("it does not say why: %s", said)
	}
}

func TestAServerWithAKeyListensBeyondLoopback(t *testing.T) {
	t.Parallel()
	s := launch(t, "sim: {speed: 0}\n")
	if !s.ready() {
		t.Fatal(s.err)
	}
	s.addKey(t)
	s.stop()
	again := &server{Data: s.Data, Config: s.Config, out: &output{}, err: &output{}, ended: make(chan struct{})}
	again.run(t, "--addr", "0.0.0.0:0")
	if !again.ready() {
		t.Errorf("it does not start: %s", again.err)
	}
	again.stop()
}

func TestReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "keys: open\nsim:\n  speed: 0\n  replies: [{match: '^which$', text: 'the first'}]\n")
	ask := func() string {
		out, err := runtimeOf(s, "a", "b", 1).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("which")})
		if err != nil {
			return err.Error()
		}
		return answerText(out)
	}
	if got := ask(); got != "the first" {
		t.Fatalf("the answer is %q", got)
	}
	writeFile(t, s.Config, "keys: open\nsim:\n  speed: 0\n  replies: [{match: '^which$', text: 'the second'}]\nno_such_key: 1\n")
	_ = s.command.Process.Signal(syscall.SIGHUP)
	if !s.err.wait(takeEffect, s.ended, func(said string) bool { return strings.Contains(said, "no_such_key") }) {
		t.Errorf("the mistake is not reported: %s", s.err)
	}
	if got := ask(); got != "the first" {
		t.Errorf("a broken file changed the answer to %q", got)
	}
	writeFile(t, s.Config, "keys: open\nsim:\n  speed: 0\n  replies: [{match: '^which$', text: 'the third'}]\n")
	_ = s.command.Process.Signal(syscall.SIGHUP)
	if !eventually(takeEffect, func() bool { return ask() == "the third" }) {
		t.Errorf("the new file does not hold: %q\n%s", ask(), s.err)
	}
}

func TestMistakesInTheFileAreAllReported(t *testing.T) {
	t.Parallel()
	s := launch(t, "listen: nowhere\nmodels:\n  - id: meta.llama3-1-8b-instruct-v1:0\n    engines:\n      - {url: 'http://127.0.0.1:1', model: m, max_concurency: 4}\nlog: {format: xml}\n", "--addr", "127.0.0.1:0")
	s.wait(startTimeout)
	if s.exit == nil {
		t.Fatal("it starts")
	}
	for _, want := range []string{"outcrop.yaml:", "max_concurency", "max_concurrency", "xml", "^"} {
		if said := s.err.String(); !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
}

// certificate writes a self-signed one for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "outcrop"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return certFile, keyFile, pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t)
	s := start(t, simulator(), "--tls-cert", certFile, "--tls-key", keyFile)
	if !strings.HasPrefix(s.URL, "https://") {
		t.Fatalf("the address is %s", s.URL)
	}
	for _, protocols := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: protocols == "HTTP/2.0"}
		client := bedrockruntime.New(bedrockruntime.Options{BaseEndpoint: aws.String(s.URL), Region: "us-east-1", RetryMaxAttempts: 1,
			HTTPClient: &http.Client{Transport: transport}, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
			})})
		if _, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello")}); err != nil {
			t.Errorf("%s: %v", protocols, err)
		}
		response, err := (&http.Client{Transport: transport}).Get(s.URL + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.Proto != protocols {
			t.Errorf("the protocol is %s, want %s", response.Proto, protocols)
		}
		transport.CloseIdleConnections()
	}
}

func TestLogIsOneLineForEachInvocation(t *testing.T) {
	t.Parallel()
	s := start(t, "keys: open\nlog: {format: json, level: info}\nsim: {speed: 0}\n")
	const canary = "a-prompt-that-must-not-be-logged"
	if _, err := runtimeOf(s, "a", "b", 1).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn(canary)}); err != nil {
		t.Fatal(err)
	}
	if !s.err.wait(takeEffect, s.ended, func(said string) bool { return strings.Contains(said, haiku) }) {
		t.Fatalf("no line names the model: %s", s.err)
	}
	lines := 0
	for line := range strings.Lines(s.err.String()) {
		if strings.Contains(line, haiku) {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines name the model:\n%s", lines, s.err)
	}
	if strings.Contains(s.err.String(), canary) {
		t.Error("the prompt stands in the log")
	}
}

func TestSimulatorServesOpenAIsAPI(t *testing.T) {
	t.Parallel()
	out, errs, ended := &output{}, &output{}, make(chan struct{})
	c := program("sim", "--addr", "127.0.0.1:0")
	c.Env, c.Dir, c.Stdout, c.Stderr = cleanEnvironment(), t.TempDir(), out, errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(ended) }()
	defer func() { _ = c.Process.Signal(syscall.SIGTERM); <-ended }()
	var url string
	if !out.wait(startTimeout, ended, func(said string) bool {
		if m := readyURL.FindString(said + errs.String()); m != "" {
			url = m
		}
		return url != ""
	}) {
		t.Fatalf("it does not tell its address: %s%s", out, errs)
	}
	response, err := http.Get(url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	models, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || !strings.Contains(string(models), `"object"`) {
		t.Errorf("/v1/models answers %s: %s", response.Status, models)
	}
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	found := false
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		found = found || strings.HasPrefix(lines.Text(), "vllm:num_requests_running")
	}
	if !found {
		t.Error("no vLLM metrics")
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	writeFile(t, bad, "no_such_key: 1\n")
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"version"}, 0},
		{[]string{"check-config", bad}, 6},
		{[]string{"serve", "--no-such-flag"}, 2},
		{[]string{"no-such-command"}, 2},
		{[]string{"keys", "revoke", "AKIANOBODY", "--data", t.TempDir()}, 3},
	} {
		command := program(c.args...)
		command.Env, command.Dir = cleanEnvironment(), t.TempDir()
		out, err := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != c.want {
			t.Errorf("outcrop %s: exit %d, want %d (%v)\n%s", strings.Join(c.args, " "), got, c.want, err, out)
		}
	}
}
