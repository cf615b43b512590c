package conformance_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
)

// controlOf returns the SDK's control plane client for the server.
func controlOf(s *server, access, secret string) *bedrock.Client {
	return bedrock.New(bedrock.Options{
		BaseEndpoint: aws.String(s.URL), Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	})
}

// shortMonth makes a month of a commitment last no longer than month.
func shortMonth(month string) string { return "commitment_month: " + month + "\n" + simulator() }

// withExtras returns the environment of a user who ran `outcrop aws-extras`.
func (s *server) withExtras(t *testing.T) []string {
	t.Helper()
	env := s.environment(t)
	c := program("aws-extras")
	c.Env = env
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("outcrop aws-extras: %v\n%s", err, out)
	}
	return env
}

func TestProvisionedThroughputOfTheMissionAsPrinted(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, shortMonth("4s"))
	suite(t, s.withExtras(t), t.TempDir(), python, script("provisioned.py"), s.URL, missionFolder(), "mission")
}

func TestBoto3ManagesProvisionedThroughput(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, shortMonth("1s"))
	suite(t, s.withExtras(t), t.TempDir(), python, script("provisioned.py"), s.URL, missionFolder(), "oracle")
}

func TestCommandLineManagesProvisionedThroughput(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, simulator())
	env := s.withExtras(t)
	run := func(args ...string) string {
		t.Helper()
		out, talk, ok := runAWS(t, env, append([]string{"bedrock"}, args...)...)
		if !ok {
			t.Fatalf("%s: %s", args[0], talk)
		}
		return out
	}
	run("create-provisioned-model-throughput", "--model-units", "1", "--provisioned-model-name", "cli", "--model-id", haiku, "--tags", "key=a,value=1")
	if out, talk, ok := runAWS(t, env, "bedrock-runtime", "converse", "--model-id", "cli", "--messages", hello); !ok || !strings.Contains(out, "text") {
		t.Errorf("%s %s", out, talk)
	}
	run("update-provisioned-model-throughput", "--provisioned-model-id", "cli", "--desired-model-units", "2")
	run("update-provisioned-model-throughput", "--provisioned-model-id", "cli", "--desired-provisioned-model-name", "renamed") // waits for the resize
	var got struct {
		ModelUnits          int
		ProvisionedModelArn string
	}
	if err := json.Unmarshal([]byte(run("get-provisioned-model-throughput", "--provisioned-model-id", "renamed")), &got); err != nil || got.ModelUnits != 2 {
		t.Errorf("%+v %v", got, err)
	}
	if out := run("list-tags-for-resource", "--resource-arn", got.ProvisionedModelArn); !strings.Contains(out, `"a"`) {
		t.Errorf("tags %s", out)
	}
	if out := run("list-provisioned-model-throughputs", "--max-items", "1"); !strings.Contains(out, got.ProvisionedModelArn) {
		t.Errorf("list %s", out)
	}
	run("delete-provisioned-model-throughput", "--provisioned-model-id", got.ProvisionedModelArn)
}

// TestGoSDKUsesWhatItProvisioned calls the runtime right after Create.
func TestGoSDKUsesWhatItProvisioned(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	made, err := controlOf(s, "a", "b").CreateProvisionedModelThroughput(t.Context(), &bedrock.CreateProvisionedModelThroughputInput{
		ModelId: aws.String(haiku), ModelUnits: aws.Int32(1), ProvisionedModelName: aws.String("pt")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{*made.ProvisionedModelArn, "pt"} {
		if err := s.askAs(t, "a", "b", name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnARNBelongsToItsAccount has two callers with accounts of their own.
func TestAnARNBelongsToItsAccount(t *testing.T) {
	t.Parallel()
	s := start(t, strings.Replace(simulator(), "keys: open", "keys: required", 1))
	mine, theirs := s.addKey(t, "--account", "111111111111"), s.addKey(t, "--account", "222222222222")
	s.awaitKey(t, mine)
	s.awaitKey(t, theirs)
	made, err := controlOf(s, mine.ID, mine.Secret).CreateProvisionedModelThroughput(t.Context(), &bedrock.CreateProvisionedModelThroughputInput{
		ModelId: aws.String(haiku), ModelUnits: aws.Int32(1), ProvisionedModelName: aws.String("pt")})
	if err != nil {
		t.Fatal(err)
	}
	arn := *made.ProvisionedModelArn
	if err := s.askAs(t, mine.ID, mine.Secret, arn); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if code := codeOf(s.askAs(t, theirs.ID, theirs.Secret, arn)); code != "AccessDeniedException" {
		t.Errorf("the other account: %s", code)
	}
	if code := codeOf(s.askAs(t, theirs.ID, theirs.Secret, "pt")); code != "ValidationException" {
		t.Errorf("the other account by name: %s", code)
	}
	_, err = controlOf(s, theirs.ID, theirs.Secret).DeleteProvisionedModelThroughput(t.Context(), &bedrock.DeleteProvisionedModelThroughputInput{ProvisionedModelId: &arn})
	if code := codeOf(err); code != "AccessDeniedException" {
		t.Errorf("delete by the other account: %s", code)
	}
}

// TestProvisionedThroughputOutlivesAKilledServer kills the server with signal
// 9 right after the answers.
func TestProvisionedThroughputOutlivesAKilledServer(t *testing.T) {
	t.Parallel()
	s := launch(t, simulator())
	if !s.ready() {
		t.Fatal(s.err)
	}
	c := controlOf(s, "a", "b")
	made, err := c.CreateProvisionedModelThroughput(t.Context(), &bedrock.CreateProvisionedModelThroughputInput{
		ModelId: aws.String(haiku), ModelUnits: aws.Int32(3), ProvisionedModelName: aws.String("pt"), CommitmentDuration: types.CommitmentDurationOneMonth})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.command.Process.Signal(syscall.SIGKILL)
	s.wait(stopTimeout)
	again := &server{Data: s.Data, Config: s.Config, out: &output{}, err: &output{}, ended: make(chan struct{})}
	if again.run(t); !again.ready() {
		t.Fatalf("it does not start again:\n%s", again.err)
	}
	if err := again.askAs(t, "a", "b", *made.ProvisionedModelArn); err != nil {
		t.Error(err)
	}
	got, err := controlOf(again, "a", "b").GetProvisionedModelThroughput(t.Context(), &bedrock.GetProvisionedModelThroughputInput{ProvisionedModelId: aws.String("pt")})
	if err != nil || *got.ModelUnits != 3 || got.Status != types.ProvisionedModelStatusInService || time.Until(*got.CommitmentExpirationTime) < 29*24*time.Hour {
		t.Errorf("%+v %v", got, err)
	}
	again.stop()
	if again.exit != nil {
		t.Errorf("the server ends with %v", again.exit)
	}
}
