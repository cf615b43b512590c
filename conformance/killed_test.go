package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outcrop/outcrop/records"
)

const (
	// killedIn is the longest time to the next kill.
	killedIn = 300 * time.Millisecond
	// killedPatience is how long jobs may take once nobody kills servers.
	killedPatience = 5 * time.Minute
	// poisoned is which records of a file are no request that a model takes:
	// every so manieth.
	poisoned = 100
)

// killedConfig has an engine that answers at once, a price at which the cost of
// almost every record is rounded, and room for jobs of so many tokens.
func killedConfig(tokens int64) string {
	return fmt.Sprintf("keys: required\nlog: {level: warn}\nbatch: {enqueued_tokens: %d}\nmodels:\n  - id: %s\n"+
		"    price: {input: 0.333333331, output: 1.234567, batch: 37%%}\n    engines: [{kind: sim, speed: 0}]\n", tokens, haiku)
}

// killedCost is what a record costs at that price, in nano-dollars.
func killedCost(input, output int64) int64 {
	const perMillion = 100 * 1_000_000
	return ((input*333_333_331+output*1_234_567_000)*37 + perMillion - 1) / perMillion
}

// A killedFile is a file of records, what they ask, and the tokens that they are
// thought to take.
type killedFile struct {
	text   []byte
	inputs map[string]string // by record
	tokens int64
}

func killedRecords(n int) (f killedFile) {
	f.inputs = make(map[string]string, n)
	for i := range n {
		most := strconv.Itoa(1 + i%17)
		if i%poisoned == 0 {
			most = `"many"`
		}
		input := fmt.Sprintf(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":%s,"messages":[{"role":"user","content":"%d %s"}]}`,
			most, i, strings.Repeat("what is it that we want to know ", i%29))
		f.tokens += records.Tokens([]byte(input))
		f.inputs["r"+strconv.Itoa(i)] = input
		f.text = fmt.Appendf(f.text, `{"recordId":"r%d","modelInput":%s}`+"\n", i, input)
	}
	return f
}

// An owner is an account with a bucket and a job.
type owner struct {
	key             key
	account, bucket string
	job             string // id
}

func (o *owner) credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(o.key.ID, o.key.Secret, "")
}

func (o *owner) files(s *server) *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: &s.URL, Region: "us-east-1", UsePathStyle: true, Credentials: o.credentials(), HTTPClient: http.DefaultClient})
}

func (o *owner) jobs(s *server) *bedrock.Client {
	return bedrock.New(bedrock.Options{BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: o.credentials(), HTTPClient: http.DefaultClient})
}

// upload makes the bucket in the server's files and puts the file there.
func (o *owner) upload(t *testing.T, store *server, f *killedFile) {
	t.Helper()
	if _, err := o.files(store).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &o.bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.files(store).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &o.bucket, Key: aws.String("in/a.jsonl"), Body: bytes.NewReader(f.text)}); err != nil {
		t.Fatal(err)
	}
}

// request asks for a job on the file that is in the bucket.
func (o *owner) request(name string) *bedrock.CreateModelInvocationJobInput {
	return &bedrock.CreateModelInvocationJobInput{JobName: &name, ModelId: aws.String(haiku),
		RoleArn:          aws.String("arn:aws:iam::" + o.account + ":role/r"),
		InputDataConfig:  &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{Value: types.ModelInvocationJobS3InputDataConfig{S3Uri: aws.String("s3://" + o.bucket + "/in/a.jsonl")}},
		OutputDataConfig: &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{Value: types.ModelInvocationJobS3OutputDataConfig{S3Uri: aws.String("s3://" + o.bucket + "/out/")}}}
}

// submit creates a job on the file that is in the bucket.
func (o *owner) submit(t *testing.T, s *server, name string) { o.create(t, s, o.request(name)) }

// create creates a job.
func (o *owner) create(t *testing.T, s *server, in *bedrock.CreateModelInvocationJobInput) {
	t.Helper()
	made, err := o.jobs(s).CreateModelInvocationJob(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	o.job = (*made.JobArn)[strings.LastIndexByte(*made.JobArn, '/')+1:]
}

// A jobState is what the server says of a job, with what it cost.
type jobState struct {
	Status               string
	Message              string
	TotalRecordCount     int64
	ProcessedRecordCount int64
	SuccessRecordCount   int64
	ErrorRecordCount     int64
	OutcropCostUsd       string
}

func (j *jobState) ended() bool {
	return slices.Contains([]string{"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"}, j.Status)
}

// ask returns what the server answers to a signed GET.
func (o *owner) ask(t *testing.T, s *server, path string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: o.key.ID, SecretAccessKey: o.key.Secret}, r, empty, "bedrock", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(text, into) != nil {
		t.Fatalf("%s %s %v", answer.Status, text, err)
	}
}

