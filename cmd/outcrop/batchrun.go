package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop"
)

// A runner is the command that runs a file.
type runner struct {
	endpoint, model, name, bucket, output string
	converse, detach                      bool
}

func newBatchRun() *cobra.Command {
	r := &runner{}
	c := &cobra.Command{
		Use: "run FILE.jsonl", Short: "Upload a file, run it as a batch job, and fetch the answers", Args: cobra.ExactArgs(1),
		Long: "Upload a file of records to the server's S3, run it as a batch job, and fetch the answers. Each line is\n" +
			`{"recordId": "...", "modelInput": {...}}, with the body of an InvokeModel call, or with --converse of a Converse call.` + "\n\n" +
			"A server with keys needs an access key for this (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), since S3 takes no\n" +
			"Bedrock API key; where both are set, the job is the access key's.\n\n" +
			"The job goes on if this command is broken off: outcrop batch show tells how far it is.",
		Example: `  outcrop batch run questions.jsonl --model anthropic.claude-3-haiku-20240307-v1:0
  outcrop batch run chats.jsonl --model meta.llama3-1-8b-instruct-v1:0 --converse --output answers.jsonl`,
		RunE: func(c *cobra.Command, args []string) error {
			return r.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	addEndpoint(c, &r.endpoint)
	f := c.Flags()
	f.StringVar(&r.model, "model", "", "model that answers (needed)")
	f.StringVar(&r.name, "name", "", "name of the job; made up without it")
	f.StringVar(&r.bucket, "bucket", "", "bucket for the files; one of the key's own, which is made, without it")
	f.StringVar(&r.output, "output", "", "file for the answers; FILE.jsonl.out without it")
	f.BoolVar(&r.converse, "converse", false, "the records are bodies of Converse")
	f.BoolVar(&r.detach, "detach", false, "print the job's id and do not wait for it")
	return c
}

func (r *runner) run(ctx context.Context, file string, out, talk io.Writer) error {
	if r.model == "" {
		return &exitError{exitUsage, errors.New("--model is missing: the model that answers the records")}
	}
	server, err := newClient(r.endpoint)
	if err != nil {
		return err
	}
	server.accessKey = true
	r.complete(file)
	files := server.s3()
	key := "in/" + r.name + "/" + keyName(file)
	if err := r.upload(ctx, files, file, key); err != nil {
		return err
	}
	id, err := r.create(ctx, server, key)
	if err != nil {
		return err
	}
	if r.detach {
		_, err := fmt.Fprintln(out, id)
		return err
	}
	j, err := follow(ctx, server, id, talk)
	if ctx.Err() != nil {
		fmt.Fprintf(talk, "\nThe job goes on: outcrop batch show %s\n", id)
		return silent(exitSignal)
	}
	if err != nil {
		return err
	}
	return r.fetch(ctx, files, &j, "out/"+id+"/"+keyName(file)+".out", talk)
}

// complete makes up what the caller did not say.
func (r *runner) complete(file string) {
	if r.name == "" {
		var b [3]byte
		_, _ = rand.Read(b[:])
		r.name = "cli-" + time.Now().UTC().Format("20060102-150405-") + hex.EncodeToString(b[:])
	}
	if r.bucket == "" {
		sum := sha256.Sum256([]byte(os.Getenv("AWS_ACCESS_KEY_ID")))
		r.bucket = "outcrop-batch-" + hex.EncodeToString(sum[:6])
	}
	if r.output == "" {
		r.output = file + ".out"
	}
}

// keyName is the file's name as the last part of a key: of the characters that
// the API takes, and with the ending that it wants.
func keyName(file string) string {
	name := strings.Map(func(c rune) rune {
		if c < 128 && (strings.ContainsRune("-_.", c) || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return c
		}
		return '_'
	}, filepath.Base(file))
	return strings.TrimSuffix(name, ".jsonl") + ".jsonl"
}

// s3 returns a client of the server's S3, as whom the environment says.
func (c *client) s3() *s3.Client {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if !hasAccessKey() {
		id, secret = "outcrop", "outcrop" // good enough where anybody may call
	}
	return s3.New(s3.Options{
		BaseEndpoint: &c.endpoint, UsePathStyle: true, Region: firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), defaultRegion),
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, os.Getenv("AWS_SESSION_TOKEN")),
	})
}

