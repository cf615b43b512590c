package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/lifecycle"
)

// A jobsFake is a controlapi.Jobs that runs nothing: tests say how jobs go.
type jobsFake struct {
	mu     sync.Mutex
	jobs   map[string]outcrop.Job
	broken error
}

func newJobsFake() *jobsFake { return &jobsFake{jobs: map[string]outcrop.Job{}} }

func (f *jobsFake) Submit(_ context.Context, j outcrop.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if _, ok := f.jobs[j.ARN.ID]; !ok {
		f.jobs[j.ARN.ID] = j
	}
	return nil
}

func (f *jobsFake) Stop(_ context.Context, id string) error {
	return f.happens(id, lifecycle.JobStop, "")
}

func (f *jobsFake) States(_ context.Context, ids []string) (all []outcrop.Job, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if j, ok := f.jobs[id]; ok {
			all = append(all, j)
		}
	}
	return all, f.broken
}

func (f *jobsFake) happens(id string, e lifecycle.JobEvent, why string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := lifecycle.NextJob(f.jobs[id], e, why, time.Now())
	if err == nil {
		f.jobs[id] = j
	}
	return err
}

// goes says how fast the job goes.
func (f *jobsFake) goes(id string, p outcrop.JobPace) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[id]
	j.Pace = p
	f.jobs[id] = j
}

