package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"

	"net/http"
	"net/http/httptest"

	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
)

// bucket makes the bucket and returns a client of S3.
func (h *house) bucket(t *testing.T, name string) *s3.Client {
	t.Helper()
	c := h.s3(t, "anything", "at all")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return c
}

func putObject(t *testing.T, c *s3.Client, bucket, key, text string) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

func getObject(t *testing.T, c *s3.Client, bucket, key string) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	defer func() { _ = out.Body.Close() }()
	text, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// createJob creates a job on s3://inbox/a.jsonl and returns its ARN.
func (h *house) createJob(t *testing.T, client *http.Client, name, kind string) string {
	t.Helper()
	r := h.ask(t, client, "POST", "/model-invocation-job", fmt.Sprintf(`{"jobName":%q,"roleArn":"arn:aws:iam::000000000000:role/r","modelId":%q,"modelInvocationType":%q,
		"inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://inbox/a.jsonl"}},"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://outbox/"}}}`, name, haiku, kind))
	var made struct{ JobArn string }
	if err := json.Unmarshal([]byte(r.body), &made); err != nil || r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return made.JobArn
}

// A jobView is what tests read of a job.
type jobView struct {
	Status, Message                                        string
	TotalRecordCount, SuccessRecordCount, ErrorRecordCount int64
}

// jobEnd waits until the job has ended.
func (h *house) jobEnd(t *testing.T, client *http.Client, arn string) (j jobView) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r := h.ask(t, client, "GET", "/model-invocation-job/"+arn[strings.LastIndexByte(arn, '/')+1:], "")
		if err := json.Unmarshal([]byte(r.body), &j); err != nil || r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if outcrop.JobStatus(j.Status).Ended() {
			return j
		}
		if time.Now().After(end) {
			t.Fatalf("the job does not end: %+v", j)
		}
	}
}

const (
	nativeRecord   = `{"recordId":"r1","modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":20,"messages":[{"role":"user","content":"Hello"}]}}`
	brokenRecord   = `{"recordId":"r2","modelInput":{"max_tokens":"many"}}`
	converseRecord = `{"recordId":"r3","modelInput":{"messages":[{"role":"user","content":[{"text":"Hello"}]}],"inferenceConfig":{"maxTokens":20}}}`
)

func TestABatchJobOverHTTP(t *testing.T) {
	var mu sync.Mutex
	told := map[string]bool{}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e batch.Event
		_ = json.NewDecoder(r.Body).Decode(&e)
		mu.Lock()
		defer mu.Unlock()
		told[e.Detail.BatchJobName+" "+string(e.Detail.Status)] = true
	}))
	defer hook.Close()
	limits := "on_demand: {limits: [{requests_per_minute: 1, tokens_per_minute: 1}]}\n" // which are not those of batch jobs
	h := start(t, fast+limits+"batch: {webhook: "+hook.URL+"}\n")
	files := h.bucket(t, "inbox")
	h.bucket(t, "outbox")
	client := newClient(t, &http.Transport{})
	for _, c := range []struct{ kind, records, want string }{
		{"InvokeModel", nativeRecord + "\n" + brokenRecord + "\n", `"stop_reason"`},
		{"Converse", converseRecord + "\n" + brokenRecord + "\n", `"stopReason"`},
	} {
		putObject(t, files, "inbox", "a.jsonl", c.records)
		arn := h.createJob(t, client, "job-"+c.kind, c.kind)
		j := h.jobEnd(t, client, arn)
		if j.Status != "Completed" || j.TotalRecordCount != 2 || j.SuccessRecordCount != 1 || j.ErrorRecordCount != 1 {
			t.Fatalf("%s: %+v", c.kind, j)
		}
		folder := arn[strings.LastIndexByte(arn, '/')+1:]
		if out := getObject(t, files, "outbox", folder+"/a.jsonl.out"); !strings.Contains(out, c.want) || !strings.Contains(out, `"error":{"errorCode":400,`) {
			t.Errorf("%s: %s", c.kind, out)
		}
		if m := getObject(t, files, "outbox", folder+"/manifest.json.out"); !strings.Contains(m, `"processedRecordCount":2,`) {
			t.Errorf("%s: %s", c.kind, m)
		}
		if r := h.ask(t, client, "POST", "/model-invocation-job/"+strings.NewReplacer(":", "%3A", "/", "%2F").Replace(arn)+"/stop", ""); r.status != 400 || r.code() != "ConflictException" {
			t.Errorf("stopping it: %d %s", r.status, r.body)
		}
	}
	var rows int
	for _, line := range h.log.lines(t, "invocation") {
		if line["class"] == "batch" {
			rows++
		}
	}
	if rows == 0 {
		t.Errorf("no record ran in class batch: %s", h.log)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		done := told["job-InvokeModel Completed"] && told["job-Converse Completed"]
		mu.Unlock()
		if done {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the webhook was not told")
		}
	}
}

func TestAJobGoesOnWithTheNextServer(t *testing.T) {
	data := t.TempDir()
	var records strings.Builder
	for i := range 400 {
		fmt.Fprintf(&records, `{"recordId":"r%d","modelInput":{"messages":[{"role":"user","content":[{"text":"Hello"}]}],"inferenceConfig":{"maxTokens":20}}}`+"\n", i)
	}
	slow := "listen: 127.0.0.1:0\nsim: {speed: 20}\n"
	h := startOn(t, loadAt(t, slow, data))
	putObject(t, h.bucket(t, "inbox"), "inbox", "a.jsonl", records.String())
	h.bucket(t, "outbox")
	client := newClient(t, &http.Transport{})
	arn := h.createJob(t, client, "long", "Converse")
	for h.ask(t, client, "GET", "/model-invocation-jobs?statusEquals=InProgress", "").body == `{"invocationJobSummaries":[]}` {
		time.Sleep(10 * time.Millisecond)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	h = startOn(t, loadAt(t, fast, data))
	if j := h.jobEnd(t, client, arn); j.Status != "Completed" || j.SuccessRecordCount != 400 {
		t.Errorf("%+v", j)
	}
}
