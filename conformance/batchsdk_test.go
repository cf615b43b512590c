package conformance_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/document"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// opened is an owner on a server that asks for no keys, with a bucket.
func opened(t *testing.T, s *server) *owner {
	t.Helper()
	o := &owner{key: key{ID: "a", Secret: "b"}, account: "000000000000", bucket: "sdk-batch"}
	if _, err := o.files(s).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &o.bucket}); err != nil {
		t.Fatal(err)
	}
	return o
}

// write makes the file of the owner's jobs one of n records.
func (o *owner) write(t *testing.T, s *server, n int) {
	t.Helper()
	if _, err := o.files(s).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &o.bucket, Key: aws.String("in/a.jsonl"), Body: bytes.NewReader(killedRecords(n).text)}); err != nil {
		t.Fatal(err)
	}
}

// get asks for the job as a client does.
func (o *owner) get(t *testing.T, s *server) *bedrock.GetModelInvocationJobOutput {
	t.Helper()
	out, err := o.jobs(s).GetModelInvocationJob(t.Context(), &bedrock.GetModelInvocationJobInput{JobIdentifier: &o.job})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAJobOfFewerRecordsThanMustBe fails while it is validated, as it does at
// AWS, and costs nothing; one record more, and it runs.
func TestAJobOfFewerRecordsThanMustBe(t *testing.T) {
	t.Parallel()
	s := start(t, simulator()+"batch: {minimum_records: 100}\n")
	o := opened(t, s)
	for _, few := range []int{3, 99} {
		o.write(t, s, few)
		o.submit(t, s, fmt.Sprint("few-", few))
		o.end(t, s)
		want := fmt.Sprintf("The job has %d records. It must have at least 100.", few)
		if j := o.get(t, s); j.Status != types.ModelInvocationJobStatusFailed || aws.ToString(j.Message) != want || j.EndTime == nil || aws.ToInt64(j.ProcessedRecordCount) != 0 {
			t.Errorf("the job of %d records is %s: %q", few, j.Status, aws.ToString(j.Message))
		}
		if left := o.left(t, s); len(left) > 0 {
			t.Errorf("it has left %v", left)
		}
	}
	o.write(t, s, 100)
	o.submit(t, s, "enough")
	o.end(t, s)
	if j := o.get(t, s); j.Status != types.ModelInvocationJobStatusCompleted || aws.ToInt64(j.TotalRecordCount) != 100 || aws.ToInt64(j.ProcessedRecordCount) != 100 {
		t.Errorf("the job of 100 records is %s: %q", j.Status, aws.ToString(j.Message))
	}
	if n := bytes.Count(o.read(t, s, "a.jsonl.out"), []byte("\n")); n != 100 {
		t.Errorf("%d lines of output", n)
	}
}

// TestWhatAJobWasGivenIsReadBack while it waits and after its end, by Get and
// by List, member by member.
func TestWhatAJobWasGivenIsReadBack(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	o := opened(t, s)
	o.write(t, s, 3)
	in := o.request("as-given")
	source := &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{Value: types.ModelInvocationJobS3InputDataConfig{
		S3Uri: aws.String("s3://sdk-batch/in/a.jsonl"), S3InputFormat: types.S3InputFormatJsonl, S3BucketOwner: &o.account}}
	output := &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{Value: types.ModelInvocationJobS3OutputDataConfig{
		S3Uri: aws.String("s3://sdk-batch/out/"), S3BucketOwner: &o.account, S3EncryptionKeyId: aws.String("arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")}}
	in.InputDataConfig, in.OutputDataConfig = source, output
	in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-0a", "subnet-0b"}, SecurityGroupIds: []string{"sg-0a", "sg-0b"}}
	in.TimeoutDurationInHours, in.ClientRequestToken = aws.Int32(30), aws.String("token-1")
	o.create(t, s, in)
	check := func(when string) {
		t.Helper()
		j := o.get(t, s)
		list, err := o.jobs(s).ListModelInvocationJobs(t.Context(), &bedrock.ListModelInvocationJobsInput{})
		if err != nil || len(list.InvocationJobSummaries) != 1 {
			t.Fatalf("%+v %v", list, err)
		}
		l, unseen := list.InvocationJobSummaries[0], cmpopts.IgnoreTypes(document.NoSerde{})
		for _, got := range []givenOfAJob{
			{j.InputDataConfig, j.OutputDataConfig, j.VpcConfig, j.TimeoutDurationInHours, j.ClientRequestToken, j.RoleArn, j.ModelId, j.JobName},
			{l.InputDataConfig, l.OutputDataConfig, l.VpcConfig, l.TimeoutDurationInHours, l.ClientRequestToken, l.RoleArn, l.ModelId, l.JobName},
		} {
			want := givenOfAJob{source, output, in.VpcConfig, in.TimeoutDurationInHours, in.ClientRequestToken, in.RoleArn, in.ModelId, in.JobName}
			if diff := cmp.Diff(want, got, unseen); diff != "" {
				t.Errorf("%s (-given +read back):\n%s", when, diff)
			}
		}
		if due := j.SubmitTime.Add(30 * time.Hour); !j.JobExpirationTime.Equal(due) {
			t.Errorf("%s it expires at %v, want %v", when, j.JobExpirationTime, due)
		}
	}
	check("at once")
	if j := o.end(t, s); j.Status != "Completed" {
		t.Errorf("%+v", j)
	}
	check("at its end")
}

// givenOfAJob is what a caller gave, in what clients read.
type givenOfAJob struct {
	Input              types.ModelInvocationJobInputDataConfig
	Output             types.ModelInvocationJobOutputDataConfig
	VPC                *types.VpcConfig
	Hours              *int32
	Token, Role, Model *string
	Name               *string
}
