package conformance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

// What is sent in the smoke test of isolation. On-demand requests are so many
// and so long that most of them still wait when the provisioned ones, one after
// another in each of so many clients, have ended.
const (
	onDemandRequests = 32
	onDemandTokens   = 300
	unitClients      = 4
	unitRequests     = 2 // of each client
	unitTokens       = 4
)

// filling bounds how long it may take until the engines and the queue are full.
const filling = 20 * time.Second

// inFrontOfTwo is the configuration that puts outcrop in front of two engines
// of one model. Without a floor nothing on demand starts while a provisioned
// request waits. The rates of the engines are guesses, low enough for any
// machine; on demand there is a limit only so that there are reservations.
func inFrontOfTwo(first, second string) string {
	const engine = "      - {kind: openai, url: '%s', model: tiny, capacity: {prefill: 2000, decode: 100, output: 400, sequences: %d}}\n"
	return "keys: open\nlog: {format: json, level: info}\n" +
		"scheduler: {queue_timeout: {default: 10m}, floor: {default: 0%}}\n" +
		"on_demand: {limits: [{requests_per_minute: 10000}]}\n" +
		"models:\n  - id: " + llama + "\n    unit: {input_tokens_per_minute: 6000, output_tokens_per_minute: 600}\n    engines:\n" +
		fmt.Sprintf(engine, first, slots) + fmt.Sprintf(engine, second, slots)
}

// fullness is what /outcrop/capacity says, as far as it is looked at here.
type fullness struct {
	Pools []struct {
		Classes []struct {
			Class                                              string
			Waiting, Running, Finished, Refused, Aborted, Lost int
		}
		Engines []struct {
			Running, Served, Failed int
			Unread                  int `json:"prefill_backlog_tokens"`
		}
	}
	Units    []admitted
	OnDemand []admitted `json:"on_demand"`
}

type admitted struct {
	Admitted int
	InFlight int `json:"in_flight"`
}

func (s *server) fullness(t *testing.T) (f fullness) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.page(t, "/outcrop/capacity")), &f); err != nil || len(f.Pools) != 1 || len(f.Pools[0].Engines) != 2 {
		t.Fatalf("%+v %v", f, err)
	}
	return f
}

func (s *server) page(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waiting counts the on-demand requests that have not started.
func (f fullness) waiting() (n int) {
	for _, c := range f.Pools[0].Classes {
		if c.Class == "default" {
			n = c.Waiting
		}
	}
	return n
}

// full reports whether each engine answers as many requests on demand as it
// takes, three quarters of its slots, and most of them wait.
func (f fullness) full() bool {
	for _, e := range f.Pools[0].Engines {
		if e.Running != slots*3/4 || e.Unread > 0 {
			return false
		}
	}
	return f.waiting() > onDemandRequests/2
}

// answer asks for so many tokens and fails the test unless it gets a whole
// answer. The engine's count of its tokens is not looked at: where a request
// was taken back, the next one in its slot may be told too many (llama.node
// 1.7.15).
func (s *server) answer(t *testing.T, model string, tokens int32) {
	out, err := runtimeOf(s, "a", "b", 1).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(model), Messages: turn("Tell me a story"),
		InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(tokens)}})
	if err != nil {
		t.Errorf("%s: %v", model, err)
		return
	}
	if out.StopReason != types.StopReasonMaxTokens {
		t.Errorf("%s: it stops for %s", model, out.StopReason)
	}
}

