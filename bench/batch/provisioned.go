package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outcrop/outcrop/bench/child"
	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/isolation/live"
)

// traffic is the argument with which this program is the generator.
const traffic = "generate-traffic"

// What the records of the job are like, in tokens, and how many the engines
// answer in a second at most: fewer than this.
const (
	recordPrompt, recordOutput = 1000, 200
	mostRecords                = 25 // a second of each engine
)

// Simulated times of a run beside what is measured.
const (
	warmup   = 15 * time.Second // the job is under way after it
	tail     = 5 * time.Second
	patience = 60 * time.Second
)

// provisioned measures what a job adds to the first-token times of provisioned
// traffic: step-accurate simulated engines, each a process, the gateway, and
// open-loop arrivals from a third process.
type provisioned struct {
	wanted  bool
	engines int
	speed   float64
	segment time.Duration

	bearer string
	files  child.Credential // of the same account
	done   progress         // of the job, at its last look
	rate   float64          // records a second, while the traffic was measured
}

// A progress is how far the job was.
type progress struct {
	Status, Message      string
	ProcessedRecordCount int
}

func (p *provisioned) measure(program, file string) error {
	scratch, err := os.MkdirTemp("", "outcrop-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	ctx := context.Background()
	o, err := p.options(ctx, program, scratch)
	if err != nil {
		return err
	}
	setup := isolation.Base(p.engines)
	setup.Warmup = warmup
	policies := live.Policies()
	alone := live.Run{Load: live.Alone, Policy: policies[len(policies)-1], Setup: setup, Segment: p.segment}
	with := alone
	with.Load, with.Beside = "a batch job", true
	reports, err := live.MeasureAll(ctx, o, []live.Run{alone, with}, 1, func(_ int, r *live.Report) {
		fmt.Fprintf(os.Stderr, "%s: the whole machine used %.2f cores\n", r.Run.Load, r.Shares.Machine)
	})
	if err != nil {
		return err
	}
	return publish(p.table(reports), file)
}

// options are what both runs have in common, with keys in a data folder.
func (p *provisioned) options(ctx context.Context, program, scratch string) (o live.Options, err error) {
	o = live.Options{Scratch: scratch, Speed: p.speed, Seeds: []uint64{1}, Tail: tail, Patience: patience,
		Data: filepath.Join(scratch, "keys"), Beside: p.job}
	if o.Outcrop, err = filepath.Abs(program); err != nil {
		return o, err
	}
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	o.Generator = []string{self, traffic}
	if o.Keys, err = live.Keys(ctx, o.Outcrop, o.Data, isolation.Base(1)); err != nil {
		return o, err
	}
	const account = "109900000000"
	if p.files, err = child.AddKey(ctx, o.Outcrop, o.Data, "access-key", account); err != nil {
		return o, err
	}
	bearer, err := child.AddKey(ctx, o.Outcrop, o.Data, "api-key", account)
	p.bearer = bearer.Bearer
	return o, err
}

// generate is the generator: a plan comes in, and records go out.
func generate() error {
	var plan live.Plan
	if err := json.NewDecoder(os.Stdin).Decode(&plan); err != nil {
		return err
	}
	records, err := live.Generate(context.Background(), &plan)
	if err != nil {
		return err
	}
	return live.WriteRecords(os.Stdout, records)
}

// job runs a job that is larger than what the engines do until ctx ends, and
// notes how fast it went once it was under way.
func (p *provisioned) job(ctx context.Context, addr string) error {
	began, endpoint := time.Now(), "http://"+addr
	id, err := p.submit(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("the job: %w", err)
	}
	var first progress
	begun := began
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if first.ProcessedRecordCount == 0 || p.done.Status != "InProgress" {
				return fmt.Errorf("the job was not under way all the time: %+v", p.done)
			}
			p.rate = float64(p.done.ProcessedRecordCount-first.ProcessedRecordCount) / time.Since(begun).Seconds() / p.speed
			return nil
		case <-tick.C:
		}
		if err := p.ask(ctx, "GET", endpoint+"/model-invocation-job/"+id, "", &p.done); err != nil && ctx.Err() == nil {
			return err
		}
		if first.ProcessedRecordCount == 0 {
			first, begun = p.done, time.Now()
		}
	}
}

