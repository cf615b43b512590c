package batch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/outcroptest"
)

// What a child process is told by its environment.
const (
	childDir      = "OUTCROP_BATCH_CHILD"
	childDatabase = "OUTCROP_BATCH_DATABASE"
	childServer   = "OUTCROP_BATCH_SERVER"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// killed are the options of a server that is to be killed.
func killed(folder, database, server string) batch.Options {
	return batch.Options{
		Database: database, Server: server, ChunkRecords: 200, Concurrency: 2, PartTime: 30 * time.Millisecond, Poll: 20 * time.Millisecond,
		Turn: 2 * time.Second, Timeout: 4 * time.Second,
		Objects: func(string, string) batch.Objects { return &outcroptest.Folder{Dir: folder} },
		Invoker: invokerFunc(func(_ context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
			time.Sleep(2 * time.Millisecond)
			return bill(row.Input)
		}),
	}
}

// bill answers a record of lines as echo does, or with an error, and is paid for
// it as for no other record nearby.
func bill(input outcrop.JSON) ([]byte, outcrop.Receipt, error) {
	var record struct{ N int }
	if err := json.Unmarshal(input, &record); err != nil {
		return nil, outcrop.Receipt{}, err
	}
	n := record.N
	if n%97 == 5 {
		return nil, outcrop.Receipt{}, outcrop.Invalid("not this one")
	}
	return fmt.Appendf(nil, `{"echo":%s}`, input), outcrop.Receipt{Usage: outcrop.Usage{Input: 1 + n%101, Output: 1 + n%89, CacheRead: n % 83, CacheWrite: n % 79},
		Cost: outcrop.NanoDollars(1 + n%1009), Priced: true}, nil
}

// billed checks that every one of n records was answered, written and paid for
// once, by what bill says of it.
func (w *world) billed(j outcrop.Job, n int) {
	w.t.Helper()
	counts, usage, got := outcrop.JobCounts{Total: int64(n)}, outcrop.JobUsage{}, w.output(j, "a.jsonl.out")
	for i := range n {
		input := fmt.Sprintf(`{"n":%d}`, i)
		o, found := got[fmt.Sprintf("r%d", i)]
		answer, receipt, err := bill(outcrop.JSON(input))
		if !found || string(o.ModelInput) != input || string(o.ModelOutput) != string(answer) || (o.Error != nil) != (err != nil) {
			w.t.Fatalf("record %d: %+v", i, o)
		}
		if err != nil {
			counts.Failed++
			continue
		}
		counts.Succeeded++
		usage = usage.Plus(outcrop.JobUsageOf(&receipt))
	}
	if len(got) != n {
		w.t.Errorf("%d records in the output, want %d", len(got), n)
	}
	if j.Status != outcrop.JobCompleted || j.Counts != counts || j.Usage != usage {
		w.t.Errorf("%s %q\n%+v %+v, want\n%+v %+v", j.Status, j.Message, j.Counts, j.Usage, counts, usage)
	}
	w.settled(j)
}

// child is a server that runs until it is killed.
func child(dir string) {
	r, err := batch.Open(context.Background(), killed(dir, os.Getenv(childDatabase), os.Getenv(childServer)))
	if err == nil {
		err = r.Start(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("up")
	select {}
}

// spawn starts a child and returns what kills it.
func spawn(t *testing.T, dir, database, server string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDatabase+"="+database, childServer+"="+server)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 3)) // it is up, or has told why not
	kill = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(kill)
	return kill
}

// number reads how often something is done from the environment.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestKilledServersLoseNothing kills the server at random moments of a job, as
// often as OUTCROP_KILLS says.
func TestKilledServersLoseNothing(t *testing.T) {
	n, kills := number("OUTCROP_KILL_RECORDS", 4000), number("OUTCROP_KILLS", 4)
	w := newWorld(t, echo)
	w.options = killed(w.folder.Dir, w.options.Database, "parent")
	killing(t, w, n, kills, []string{"server"})
}

// killing has servers work on a job of n records, and kills one of them at
// random so many times.
func killing(t *testing.T, w *world, n, kills int, servers []string) {
	w.input("data/a.jsonl", lines(n))
	r, err := batch.Open(t.Context(), w.options) // it looks on, and does no work
	if err != nil {
		t.Fatal(err)
	}
	w.runner = r
	t.Cleanup(func() { _ = r.Close() })
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	running := make([]func(), len(servers))
	for i, name := range servers {
		running[i] = spawn(t, w.folder.Dir, w.options.Database, name)
	}
	done := 0
	for ; done < kills && !w.state(j).Status.Ended(); done++ {
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		i := rand.IntN(len(servers))
		running[i]()
		running[i] = spawn(t, w.folder.Dir, w.options.Database, servers[i])
	}
	for end := time.Now().Add(5 * time.Minute); !w.state(j).Status.Ended(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the job is stuck: %+v", w.state(j))
		}
	}
	for len(w.keys("out", "results/"+j.ARN.ID+"/.parts/")) > 0 {
		time.Sleep(20 * time.Millisecond) // the test's own time limit ends this
	}
	for _, kill := range running {
		kill()
	}
	t.Logf("%d kills, %d records", done, n)
	if done < kills && os.Getenv("OUTCROP_KILLS") != "" { // a small job may end before
		t.Errorf("the job had ended after %d kills of %d", done, kills)
	}
	w.billed(w.state(j), n)
}