// runs brings the job to its records.
func (f *jobsFake) runs(t *testing.T, id string, counts outcrop.JobCounts) {
	t.Helper()
	for _, e := range []lifecycle.JobEvent{lifecycle.JobValidate, lifecycle.JobSchedule, lifecycle.JobStart} {
		if err := f.happens(id, e, ""); err != nil {
			t.Fatal(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.jobs[id]
	j.Counts, j.Usage = counts, outcrop.JobUsage{Input: 1000, Cost: 187_500}
	f.jobs[id] = j
}

const (
	creatingJob = "/model-invocation-job"
	oneJob      = "/model-invocation-job/"
	allJobs     = "/model-invocation-jobs"
)

// jobRequest is a request to create; more overrides its members, nil removes.
func jobRequest(name string, more object) object {
	p := object{"jobName": name, "roleArn": "arn:aws:iam::111111111111:role/batch", "modelId": sonnet,
		"inputDataConfig":  object{"s3InputDataConfig": object{"s3Uri": "s3://bucket/in.jsonl", "s3InputFormat": "JSONL"}},
		"outputDataConfig": object{"s3OutputDataConfig": object{"s3Uri": "s3://bucket/out/"}}}
	for k, v := range more {
		if p[k] = v; v == nil {
			delete(p, k)
		}
	}
	return p
}

// createJob creates a job, which must succeed, and returns its ARN and id.
func (f *office) createJob(t testing.TB, who *outcrop.Principal, name string, more object) (arn, id string) {
	t.Helper()
	a := f.ask(t, who, "POST", creatingJob, jobRequest(name, more))
	arn, _ = a.body["jobArn"].(string)
	if a.status != 200 || len(a.body) != 1 || !strings.HasPrefix(arn, "arn:aws:bedrock:us-east-1:"+who.Account+":model-invocation-job/") {
		t.Fatalf("create %s: %v", name, a)
	}
	return arn, arn[strings.LastIndexByte(arn, '/')+1:]
}

func TestAJobAsItsOwnerSeesIt(t *testing.T) {
	jobs := newJobsFake()
	f := newOffice(t, controlapi.Options{Jobs: jobs})
	arn, id := f.createJob(t, ana, "first", object{"timeoutDurationInHours": 48, "clientRequestToken": "abc", "modelInvocationType": "Converse",
		"vpcConfig": object{"subnetIds": []string{"subnet-1"}, "securityGroupIds": []string{"sg-1"}}, "tags": []object{{"key": "a", "value": "1"}}})
	whole := strings.NewReplacer(":", "%3A", "/", "%2F").Replace(arn)
	for _, path := range []string{id, arn, whole} {
		a := f.ask(t, ana, "GET", oneJob+path, nil)
		for k, want := range map[string]any{"jobArn": arn, "jobName": "first", "modelId": sonnet, "clientRequestToken": "abc", "status": "Submitted",
			"roleArn": "arn:aws:iam::111111111111:role/batch", "modelInvocationType": "Converse", "timeoutDurationInHours": 48.,
			"totalRecordCount": 0., "processedRecordCount": 0., "successRecordCount": 0., "errorRecordCount": 0.} {
			if a.body[k] != want {
				t.Errorf("%s: %s is %v, want %v", path, k, a.body[k], want)
			}
		}
		for _, absent := range []string{"endTime", "message", "outcropCostUsd"} {
			if _, ok := a.body[absent]; ok {
				t.Errorf("%s: %s is there: %v", path, absent, a)
			}
		}
		if s := fmt.Sprint(a.body["inputDataConfig"], a.body["outputDataConfig"], a.body["vpcConfig"]); s !=
			"map[s3InputDataConfig:map[s3InputFormat:JSONL s3Uri:s3://bucket/in.jsonl]] map[s3OutputDataConfig:map[s3Uri:s3://bucket/out/]] map[securityGroupIds:[sg-1] subnetIds:[subnet-1]]" {
			t.Errorf("%s", s)
		}
	}
	jobs.runs(t, id, outcrop.JobCounts{Total: 10, Succeeded: 4, Failed: 1})
	a := f.ask(t, ana, "GET", oneJob+id, nil)
	if a.body["status"] != "InProgress" || a.body["totalRecordCount"] != 10. || a.body["processedRecordCount"] != 5. || a.body["successRecordCount"] != 4. || a.body["errorRecordCount"] != 1. || a.body["outcropCostUsd"] != nil {
		t.Errorf("%v", a)
	}
	if a := f.ask(t, ana, "GET", oneJob+id+"?outcropCost=true", nil); a.body["outcropCostUsd"] != "0.0001875" {
		t.Errorf("%v", a)
	}
	jobs.goes(id, outcrop.JobPace{Rate: 2.5, Ends: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
	for _, quiet := range []string{oneJob + id, oneJob + id + "?outcropCost=true", allJobs, allJobs + "?outcropPace=yes"} {
		if a := f.ask(t, ana, "GET", quiet, nil); a.status != 200 || strings.Contains(a.text, "outcropRecords") || strings.Contains(a.text, "outcropEstimated") {
			t.Errorf("%s tells the pace: %v", quiet, a)
		}
	}
	for _, asked := range []string{oneJob + id + "?outcropPace=true&outcropCost=true", allJobs + "?outcropPace=true&maxResults=2"} {
		a := f.ask(t, ana, "GET", asked, nil)
		if !strings.Contains(a.text, `"outcropRecordsPerSecond":2.5,"outcropEstimatedEndTime":"2026-03-01T12:00:00.000000Z"`) {
			t.Errorf("%s: %v", asked, a)
		}
	}
	if a := f.ask(t, ana, "POST", oneJob+whole+"/stop", nil); a.status != 200 || a.text != "{}" {
		t.Errorf("stop: %v", a)
	}
	if a := f.ask(t, ana, "GET", oneJob+id, nil); a.body["status"] != "Stopping" {
		t.Errorf("%v", a)
	}
	if err := jobs.happens(id, lifecycle.JobHalt, ""); err != nil {
		t.Fatal(err)
	}
	if a := f.ask(t, ana, "POST", oneJob+id+"/stop", nil); a.code != "ConflictException" || a.status != 400 {
		t.Errorf("stopping it again: %v", a)
	}
	if a := f.ask(t, ana, "GET", oneJob+id, nil); a.body["status"] != "Stopped" || a.body["endTime"] == nil {
		t.Errorf("%v", a)
	}
	if a := f.ask(t, ana, "POST", "/listTagsForResource", object{"resourceARN": arn}); a.text != `{"tags":[{"key":"a","value":"1"}]}` {
		t.Errorf("tags: %v", a)
	}
}

func TestJobsThatAreNotCreated(t *testing.T) {
	f := newOffice(t, controlapi.Options{Jobs: newJobsFake()})
	f.createJob(t, ana, "taken", nil)
	pt := f.buy(t, ana, "my-pt", nil)
	uri := func(s string) object { return object{"s3InputDataConfig": object{"s3Uri": s}} }
	for _, c := range []struct {
		name string
		who  *outcrop.Principal
		more object
		code string
	}{
		{"the name is taken", ana, object{"jobName": "taken"}, "ConflictException"},
		{"no name", ana, object{"jobName": nil}, "ValidationException"},
		{"a name with a blank", ana, object{"jobName": "a b"}, "ValidationException"},
		{"no role", ana, object{"roleArn": nil}, "ValidationException"},
		{"no role's ARN", ana, object{"roleArn": "arn:aws:iam::1:role/x"}, "ValidationException"},
		{"no such model", ana, object{"modelId": "acme.unknown-v1:0"}, "ValidationException"},
		{"a provisioned model's ARN", ana, object{"modelId": pt}, "ValidationException"},
		{"a provisioned model's name", ana, object{"modelId": "my-pt"}, "ValidationException"},
		{"a model of pictures", ana, object{"modelId": "amazon.titan-embed-text-v2:0"}, "ValidationException"},
		{"no bucket", ana, object{"inputDataConfig": uri("s3://")}, "ValidationException"},
		{"no S3", ana, object{"inputDataConfig": uri("https://bucket/a.jsonl")}, "ValidationException"},
		{"a query", ana, object{"inputDataConfig": uri("s3://bucket/a.jsonl?x=1")}, "ValidationException"},
		{"another format", ana, object{"inputDataConfig": object{"s3InputDataConfig": object{"s3Uri": "s3://bucket/a", "s3InputFormat": "CSV"}}}, "ValidationException"},
		{"an owner that is none", ana, object{"inputDataConfig": object{"s3InputDataConfig": object{"s3Uri": "s3://bucket/a", "s3BucketOwner": "me"}}}, "ValidationException"},
		{"two inputs", ana, object{"inputDataConfig": object{}}, "ValidationException"},
		{"too short", ana, object{"timeoutDurationInHours": 23}, "ValidationException"},
		{"too long", ana, object{"timeoutDurationInHours": 169}, "ValidationException"},
		{"too many subnets", ana, object{"vpcConfig": object{"subnetIds": slices.Repeat([]string{"s"}, 17), "securityGroupIds": []string{"g"}}}, "ValidationException"},
		{"another operation", ana, object{"modelInvocationType": "ConverseStream"}, "ValidationException"},
		{"not allowed", eve, nil, "AccessDeniedException"},
	} {
		if a := f.ask(t, c.who, "POST", creatingJob, jobRequest("other", c.more)); a.code != c.code || a.message() == "" {
			t.Errorf("%s: %v, want %s", c.name, a, c.code)
		}
	}
}

func TestATokenMakesOneJob(t *testing.T) {
	f := newOffice(t, controlapi.Options{Jobs: newJobsFake()})
	first, _ := f.createJob(t, ana, "one", object{"clientRequestToken": "token"})
	if again, _ := f.createJob(t, ana, "one", object{"clientRequestToken": "token"}); again != first {
		t.Errorf("%s, and then %s", first, again)
	}
	if a := f.ask(t, ana, "POST", creatingJob, jobRequest("two", object{"clientRequestToken": "token"})); a.code != "ConflictException" {
		t.Errorf("with other parameters: %v", a)
	}
	if other, _ := f.createJob(t, bob, "one", object{"clientRequestToken": "token"}); other == first {
		t.Error("another account got the same job")
	}
}

func TestAnothersJobIsNobodyElses(t *testing.T) {
	f := newOffice(t, controlapi.Options{Jobs: newJobsFake()})
	arn, id := f.createJob(t, ana, "mine", nil)
	for path, want := range map[string]string{oneJob + arn: "AccessDeniedException", oneJob + id: "ResourceNotFoundException", oneJob + "short": "ValidationException",
		oneJob + strings.Replace(arn, "us-east-1", "eu-west-1", 1): "ValidationException"} {
		if a := f.ask(t, bob, "GET", path, nil); a.code != want {
			t.Errorf("get %s: %v, want %s", path, a, want)
		}
		if a := f.ask(t, bob, "POST", path+"/stop", nil); a.code != want {
			t.Errorf("stop %s: %v, want %s", path, a, want)
		}
	}
	if a := f.ask(t, bob, "GET", allJobs, nil); a.text != `{"invocationJobSummaries":[]}` {
		t.Errorf("%v", a)
	}
}

// names lists the names of the jobs in an answer.
func names(a answer) string {
	var all []string
	list, _ := a.body["invocationJobSummaries"].([]any)
	for _, s := range list {
		all = append(all, s.(map[string]any)["jobName"].(string))
	}
	return strings.Join(all, " ")
}

func TestListsOfJobs(t *testing.T) {
	jobs := newJobsFake()
	f := newOffice(t, controlapi.Options{Jobs: jobs})
	ids := map[string]string{}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		_, ids[name] = f.createJob(t, ana, name, nil)
	}
	jobs.runs(t, ids["beta"], outcrop.JobCounts{Total: 3})
	if err := jobs.happens(ids["gamma"], lifecycle.JobFail, "no records"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"": "gamma beta alpha", "sortOrder=Ascending": "alpha beta gamma", "nameContains=et": "beta", "statusEquals=InProgress": "beta",
		"statusEquals=Failed": "gamma", "statusEquals=Submitted": "alpha", "submitTimeAfter=2999-01-01T00:00:00Z": "", "submitTimeBefore=2999-01-01T00:00:00Z": "gamma beta alpha",
	} {
		if a := f.ask(t, ana, "GET", allJobs+"?"+query, nil); names(a) != want || a.status != 200 {
			t.Errorf("%s: %v, want %s", query, a, want)
		}
	}
	page := f.ask(t, ana, "GET", allJobs+"?maxResults=2", nil)
	token, _ := page.body["nextToken"].(string)
	if rest := f.ask(t, ana, "GET", allJobs+"?maxResults=2&nextToken="+token, nil); names(page) != "gamma beta" || names(rest) != "alpha" || rest.body["nextToken"] != nil {
		t.Errorf("%v, then %v", page, rest)
	}
	for _, query := range []string{"statusEquals=Done", "maxResults=0", "nextToken=x", "sortBy=Name"} {
		if a := f.ask(t, ana, "GET", allJobs+"?"+query, nil); a.code != "ValidationException" {
			t.Errorf("%s: %v", query, a)
		}
	}
}

// TestAJobOutlivesItsServer also if the server ended between storing it and
// having it run.
func TestAJobOutlivesItsServer(t *testing.T) {
	dir, jobs := t.TempDir(), newJobsFake()
	jobs.broken = errors.New("the database is gone")
	f := openOffice(t, dir, controlapi.Options{Jobs: jobs})
	_, id := f.createJob(t, ana, "early", nil)
	f.shut()
	jobs.broken = nil
	f = openOffice(t, dir, controlapi.Options{Jobs: jobs})
	defer f.shut()
	if !slices.Equal(slices.Collect(maps.Keys(jobs.jobs)), []string{id}) {
		t.Fatalf("submitted: %v", jobs.jobs)
	}
	jobs.broken = errors.New("the database is gone")
	if a := f.ask(t, ana, "GET", oneJob+id, nil); a.code != "InternalServerException" || strings.Contains(a.text, "database") {
		t.Errorf("%v", a)
	}
}

func TestTheGoSDKManagesJobs(t *testing.T) {
	jobs := newJobsFake()
	f, ctx := newOffice(t, controlapi.Options{Jobs: jobs}), context.Background()
	c := f.sdk(t, ana)
	made, err := c.CreateModelInvocationJob(ctx, &bedrock.CreateModelInvocationJobInput{
		JobName: aws.String("sdk"), RoleArn: aws.String("arn:aws:iam::111111111111:role/r"), ModelId: aws.String(sonnetARN),
		InputDataConfig:  &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{Value: types.ModelInvocationJobS3InputDataConfig{S3Uri: aws.String("s3://bucket/in/")}},
		OutputDataConfig: &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{Value: types.ModelInvocationJobS3OutputDataConfig{S3Uri: aws.String("s3://bucket/out/")}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetModelInvocationJob(ctx, &bedrock.GetModelInvocationJobInput{JobIdentifier: made.JobArn})
	if err != nil || got.Status != types.ModelInvocationJobStatusSubmitted || got.SubmitTime == nil || !got.JobExpirationTime.Equal(got.SubmitTime.Add(24*time.Hour)) {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := c.StopModelInvocationJob(ctx, &bedrock.StopModelInvocationJobInput{JobIdentifier: made.JobArn}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListModelInvocationJobs(ctx, &bedrock.ListModelInvocationJobsInput{StatusEquals: types.ModelInvocationJobStatusStopping})
	if err != nil || len(list.InvocationJobSummaries) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	var conflict *types.ConflictException
	_, err = c.CreateModelInvocationJob(ctx, &bedrock.CreateModelInvocationJobInput{
		JobName: aws.String("sdk"), RoleArn: aws.String("arn:aws:iam::111111111111:role/r"), ModelId: aws.String(sonnet),
		InputDataConfig:  &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{Value: types.ModelInvocationJobS3InputDataConfig{S3Uri: aws.String("s3://bucket/in/")}},
		OutputDataConfig: &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{Value: types.ModelInvocationJobS3OutputDataConfig{S3Uri: aws.String("s3://bucket/out/")}}})
	if !errors.As(err, &conflict) {
		t.Errorf("%v", err)
	}
}
