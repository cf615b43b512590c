package conformance_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrock"
)

// slowConfig is killedConfig for anybody, with an engine on which 50,000 records
// take half a minute: so long that they may be interrupted a hundred times.
func slowConfig(tokens int64) string {
	return strings.NewReplacer("keys: required", "keys: open", "speed: 0", "speed: 8").Replace(killedConfig(tokens))
}

// anybody owns what is made where no keys are.
func anybody(bucket string) *owner {
	return &owner{key: key{ID: "a", Secret: "b"}, account: "000000000000", bucket: bucket}
}

// TestOneJobOutlivesItsServer as often as OUTCROP_KILLS says, on
// OUTCROP_KILL_RECORDS records.
func TestOneJobOutlivesItsServer(t *testing.T) {
	t.Parallel()
	file := killedRecords(number("OUTCROP_KILL_RECORDS", 2000))
	s := launch(t, slowConfig(file.tokens))
	anybody("lonely").outlives(t, &file, number("OUTCROP_KILLS", 4), s, s)
}

// outlives has the first of the servers take a job that they share, whose files are
// with the server store, kills one of them at random so many times, and checks
// that the job is exact and has left nothing behind.
func (o *owner) outlives(t *testing.T, f *killedFile, kills int, store *server, servers ...*server) {
	t.Helper()
	for _, s := range servers {
		if !s.ready() {
			t.Fatal(s.err)
		}
	}
	o.upload(t, store, f)
	o.submit(t, servers[0], "killed")
	begun := time.Now()
	done := harry(t, servers, store, []*owner{o}, 0, kills, len(f.inputs))
	if done < kills && os.Getenv("OUTCROP_KILLS") != "" { // a small job may end before
		t.Errorf("the job had ended after %d kills of %d", done, kills)
	}
	for _, s := range servers {
		if !s.ready() {
			t.Fatal(s.err)
		}
	}
	o.end(t, servers[0])
	t.Logf("%d kills in one job of %d records, %s", done, len(f.inputs), time.Since(begun).Round(time.Second))
	o.exact(t, store, servers[0], f)
	for _, s := range servers {
		o.idle(t, s)
	}
	o.again(t, servers[0])
	for _, s := range servers {
		s.stop()
		s.checkLog(t)
	}
}

// again runs the job again as far as it takes to see that nothing of the first
// one counts as waiting, since there is room for one of them.
func (o *owner) again(t *testing.T, s *server) {
	t.Helper()
	o.submit(t, s, "another")
	var j jobState
	if !eventually(killedPatience, func() bool { j = o.state(t, s); return j.Status == "InProgress" || j.ended() }) || j.Status == "Failed" {
		t.Fatalf("another one: %+v\n%s", j, tail(s.err.String()))
	}
	_, err := o.jobs(s).StopModelInvocationJob(t.Context(), &bedrock.StopModelInvocationJobInput{JobIdentifier: &o.job})
	if j = o.end(t, s); j.Status == "Failed" || j.Status != "Stopped" && err == nil {
		t.Errorf("it was stopped: %v, %+v", err, j)
	}
}