// TestProvisionedRequestsPassAFullQueue sends provisioned requests while the
// requests on demand of the same account fill two engines and the queue. Each
// of them ends before the last of those has started, though all of those came
// first: however fast the machine, that is so only if it passed the queue.
func TestProvisionedRequestsPassAFullQueue(t *testing.T) {
	s := start(t, inFrontOfTwo(transformer(t).url, transformer(t).url))
	unit, err := controlOf(s, "a", "b").CreateProvisionedModelThroughput(t.Context(), &bedrock.CreateProvisionedModelThroughputInput{
		ModelId: aws.String(llama), ModelUnits: aws.Int32(1), ProvisionedModelName: aws.String("pt")})
	if err != nil {
		t.Fatal(err)
	}
	var onDemand, provisioned sync.WaitGroup
	for range onDemandRequests {
		onDemand.Go(func() { s.answer(t, llama, onDemandTokens) })
	}
	defer onDemand.Wait()
	if !eventually(filling, func() bool { return s.fullness(t).full() }) {
		t.Fatalf("the engines or the queue do not fill: %+v", s.fullness(t))
	}
	for range unitClients {
		provisioned.Go(func() {
			for range unitRequests {
				s.answer(t, *unit.ProvisionedModelArn, unitTokens)
			}
		})
	}
	provisioned.Wait()
	if f := s.fullness(t); f.waiting() == 0 {
		t.Errorf("nothing on demand waits when the provisioned requests have ended: %+v", f)
	}
	onDemand.Wait()
	s.checkNothingIsLeft(t)
	s.stop() // the last lines of the log are written then
	s.checkQueueTimes(t)
}

// checkNothingIsLeft checks that each request ended once, on an engine, and
// that no place and no reservation is still held.
func (s *server) checkNothingIsLeft(t *testing.T) {
	t.Helper()
	const sent = unitClients * unitRequests
	idle := func(f fullness) bool {
		return f.Pools[0].Engines[0].Running+f.Pools[0].Engines[1].Running == 0 && len(f.Units) == 1 && f.Units[0] == admitted{Admitted: sent} &&
			len(f.OnDemand) == 1 && f.OnDemand[0] == admitted{Admitted: onDemandRequests} &&
			strings.Contains(s.page(t, "/metrics"), "\noutcrop_quota_in_flight 0\n")
	}
	if !eventually(takeEffect, func() bool { return idle(s.fullness(t)) }) { // the answer's last byte leaves before it is settled
		t.Errorf("something is left: %+v", s.fullness(t))
	}
	f := s.fullness(t)
	for _, c := range f.Pools[0].Classes {
		want := map[string]int{"provisioned": sent, "default": onDemandRequests}[c.Class]
		if c.Finished != want || c.Waiting+c.Running+c.Refused+c.Aborted+c.Lost != 0 {
			t.Errorf("class %+v, want %d finished and nothing else", c, want)
		}
	}
	if e := f.Pools[0].Engines; e[0].Served == 0 || e[1].Served == 0 || e[0].Served+e[1].Served != sent+onDemandRequests || e[0].Failed+e[1].Failed != 0 {
		t.Errorf("engines %+v", e)
	}
}

// checkQueueTimes checks the log: one line for each request, none with an
// error, and no provisioned request queued for as long as half of the others.
func (s *server) checkQueueTimes(t *testing.T) {
	t.Helper()
	queued, seen := map[string][]float64{}, map[string]bool{}
	for text := range strings.Lines(s.err.String()) {
		var line struct {
			Msg, Class, Code string
			ID               string  `json:"request_id"`
			Queued           float64 `json:"queued_ms"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if line.Msg != "invocation" {
			continue
		}
		if seen[line.ID] || line.Code != "" {
			t.Errorf("recorded twice, or with an error: %s", text)
		}
		seen[line.ID] = true
		queued[line.Class] = append(queued[line.Class], line.Queued)
	}
	provisioned, onDemand := queued["provisioned"], queued["default"]
	if len(provisioned) != unitClients*unitRequests || len(onDemand) != onDemandRequests {
		t.Fatalf("%d provisioned requests and %d on demand are recorded", len(provisioned), len(onDemand))
	}
	slices.Sort(onDemand)
	if longest, median := slices.Max(provisioned), onDemand[len(onDemand)/2]; longest >= median {
		t.Errorf("a provisioned request queued for %.0f ms, half of those on demand for less than %.0f ms", longest, median)
	}
	t.Logf("queued: provisioned %.0f ms at most, on demand %.0f ms in the middle", slices.Max(provisioned), onDemand[len(onDemand)/2])
}