// upload puts the file into the bucket, which is made if there is none.
func (r *runner) upload(ctx context.Context, files *s3.Client, file, key string) error {
	f, err := os.Open(file)
	if err != nil {
		return notFound(err)
	}
	defer func() { _ = f.Close() }()
	_, err = files.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &r.bucket})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "NotFound" {
		_, err = files.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &r.bucket})
	}
	if err == nil {
		_, err = files.PutObject(ctx, &s3.PutObjectInput{Bucket: &r.bucket, Key: &key, Body: f})
	}
	var answer *smithyhttp.ResponseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusForbidden:
		return &exitError{exitDenied, fmt.Errorf("cannot upload to s3://%s/%s: access is denied%s", r.bucket, key, hintFiles())}
	}
	return failed(fmt.Errorf("cannot upload to s3://%s/%s: %w", r.bucket, key, err))
}

// hintFiles says what S3 needs to let the caller in.
func hintFiles() string {
	if hasAccessKey() {
		return "\n  check AWS_REGION and that the key is of this server and may use S3: outcrop keys list"
	}
	hint := "\n  files are uploaded over S3, which takes an access key alone: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; outcrop keys add makes one"
	if os.Getenv("AWS_BEARER_TOKEN_BEDROCK") != "" {
		hint += "\n  with the Bedrock API key that is set, create a job on a file that somebody else has uploaded: CreateModelInvocationJob"
	}
	return hint
}

// create creates the job and returns its id.
func (r *runner) create(ctx context.Context, server *client, key string) (id string, err error) {
	kind := outcrop.OpInvokeModel
	if r.converse {
		kind = outcrop.OpConverse
	}
	type object map[string]any
	body, err := json.Marshal(object{
		"jobName": r.name, "modelId": r.model, "roleArn": "arn:aws:iam::000000000000:role/outcrop", "modelInvocationType": kind,
		"inputDataConfig":  object{"s3InputDataConfig": object{"s3Uri": "s3://" + r.bucket + "/" + key}},
		"outputDataConfig": object{"s3OutputDataConfig": object{"s3Uri": "s3://" + r.bucket + "/out/"}},
	})
	if err != nil {
		return "", failed(err)
	}
	answer, err := server.ask(ctx, "POST", "/model-invocation-job", body)
	if err != nil {
		return "", err
	}
	var made jobState
	err = server.read(answer, &made)
	return made.id(), err
}

// followEvery is how often to look how far a job is.
const followEvery = 500 * time.Millisecond

// follow waits for the end of the job, and tells how far it is: as one line
// that changes at a terminal, and elsewhere as a line for each status.
func follow(ctx context.Context, server *client, id string, talk io.Writer) (j jobState, err error) {
	terminal, last := isTerminal(talk), outcrop.JobStatus("")
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		if j, err = server.job(ctx, id); err != nil {
			return j, err
		}
		if terminal {
			fmt.Fprintf(talk, "\r\x1b[K%s", progress(&j, time.Now()))
		} else if j.Status != last {
			fmt.Fprintf(talk, "%s %s\n", id, j.Status)
		}
		if last = j.Status; last.Ended() {
			if terminal {
				fmt.Fprintln(talk)
			}
			return j, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return j, ctx.Err()
		}
	}
}

// progress is the job in one line.
func progress(j *jobState, now time.Time) string {
	if j.TotalRecordCount == 0 {
		return string(j.Status)
	}
	const width = 30
	done := int(width * j.ProcessedRecordCount / j.TotalRecordCount)
	line := fmt.Sprintf("%s [%s%s] %d/%d", j.Status, strings.Repeat("#", done), strings.Repeat(".", width-done), j.ProcessedRecordCount, j.TotalRecordCount)
	if pace := j.pace(now); pace != "" {
		line += "  " + pace
	}
	if j.OutcropCostUsd != "" {
		line += "  $" + j.OutcropCostUsd
	}
	if j.ErrorRecordCount > 0 {
		line += fmt.Sprintf("  %d failed", j.ErrorRecordCount)
	}
	return line
}

// fetch writes the output of an ended job to the file, and says how it ended.
func (r *runner) fetch(ctx context.Context, files *s3.Client, j *jobState, key string, talk io.Writer) error {
	if j.ProcessedRecordCount > 0 {
		if err := r.download(ctx, files, key); err != nil {
			return failed(fmt.Errorf("cannot fetch s3://%s/%s: %w", r.bucket, key, err))
		}
		fmt.Fprintf(talk, "%d answers and %d errors in %s\n", j.SuccessRecordCount, j.ErrorRecordCount, r.output)
		if j.OutcropCostUsd != "" {
			fmt.Fprintf(talk, "they cost $%s\n", j.OutcropCostUsd)
		}
	}
	if j.Status == outcrop.JobCompleted {
		return nil
	}
	return failed(errors.New(strings.TrimSpace("the job is " + string(j.Status) + ". " + printable(j.Message))))
}

func (r *runner) download(ctx context.Context, files *s3.Client, key string) error {
	answer, err := files.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(r.bucket), Key: &key})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	f, err := os.Create(r.output)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer.Body)
	return errors.Join(err, f.Close())
}