// submit uploads the records and creates the job.
func (p *provisioned) submit(ctx context.Context, endpoint string) (id string, err error) {
	c := s3.New(s3.Options{BaseEndpoint: &endpoint, UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(p.files.Access, p.files.Secret, "")})
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bench-batch")}); err != nil {
		return "", err
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bench-batch"), Key: aws.String("in/a.jsonl"), Body: bytes.NewReader(p.records())}); err != nil {
		return "", err
	}
	var made struct{ JobArn string }
	err = p.ask(ctx, "POST", endpoint+"/model-invocation-job", `{"jobName":"bench","roleArn":"arn:aws:iam::000000000000:role/r","modelId":"`+live.Model+`",
		"modelInvocationType":"Converse","inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://bench-batch/in/"}},
		"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://bench-batch/out/"}}}`, &made)
	return made.JobArn[strings.LastIndexByte(made.JobArn, '/')+1:], err
}

// records is the file: each record begins in its own way, so that none is in
// the engine's prefix cache.
func (p *provisioned) records() []byte {
	var b bytes.Buffer
	text := strings.Repeat(" tide", recordPrompt)
	for i := range int((warmup + p.segment + tail).Seconds()) * mostRecords * p.engines {
		fmt.Fprintf(&b, `{"recordId":"%d","modelInput":{"messages":[{"role":"user","content":[{"text":"%d.%s"}]}],"inferenceConfig":{"maxTokens":%d},`+
			`"additionalModelRequestFields":{"metadata":{"outcrop:output-tokens":"%d"}}}}`+"\n", i, i, text, recordOutput, recordOutput)
	}
	return b.Bytes()
}

func (p *provisioned) ask(ctx context.Context, method, url, body string, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.bearer)
	return send(r, into)
}

// unanswered is how many provisioned requests had no first token.
func unanswered(r *isolation.Result) (n int) {
	for _, first := range r.First[isolation.Provisioned] {
		if math.IsInf(first, 1) {
			n++
		}
	}
	return n
}

// table compares both runs.
func (p *provisioned) table(reports []*live.Report) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "| provisioned traffic | requests | p50 | p99 | without an answer | cores of the machine |\n|---|---|---|---|---|---|\n")
	var at [2][2]float64
	for i, r := range reports {
		m := live.Merge(r.Plan.Results(r.Records))
		at[i] = [2]float64{m.Percentile(50, isolation.Provisioned), m.Percentile(99, isolation.Provisioned)}
		name := "alone"
		if r.Run.Beside {
			name = "beside a job"
		}
		fmt.Fprintf(&b, "| %s | %d | %.0f ms | %.0f ms | %d | %.2f |\n", name, m.Sent[isolation.Provisioned], 1000*at[i][0], 1000*at[i][1],
			unanswered(m), r.Shares.Machine)
	}
	fmt.Fprintf(&b, "| ratio | | x%.2f | x%.2f | | |\n", at[1][0]/at[0][0], at[1][1]/at[0][1])
	fmt.Fprintf(&b, "\n**Simulated** engines: %d, Llama-3.1-8B on an H100, at %g of their speed, on %d CPUs (%s) with the gateway and the generator. Provisioned requests: %g a second\n"+
		"for each engine, Poisson arrivals, the lengths of the isolation benchmark, %v after a warm-up. The job had %.1f records a second, of %d tokens and %d of output.\n",
		p.engines, p.speed, runtime.NumCPU(), runtime.GOARCH, reports[0].Plan.Setup.Provisioned, p.segment, p.rate, recordPrompt, recordOutput)
	return b.Bytes()
}
