package conformance_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// suiteTimeout bounds one script.
const suiteTimeout = 4 * time.Minute

// tools is where scripts/tools.sh installs the clients.
func tools(elements ...string) string {
	return filepath.Join(append([]string{root, ".tools"}, elements...)...)
}

// need skips the test unless the clients are wanted and the files are there.
// It returns the first file.
func need(t *testing.T, files ...string) string {
	t.Helper()
	if os.Getenv("OUTCROP_CLIENTS") != "1" {
		t.Skip("real clients are not wanted: set OUTCROP_CLIENTS=1, or use make test")
	}
	for _, name := range files {
		if _, err := os.Stat(tools(name)); err != nil {
			t.Skipf(".tools/%s is missing: make tools", name)
		}
	}
	return tools(files[0])
}

// script is the path of a client script.
func script(name string) string { return filepath.Join(root, "conformance", "clients", name) }

// environment is what a user of the server has in the environment.
func (s *server) environment(t *testing.T, more ...string) []string {
	t.Helper()
	home := t.TempDir()
	return cleanEnvironment(append([]string{
		"AWS_ENDPOINT_URL=" + s.URL, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=outcrop", "AWS_SECRET_ACCESS_KEY=outcrop",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + filepath.Join(home, "none"),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(home, "none"), "AWS_PAGER=", "HOME=" + home,
		"PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1",
	}, more...)...)
}

// suite runs a script that prints a line for each check, and makes each line
// a subtest.
func suite(t *testing.T, env []string, folder, program string, args ...string) {
	t.Helper()
	c := exec.Command(program, args...)
	c.Dir, c.Env = folder, env
	errors := &output{}
	c.Stderr = errors
	lines, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(suiteTimeout, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	checks := report(t, bufio.NewScanner(lines))
	if err := c.Wait(); err != nil && !t.Failed() {
		t.Errorf("%s: %v\n%s", filepath.Base(args[0]), err, tail(errors.String()))
	}
	if checks == 0 {
		t.Errorf("%s made no checks\n%s", filepath.Base(args[0]), tail(errors.String()))
	}
}

// report turns the lines of a suite into subtests and returns their number.
func report(t *testing.T, lines *bufio.Scanner) (checks int) {
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		name, why, _ := strings.Cut(rest, ": ")
		switch verdict {
		case "ok":
			t.Run(rest, func(*testing.T) {})
		case "FAIL":
			t.Run(name, func(t *testing.T) { t.Error(why) })
		case "skip":
			t.Run(name, func(t *testing.T) { t.Skip(why) })
		default:
			t.Log(lines.Text())
			continue
		}
		checks++
	}
	return checks
}

// simulator is the configuration of the suites: every built-in model answers
// within milliseconds from the simulated engine, and requestMetadata {"fault":
// NAME} injects a fault. Not at once: smithy-go 1.28.8 closes the request body
// when the answer's head comes, and if that is before net/http has looked for
// the body's end, the connection breaks in the middle of the stream.
func simulator() string { return simulatorAt("200") }

// simulatorAt is simulator with engines of that speed.
func simulatorAt(speed string) string {
	var b strings.Builder
	b.WriteString("keys: open\nlog: {format: json, level: warn}\nbuiltin: all\nsim:\n  speed: " + speed + "\n" +
		"  replies:\n    - {match: '^ping (\\d+)$', text: 'pong $1'}\n  faults:\n")
	for _, code := range []string{"AccessDeniedException", "InternalServerException", "ModelErrorException", "ModelNotReadyException",
		"ModelTimeoutException", "ResourceNotFoundException", "ServiceUnavailableException", "ServiceQuotaExceededException",
		"ThrottlingException", "ValidationException"} {
		b.WriteString("    - {kind: error, code: " + code + ", metadata: fault=" + code + "}\n")
	}
	b.WriteString("    - {kind: error, code: ThrottlingException, rate: 50%, metadata: fault=sometimes}\n" +
		"    - {kind: cut, tokens: 3, metadata: fault=cut}\n" +
		"    - {kind: slow, delay: 200ms, metadata: fault=slow}\n" +
		"    - {kind: delay, delay: 3s, metadata: fault=slow-start}\n")
	return b.String()
}

// keyed starts the simulator for callers with keys, and returns the environment
// of one: what its client signs is verified.
func keyed(t *testing.T) []string {
	t.Helper()
	s := start(t, strings.Replace(simulator(), "keys: open", "keys: required", 1))
	k := s.addKey(t)
	s.awaitKey(t, k)
	return s.environment(t, "AWS_ACCESS_KEY_ID="+k.ID, "AWS_SECRET_ACCESS_KEY="+k.Secret)
}

func TestBotocoreModelsAsTheOracle(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator())
	suite(t, s.environment(t), t.TempDir(), python, script("oracle.py"), s.URL)
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	suite(t, keyed(t), t.TempDir(), python, script("functional.py"))
}

func TestCodeOfTheMissionAsPrinted(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator())
	suite(t, s.environment(t), t.TempDir(), python, script("mission.py"), missionFolder(), "anthropic.claude-3-sonnet-20240229-v1:0")
}

func missionFolder() string { return filepath.Join(root, "conformance", "testdata", "mission") }

func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	node := need(t, "bin/node", "clients/node_modules/@aws-sdk/client-bedrock-runtime")
	suite(t, keyed(t), tools("clients"), node, script("sdk.mjs"))
}

func TestAnthropicClientInBedrockMode(t *testing.T) {
	t.Parallel()
	node := need(t, "bin/node", "clients/node_modules/@anthropic-ai/bedrock-sdk")
	suite(t, keyed(t), tools("clients"), node, script("anthropic.mjs"))
}
