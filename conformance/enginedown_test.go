package conformance_test

import (
	"bytes"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// waits counts the attempts at records that found no engine.
var waits = regexp.MustCompile(`(?m)^outcrop_batch_waits_total\{.*\} [1-9]\d\d`)

// TestAJobWaitsForAnEngineThatIsKilled and loses no record by it: what was with
// the engine when it was killed is run again, and no record is given up.
func TestAJobWaitsForAnEngineThatIsKilled(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	kill := simulated(t, addr)
	s := start(t, strings.NewReplacer("keys: required", "keys: open", "{kind: sim, speed: 0}", "{kind: openai, url: 'http://"+addr+"/v1', model: "+haiku+"}").Replace(killedConfig(0)))
	o, file := &owner{key: key{ID: "a", Secret: "b"}, account: "000000000000", bucket: "waiting"}, killedRecords(4000)
	if _, err := o.files(s).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &o.bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.files(s).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &o.bucket, Key: aws.String("in/a.jsonl"), Body: bytes.NewReader(file.text)}); err != nil {
		t.Fatal(err)
	}
	o.submit(t, s, "waits")
	if !eventually(takeEffect, func() bool { return o.state(t, s).ProcessedRecordCount > 0 }) {
		t.Fatalf("it does not begin: %+v\n%s", o.state(t, s), tail(s.err.String()))
	}
	kill()
	if !eventually(startTimeout, func() bool { return waits.MatchString(s.page(t, "/metrics")) }) {
		t.Errorf("hundreds of attempts are not made without the engine:\n%s", tail(s.page(t, "/metrics")))
	}
	if j := o.state(t, s); j.Status != "InProgress" {
		t.Errorf("without its engine the job is %+v", j)
	}
	simulated(t, addr)
	o.end(t, s)
	o.exact(t, s, s, &file)
	o.idle(t, s)
}

// freeAddr is an address on which nobody listens at the moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// simulated starts a simulated engine of its own process, and returns what kills
// it.
func simulated(t *testing.T, addr string) (kill func()) {
	t.Helper()
	out, ended := &output{}, make(chan struct{})
	c := program("sim", "--addr", addr, "--speed", "20", "--model", haiku)
	c.Env, c.Dir, c.Stdout, c.Stderr = cleanEnvironment(), t.TempDir(), out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(ended) }()
	kill = func() { _ = c.Process.Kill(); <-ended }
	t.Cleanup(kill)
	if !out.wait(startTimeout, ended, func(string) bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}) {
		t.Fatalf("the engine does not start: %s", out)
	}
	return kill
}