// state asks for the job.
func (o *owner) state(t *testing.T, s *server) (j jobState) {
	t.Helper()
	o.ask(t, s, "/model-invocation-job/"+o.job+"?outcropCost=true", &j)
	return j
}

// end waits until the job has ended.
func (o *owner) end(t *testing.T, s *server) (j jobState) {
	t.Helper()
	if !eventually(killedPatience, func() bool { j = o.state(t, s); return j.ended() }) {
		t.Fatalf("the job is stuck: %+v\n%s", j, tail(s.err.String()))
	}
	return j
}

// read returns an object of the job's folder.
func (o *owner) read(t *testing.T, s *server, name string) []byte {
	t.Helper()
	out, err := o.files(s).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &o.bucket, Key: aws.String("out/" + o.job + "/" + name)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// left returns what is in the job's folder, and uploads that were begun in the
// bucket and not ended.
func (o *owner) left(t *testing.T, s *server) (keys []string) {
	t.Helper()
	page, err := o.files(s).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: aws.String("out/" + o.job + "/")})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range page.Contents {
		keys = append(keys, *object.Key)
	}
	uploads, err := o.files(s).ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &o.bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, upload := range uploads.Uploads {
		keys = append(keys, "upload of "+*upload.Key)
	}
	return keys
}

// A sum is what the lines of an output come to.
type sum struct{ answered, failed, input, output, cost int64 }

// add counts a line, which must be the first of its record.
func (u *sum) add(t *testing.T, line []byte, asked map[string]string, seen map[string]bool) {
	t.Helper()
	var o struct {
		RecordID    string
		ModelInput  json.RawMessage
		ModelOutput *struct {
			Usage struct {
				Input  int64 `json:"input_tokens"`
				Output int64 `json:"output_tokens"`
			}
		}
		Error *struct{ ErrorCode int }
	}
	if err := json.Unmarshal(line, &o); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if seen[o.RecordID] || asked[o.RecordID] != string(o.ModelInput) || (o.ModelOutput == nil) == (o.Error == nil) {
		t.Fatalf("twice: %v, or not what was asked: %s", seen[o.RecordID], line)
	}
	seen[o.RecordID] = true
	if o.Error != nil {
		u.failed++
		return
	}
	u.answered++
	u.input += o.ModelOutput.Usage.Input
	u.output += o.ModelOutput.Usage.Output
	u.cost += killedCost(o.ModelOutput.Usage.Input, o.ModelOutput.Usage.Output)
}

// exact checks that each record of the file is in the output once, in the files
// of the server store, and that what the manifest and the server s say of the
// job is what the output comes to.
func (o *owner) exact(t *testing.T, store, s *server, f *killedFile) {
	t.Helper()
	n := int64(len(f.inputs))
	var u sum
	seen := map[string]bool{}
	for line := range bytes.Lines(o.read(t, store, "a.jsonl.out")) {
		u.add(t, line, f.inputs, seen)
	}
	if failed := (n + poisoned - 1) / poisoned; u.failed != failed || u.answered != n-failed || u.input < n || u.output < n {
		t.Errorf("the output of %d records comes to %+v", n, u)
	}
	want := jobState{Status: "Completed", TotalRecordCount: n, ProcessedRecordCount: n, SuccessRecordCount: u.answered, ErrorRecordCount: u.failed,
		OutcropCostUsd: strings.TrimRight(fmt.Sprintf("%d.%09d", u.cost/1_000_000_000, u.cost%1_000_000_000), "0")}
	if got := o.state(t, s); got != want {
		t.Errorf("the job says  %+v\nits output is %+v", got, want)
	}
	manifest := fmt.Sprintf(`{"totalRecordCount":%d,"processedRecordCount":%d,"successRecordCount":%d,"errorRecordCount":%d,"inputTokenCount":%d,"outputTokenCount":%d}`+"\n",
		n, n, u.answered, u.failed, u.input, u.output)
	if got := o.read(t, store, "manifest.json.out"); string(got) != manifest {
		t.Errorf("the manifest says %sits output is     %s", got, manifest)
	}
	var left []string
	if !eventually(takeEffect, func() bool { left = o.left(t, store); return len(left) == 2 }) {
		t.Errorf("the job has left %v", left)
	}
}

