// Command batch measures batch jobs through the whole path: records a second
// against a simulated engine that answers at once, CPU for each record and how
// much of it is scheduling, and the most memory that the server takes, by the
// size of the job. With -provisioned it measures instead what a running job
// adds to the first-token times of provisioned traffic. It prints a table and
// writes it to a file if one is named.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outcrop/outcrop/bench/child"
)

const model = "anthropic.claude-3-haiku-20240307-v1:0"

func main() {
	program := flag.String("outcrop", "bin/outcrop", "the server's program")
	sizes := flag.String("records", "10000,100000", "sizes of the jobs, in records")
	file := flag.String("out", "", "file for the table")
	length := flag.Duration("profile", 10*time.Second, "how long the CPU profile of a job is, at most")
	interrupt := flag.Int("interrupt", 0, "how often to kill the server during each job")
	var p provisioned
	flag.BoolVar(&p.wanted, "provisioned", false, "measure provisioned traffic alone and beside a job, for about three and a half minutes")
	flag.IntVar(&p.engines, "engines", 1, "with -provisioned: simulated engines, each a process")
	flag.Float64Var(&p.speed, "speed", 1, "with -provisioned: simulated seconds in a second; lower it if a process lacks a processor")
	flag.DurationVar(&p.segment, "segment", 80*time.Second, "with -provisioned: how long each of the two runs is measured, simulated")
	flag.Parse()
	err := error(nil)
	switch {
	case flag.Arg(0) == traffic:
		err = generate()
	case p.wanted:
		err = p.measure(*program, *file)
	default:
		err = measure(*program, *sizes, *length, *file, *interrupt)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func measure(program, sizes string, length time.Duration, file string, interrupt int) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	var table bytes.Buffer
	row := func(n int) (string, error) {
		r, err := job(program, n, length)
		return fmt.Sprintf("| %d | %.1f | %.0f | %d µs | %.1f %% (handout %.1f %%) | %d MiB |\n", n, r.wall.Seconds(), float64(n)/r.wall.Seconds(),
			r.cpu.Microseconds()/int64(n), r.share.percent(), 100*float64(r.share.handout)/float64(r.share.all), r.peak>>20), err
	}
	if interrupt == 0 {
		table.WriteString("| records | seconds | records/s | CPU per record | of it scheduling | peak memory |\n|---|---|---|---|---|---|\n")
	} else {
		table.WriteString("| records | kills | seconds | in the output | run again for each kill | most |\n|---|---|---|---|---|---|\n")
		row = func(n int) (string, error) { return interrupted(program, n, interrupt) }
	}
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			return err
		}
		line, err := row(n)
		if err != nil {
			return err
		}
		table.WriteString(line)
	}
	fmt.Fprintf(&table, "\n%s, %d CPUs, records of 1 KB, answers of 16 tokens, SQLite and the built-in S3 on the same disk.\n", runtime.GOARCH, runtime.NumCPU())
	return publish(table.Bytes(), file)
}

// publish prints the table and writes it to the file if there is one.
func publish(table []byte, file string) error {
	if _, err := os.Stdout.Write(table); err != nil || file == "" {
		return err
	}
	return os.WriteFile(file, table, 0o644)
}

// A reading is what one job took.
type reading struct {
	wall, cpu time.Duration
	peak      int64 // bytes
	share     share // of a CPU profile
}

// job runs a job of n records on a server of its own, and takes a profile of it
// of that length, or of the time that so many records surely take.
func job(program string, n int, length time.Duration) (r reading, err error) {
	folder, err := os.MkdirTemp("", "outcrop-bench-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	addrs, err := child.FreeAddrs(1)
	if err != nil {
		return r, err
	}
	server, err := serve(program, folder, "--pprof", addrs[0])
	if err != nil {
		return r, err
	}
	defer server.Stop()
	endpoint := "http://" + server.Addr
	if err := upload(endpoint, folder, n); err != nil {
		return r, err
	}
	before, _, err := usage(server.Pid())
	if err != nil {
		return r, err
	}
	length = min(length, time.Duration(n)*50*time.Microsecond)
	r.share, err = profiled(addrs[0], folder, length, func() error {
		began := time.Now()
		defer func() { r.wall = time.Since(began) }()
		id, err := create(endpoint)
		if err != nil {
			return err
		}
		return wait(endpoint, id, n)
	})
	if err != nil {
		return r, err
	}
	after, peak, err := usage(server.Pid())
	r.cpu, r.peak = after-before, peak
	return r, err
}

// serve starts a server on the data that is below the folder.
func serve(program, folder string, more ...string) (*child.Server, error) {
	addrs, err := child.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	settings := filepath.Join(folder, "outcrop.yaml")
	if err := os.WriteFile(settings, []byte("sim: {speed: 0}\nlog: {level: warn}\n"), 0o600); err != nil {
		return nil, err
	}
	args := append([]string{"serve", "--config", settings, "--addr", addrs[0], "--data", filepath.Join(folder, "data")}, more...)
	return child.Start("outcrop", addrs[0], folder, program, args...)
}

// upload writes n records of about 1 KB to s3://bench-batch/in/a.jsonl.
func upload(endpoint, folder string, n int) error {
	path := filepath.Join(folder, "a.jsonl")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, text := bufio.NewWriter(f), strings.Repeat("what is it that we want to know ", 28)
	for i := range n {
		fmt.Fprintf(w, `{"recordId":"%d","modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":16,"messages":[{"role":"user","content":"%d %s"}]}}`+"\n", i, i, text)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	c := s3.New(s3.Options{BaseEndpoint: &endpoint, UsePathStyle: true, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("bench", "bench", "")})
	ctx := context.Background()
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bench-batch")}); err != nil {
		return err
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bench-batch"), Key: aws.String("in/a.jsonl"), Body: f})
	return err
}

// create creates the job and returns its id.
func create(endpoint string) (id string, err error) {
	body := `{"jobName":"bench","roleArn":"arn:aws:iam::000000000000:role/r","modelId":"` + model + `",
		"inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://bench-batch/in/"}},"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://bench-batch/out/"}}}`
	var made struct{ JobArn string }
	err = ask("POST", endpoint+"/model-invocation-job", body, &made)
	return made.JobArn[strings.LastIndexByte(made.JobArn, '/')+1:], err
}

// A view is what is read of a job.
type view struct {
	Status, Message      string
	ProcessedRecordCount int
	SuccessRecordCount   int
}

// wait waits until the job has ended, with all of its n records answered.
func wait(endpoint, id string, n int) error {
	for {
		var j view
		if err := ask("GET", endpoint+"/model-invocation-job/"+id, "", &j); err != nil {
			return err
		}
		switch j.Status {
		case "Completed":
			if j.SuccessRecordCount != n {
				return fmt.Errorf("%d of %d records were answered", j.SuccessRecordCount, n)
			}
			return nil
		case "Failed", "Expired", "PartiallyCompleted", "Stopped":
			return fmt.Errorf("the job is %s: %s", j.Status, j.Message)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func ask(method, url, body string, into any) error {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	return send(req, into)
}

// send reads the answer, which must be a good one, into what is given.
func send(req *http.Request, into any) error {
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// usage returns the CPU time of the process, of which Linux counts hundredths
// of a second, and the most memory that it has held.
func usage(pid int) (cpu time.Duration, peak int64, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, f := range fields[11:13] { // utime and stime
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return 0, 0, err
	}
	if m := highWater.FindSubmatch(status); m != nil {
		peak, err = strconv.ParseInt(string(m[1]), 10, 64)
	}
	return cpu, peak << 10, err
}
