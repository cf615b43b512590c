package conformance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

// The models that the transformer engine serves.
const (
	llama    = "meta.llama3-1-8b-instruct-v1:0"
	passThru = "openai.gpt-oss-20b-1:0"
)

// slots is how many answers the engine works on at a time.
const slots = 4

// An engine is a running llama.cpp with a tiny model of random weights.
type engine struct {
	url     string
	command *exec.Cmd
	ended   chan struct{}
}

func transformer(t *testing.T) *engine {
	t.Helper()
	node := need(t, "bin/node", "engine/node_modules/@fugood/llama.node", "engine/tiny.gguf")
	out, errs := &output{}, &output{}
	e := &engine{ended: make(chan struct{})}
	e.command = exec.Command(node, filepath.Join(root, "conformance", "engine", "server.mjs"), "tiny.gguf", "0", fmt.Sprint(slots), "16384", "1")
	e.command.Dir, e.command.Env, e.command.Stdout, e.command.Stderr = tools("engine"), cleanEnvironment(), out, errs
	if err := e.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = e.command.Wait(); close(e.ended) }()
	t.Cleanup(e.kill)
	listening := out.wait(startTimeout, e.ended, func(said string) bool {
		_, after, found := strings.Cut(said, "listening on ")
		address, _, complete := strings.Cut(after, "\n")
		e.url = "http://" + address
		return found && complete
	})
	if !listening {
		t.Fatalf("the engine does not start:\n%s%s", out, tail(errs.String()))
	}
	return e
}

func (e *engine) kill() {
	_ = e.command.Process.Kill()
	<-e.ended
}

// inFront is the configuration that puts outcrop in front of the engine.
func inFront(engine string) string {
	return "keys: open\nlog: {format: json, level: warn}\nmodels:\n" +
		"  - id: " + llama + "\n    engines: [{kind: openai, url: '" + engine + "', model: tiny}]\n" +
		"  - id: " + passThru + "\n    engines: [{kind: openai, url: '" + engine + "', model: tiny}]\n"
}

func TestTransformerEngine(t *testing.T) {
	python := need(t, "bin/python")
	s := start(t, inFront(transformer(t).url))
	suite(t, s.environment(t), t.TempDir(), python, script("engine.py"), llama)
}

func TestCodeOfTheMissionOnTheTransformerEngine(t *testing.T) {
	python := need(t, "bin/python")
	s := start(t, inFront(transformer(t).url))
	suite(t, s.environment(t), t.TempDir(), python, script("mission.py"), missionFolder(), llama, llama)
}

// status is what the engine tells of its slots.
type slotStatus struct {
	Active int `json:"active_slots"`
	Queued int `json:"queued_requests"`
}

func slotsOf(t *testing.T, engine string) (status slotStatus) {
	t.Helper()
	response, err := http.Get(engine + "/slots")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	return status
}

// TestEngineIsFreedWhenTheClientLeaves fills all slots with answers that take
// long, leaves, and finds the slots free at once: long before the answers
// would have ended.
func TestEngineIsFreedWhenTheClientLeaves(t *testing.T) {
	e := transformer(t)
	s := start(t, inFront(e.url))
	var streams []*bedrockruntime.ConverseStreamOutput
	for range slots {
		// a client for each, since concurrent streams of one race in the SDK (smithy-go 1.28.8, codec.go:68)
		out, err := runtimeOf(s, "a", "b", 1).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(llama), Messages: turn("Tell me a very long story"),
			InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(3500)}})
		if err != nil {
			t.Fatal(err)
		}
		<-out.GetStream().Events()
		streams = append(streams, out)
	}
	if busy := slotsOf(t, e.url).Active; busy != slots {
		t.Fatalf("%d of %d slots are busy: the answers are too short for this test", busy, slots)
	}
	for _, out := range streams {
		out.GetStream().Close()
	}
	if !eventually(takeEffect, func() bool { return slotsOf(t, e.url).Active == 0 }) {
		t.Errorf("the slots stay busy: %+v", slotsOf(t, e.url))
	}
	var cancelled string
	if response, err := http.Get(e.url + "/metrics"); err == nil {
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "llama_requests_cancelled_total "); ok {
				cancelled = strings.TrimSpace(value)
			}
		}
	}
	if cancelled != fmt.Sprint(slots) {
		t.Errorf("the engine counts %q cancelled answers, want %d", cancelled, slots)
	}
}

func TestEngineThatDiesBreaksTheStream(t *testing.T) {
	e := transformer(t)
	s := start(t, inFront(e.url))
	client := runtimeOf(s, "a", "b", 1)
	stream, err := client.ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(llama), Messages: turn("Tell me a very long story"),
		InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(3500)}})
	if err != nil {
		t.Fatal(err)
	}
	events := stream.GetStream().Events()
	<-events
	e.kill()
	for range events {
	}
	if code := codeOf(stream.GetStream().Err()); code != "ModelStreamErrorException" {
		t.Errorf("the stream ends with %v", stream.GetStream().Err())
	}
	begin := time.Now()
	if code := codeOf(s.askAs(t, "a", "b", llama)); code != "ServiceUnavailableException" {
		t.Errorf("a dead engine gives %q", code)
	}
	if waited := time.Since(begin); waited > 20*time.Second {
		t.Errorf("that takes %s", waited)
	}
}
