package conformance_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	haiku = "anthropic.claude-3-haiku-20240307-v1:0"
	hello = `[{"role":"user","content":[{"text":"Hello, how are you?"}]}]`
)

// runAWS runs the AWS CLI and returns what it prints and whether it succeeds.
func runAWS(t *testing.T, env []string, args ...string) (out, talk string, ok bool) {
	t.Helper()
	c := exec.Command(need(t, "bin/aws"), args...)
	c.Env, c.Dir = env, t.TempDir()
	var stderr strings.Builder
	c.Stderr = &stderr
	text, err := c.Output()
	return string(text), stderr.String(), err == nil
}

func TestCommandLineConverses(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	out, talk, ok := runAWS(t, keyed(t), "bedrock-runtime", "converse", "--model-id", haiku, "--messages", hello,
		"--inference-config", "maxTokens=64")
	if !ok {
		t.Fatal(talk)
	}
	var answer struct {
		Output struct {
			Message struct{ Content []struct{ Text string } }
		}
		StopReason string
		Usage      struct{ InputTokens, OutputTokens, TotalTokens int }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Output.Message.Content) == 0 || answer.Output.Message.Content[0].Text == "" {
		t.Errorf("no text in %s", out)
	}
	if u := answer.Usage; u.TotalTokens == 0 || u.TotalTokens != u.InputTokens+u.OutputTokens {
		t.Errorf("usage is %+v", u)
	}
}

func TestTheCommandThatServePrintsWorks(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, "sim: {speed: 0}\n")
	lines := strings.ReplaceAll(s.out.String(), "\\\n", " ")
	var paste []string
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "export ") || strings.HasPrefix(line, "aws ") {
			paste = append(paste, line)
		}
	}
	if len(paste) < 3 {
		t.Fatalf("serve prints no lines to paste:\n%s", s.out)
	}
	c := exec.Command("sh", "-e", "-c", strings.Join(paste, "\n"))
	c.Env = append(cleanEnvironment("AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"),
		"PATH="+tools("bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, strings.Join(paste, "\n"), out)
	}
	if !strings.Contains(string(out), `"stopReason"`) {
		t.Errorf("no answer in %s", out)
	}
}

func TestCommandLineInvokesAModel(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, simulator())
	body := `{"anthropic_version":"bedrock-2023-05-31","max_tokens":32,"messages":[{"role":"user","content":"Hello"}]}`
	file := filepath.Join(t.TempDir(), "answer.json")
	_, talk, ok := runAWS(t, s.environment(t), "bedrock-runtime", "invoke-model", "--model-id", haiku,
		"--cli-binary-format", "raw-in-base64-out", "--body", body, file)
	if !ok { // version 1 of the CLI has no such option and takes the body as it is
		_, talk, ok = runAWS(t, s.environment(t), "bedrock-runtime", "invoke-model", "--model-id", haiku, "--body", body, file)
	}
	if !ok {
		t.Fatal(talk)
	}
	answer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer), `"output_tokens"`) {
		t.Errorf("the answer is %s", answer)
	}
}

func TestCommandLineListsModels(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, simulator())
	out, talk, ok := runAWS(t, s.environment(t), "bedrock", "list-foundation-models", "--by-provider", "Anthropic",
		"--query", "modelSummaries[].modelId", "--output", "text")
	if !ok {
		t.Fatal(talk)
	}
	if !strings.Contains(out, haiku) || strings.Contains(out, "meta.") {
		t.Errorf("the models of Anthropic are %s", out)
	}
}

func TestCommandLineShowsAnError(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, simulator())
	_, talk, ok := runAWS(t, s.environment(t), "bedrock-runtime", "converse", "--model-id", "no.such-model-v1:0", "--messages", hello)
	if ok || !strings.Contains(talk, "ValidationException") || !strings.Contains(talk, "The provided model identifier is invalid.") {
		t.Errorf("the CLI says %q", talk)
	}
}

func TestCommandLineWithABearerToken(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, "sim: {speed: 0}\n")
	key := s.addKey(t, "--kind", "api-key")
	bearer := s.environment(t, "AWS_BEARER_TOKEN_BEDROCK="+key.Secret, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=")
	s.awaitKey(t, key)
	if _, talk, ok := runAWS(t, bearer, "bedrock-runtime", "converse", "--model-id", haiku, "--messages", hello); !ok {
		t.Error(talk)
	}
	if _, talk, ok := runAWS(t, bearer, "bedrock", "list-foundation-models"); !ok {
		t.Error(talk)
	}
	wrong := s.environment(t, "AWS_BEARER_TOKEN_BEDROCK="+key.Secret[:len(key.Secret)-1]+"x", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=")
	if _, talk, ok := runAWS(t, wrong, "bedrock-runtime", "converse", "--model-id", haiku, "--messages", hello); ok {
		t.Error("a wrong token is accepted", talk)
	}
}
