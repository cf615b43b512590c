package conformance_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBatchJobsOfTheMissionAsPrinted(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator())
	suite(t, s.environment(t), t.TempDir(), python, script("batch.py"), s.URL, missionFolder(), "mission")
}

func TestBoto3ManagesBatchJobs(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator())
	suite(t, s.environment(t), t.TempDir(), python, script("batch.py"), s.URL, missionFolder(), "oracle")
}

func TestABatchJobOnTheTransformerEngine(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, inFront(transformer(t).url))
	suite(t, s.environment(t), t.TempDir(), python, script("batch_engine.py"), llama)
}

func TestCommandLineRunsABatchJob(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, simulator())
	env, folder := s.environment(t), t.TempDir()
	input := filepath.Join(folder, "input.jsonl")
	writeFile(t, input, `{"recordId":"a","modelInput":{"messages":[{"role":"user","content":"Hello"}],"max_tokens":8,"anthropic_version":"bedrock-2023-05-31"}}`+"\n")
	run := func(args ...string) string {
		t.Helper()
		out, talk, ok := runAWS(t, env, args...)
		if !ok {
			t.Fatalf("%s: %s", strings.Join(args, " "), talk)
		}
		return out
	}
	run("s3", "mb", "s3://cli-batch")
	run("s3", "cp", input, "s3://cli-batch/in/input.jsonl")
	var made struct{ JobArn string }
	if err := json.Unmarshal([]byte(run("bedrock", "create-model-invocation-job", "--job-name", "cli", "--role-arn", "arn:aws:iam::123456789012:role/r", "--model-id", haiku,
		"--input-data-config", `{"s3InputDataConfig":{"s3Uri":"s3://cli-batch/in/"}}`, "--output-data-config", `{"s3OutputDataConfig":{"s3Uri":"s3://cli-batch/out/"}}`)), &made); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(run("bedrock", "get-model-invocation-job", "--job-identifier", made.JobArn), `"Completed"`); {
		if time.Now().After(end) {
			t.Fatal("the job does not end")
		}
	}
	if out := run("bedrock", "list-model-invocation-jobs", "--status-equals", "Completed"); !strings.Contains(out, made.JobArn) {
		t.Errorf("%s", out)
	}
	id := made.JobArn[strings.LastIndexByte(made.JobArn, '/')+1:]
	if out := run("s3", "cp", "s3://cli-batch/out/"+id+"/input.jsonl.out", "-"); !strings.Contains(out, `"modelOutput"`) {
		t.Errorf("%s", out)
	}
}