// TestKilledServersKeepTheJobsOfTheirAccounts kills the whole server at random
// moments of the jobs of three accounts, as often as OUTCROP_KILLS says, on
// OUTCROP_KILL_RECORDS records together.
func TestKilledServersKeepTheJobsOfTheirAccounts(t *testing.T) {
	t.Parallel()
	owners := []*owner{{account: "111122223333", bucket: "one"}, {account: "222233334444", bucket: "two"}, {account: "333344445555", bucket: "three"}}
	kills, file := number("OUTCROP_KILLS", 6), killedRecords(number("OUTCROP_KILL_RECORDS", 6600)/len(owners))
	s := launch(t, killedConfig(file.tokens))
	if !s.ready() {
		t.Fatal(s.err)
	}
	for _, o := range owners {
		o.key = s.addKey(t, "--account", o.account)
		s.awaitKey(t, o.key)
		o.upload(t, s, &file)
	}
	done := 0
	for wave := 0; wave < 2 || done < kills; wave++ { // after the first one there is room for another
		for _, o := range owners {
			o.submit(t, s, "wave-"+strconv.Itoa(wave))
		}
		done = harry(t, []*server{s}, s, owners, done, kills, len(file.inputs)*len(owners))
		t.Logf("%d kills in %d jobs of %d records", done, len(owners)*(wave+1), len(file.inputs))
		if !s.ready() {
			t.Fatal(s.err)
		}
		for _, o := range owners {
			o.end(t, s)
			o.exact(t, s, s, &file)
		}
		owners[0].idle(t, s)
	}
	s.stop()
	s.checkLog(t)
}

// harry kills servers at random moments of the jobs that the first one has taken
// and whose files are with store, and starts them again, until that was done so
// often or the jobs have ended. It goes on from the kills that were done already,
// and returns how many there are. Every other one comes once the jobs, of so many
// records together, are as far as the kills; the rest may come while a server
// starts.
func harry(t *testing.T, servers []*server, store *server, owners []*owner, done, kills, records int) int {
	t.Helper()
	for ; done < kills && !written(store, owners); done++ {
		if done%2 == 0 {
			await(t, servers[0], store, owners, int64(done*records/kills))
		}
		time.Sleep(rand.N(killedIn))
		servers[rand.IntN(len(servers))].restart(t)
	}
	return done
}

// await waits until the server says that so many records are done, or all jobs are.
func await(t *testing.T, s, store *server, owners []*owner, records int64) {
	t.Helper()
	if !s.ready() {
		t.Fatal(s.err)
	}
	if !eventually(killedPatience, func() bool {
		var done int64
		for _, o := range owners {
			j := o.state(t, s)
			if j.Status == "Failed" {
				t.Fatalf("%+v", j)
			}
			done += j.ProcessedRecordCount
		}
		return done >= records || written(store, owners)
	}) {
		t.Fatalf("the jobs are stuck before %d records\n%s", records, tail(s.err.String()))
	}
}

// written reports whether all jobs have their manifest in the files of the server
// store, whether or not that is there to be asked.
func written(store *server, owners []*owner) bool {
	return !slices.ContainsFunc(owners, func(o *owner) bool {
		_, err := os.Stat(filepath.Join(store.Data, "s3", o.bucket, "out", o.job, "manifest.json.out"))
		return err != nil
	})
}

// restart kills the server, whether it is ready or not, and starts it again on its
// data.
func (s *server) restart(t *testing.T) {
	t.Helper()
	_ = s.command.Process.Kill()
	<-s.ended
	s.checkLog(t)
	s.out, s.err, s.ended = &output{}, &output{}, make(chan struct{})
	s.run(t)
}

// idle checks that nothing waits, runs or is reserved.
func (o *owner) idle(t *testing.T, s *server) {
	t.Helper()
	var f fullness
	if o.ask(t, s, "/outcrop/capacity", &f); len(f.Pools) == 0 {
		t.Fatal("no capacity is told of")
	}
	for _, p := range f.Pools {
		for _, c := range p.Classes {
			if c.Waiting != 0 || c.Running != 0 {
				t.Errorf("class %s: %d wait, %d run", c.Class, c.Waiting, c.Running)
			}
		}
		for _, e := range p.Engines {
			if e.Running != 0 || e.Unread != 0 {
				t.Errorf("an engine is at %+v", e)
			}
		}
	}
	for _, u := range slices.Concat(f.Units, f.OnDemand) {
		if u.InFlight != 0 {
			t.Errorf("%d are reserved", u.InFlight)
		}
	}
}

// number reads how much of something there is to be from the environment.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
