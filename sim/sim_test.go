package sim_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/tokens"
)

const (
	haiku  = "anthropic.claude-3-haiku-20240307-v1:0"
	sonnet = "anthropic.claude-3-sonnet-20240229-v1:0"
	opus   = "anthropic.claude-3-opus-20240229-v1:0"
)

func card(t testing.TB, id string) *outcrop.Card {
	t.Helper()
	c := catalog.Builtin().Lookup(id)
	if c == nil {
		t.Fatalf("no card %s", id)
	}
	return c
}

func text(s string) outcrop.Block {
	return outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Quote(s)}
}

func user(blocks ...outcrop.Block) outcrop.Message {
	return outcrop.Message{Role: outcrop.RoleUser, Content: blocks}
}

func assistant(blocks ...outcrop.Block) outcrop.Message {
	return outcrop.Message{Role: outcrop.RoleAssistant, Content: blocks}
}

// ask is a request of one message to Claude 3 Haiku, which change alters.
func ask(t testing.TB, prompt string, change ...func(*outcrop.Request)) *outcrop.Request {
	t.Helper()
	req := &outcrop.Request{
		ID: "1", Operation: outcrop.OpConverse, ModelID: haiku, Card: card(t, haiku),
		Principal:    &outcrop.Principal{Account: "111122223333"},
		Conversation: &outcrop.Conversation{Messages: []outcrop.Message{user(text(prompt))}},
	}
	for _, c := range change {
		c(req)
	}
	return req
}

func meta(key, value string) func(*outcrop.Request) {
	return func(r *outcrop.Request) { r.Metadata = append(r.Metadata, outcrop.Metadata{Key: key, Value: value}) }
}

func maxTokens(n int) func(*outcrop.Request) {
	return func(r *outcrop.Request) { r.Conversation.Inference.MaxTokens = n }
}

// A recorder keeps an answer and checks the order of its events.
type recorder struct {
	outcrop.Answer
	t      testing.TB
	begun  time.Time
	events []outcrop.EventKind
	at     []time.Duration // of the deltas
	open   bool
	next   int
	fail   int // which Send fails, counted from 1; 0 none
	sends  int
}

var errSink = errors.New("the sink is full")

func (r *recorder) Send(e outcrop.Event) error {
	if r.sends++; r.sends == r.fail {
		return errSink
	}
	if len(r.events) == 0 && e.Kind != outcrop.EventStart {
		r.t.Errorf("the first event is %d", e.Kind)
	}
	switch e.Kind {
	case outcrop.EventBlockStart:
		if r.open || e.Index != r.next {
			r.t.Errorf("block %d starts, open %v, want %d", e.Index, r.open, r.next)
		}
		r.open = true
	case outcrop.EventDelta:
		if !r.open || e.Index != r.next {
			r.t.Errorf("a delta of block %d, open %v, want %d", e.Index, r.open, r.next)
		}
		if e.Block != outcrop.BlockSignature {
			r.at = append(r.at, time.Since(r.begun))
		}
	case outcrop.EventBlockStop:
		r.open = false
		r.next++
	case outcrop.EventStop:
		if r.open {
			r.t.Error("the answer stops inside a block")
		}
	}
	r.events = append(r.events, e.Kind)
	return r.Answer.Send(e)
}

// said is the text of the answer.
func (r *recorder) said() string {
	var b strings.Builder
	for _, c := range r.Content {
		if c.Kind == outcrop.BlockText {
			b.WriteString(c.Text.String())
		}
	}
	return b.String()
}

func invoke(t testing.TB, e *sim.Engine, req *outcrop.Request) (*recorder, outcrop.Receipt, error) {
	r := &recorder{t: t, begun: time.Now()}
	receipt, err := e.Invoke(t.Context(), req, r)
	if err == nil && r.events[len(r.events)-1] != outcrop.EventFlush {
		t.Errorf("the last event is %d, want a flush", r.events[len(r.events)-1])
	}
	if got := len(r.at); got != receipt.Usage.Output {
		t.Errorf("%d deltas, but the receipt counts %d tokens", got, receipt.Usage.Output)
	}
	return r, receipt, err
}

func mustInvoke(t testing.TB, e *sim.Engine, req *outcrop.Request) (*recorder, outcrop.Receipt) {
	t.Helper()
	r, receipt, err := invoke(t, e, req)
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	return r, receipt
}

// quick is an engine on which nothing waits.
func quick(t testing.TB, change ...func(*sim.Config)) *sim.Engine {
	c := sim.Config{Card: card(t, haiku), Seed: 1}
	for _, f := range change {
		f(&c)
	}
	return sim.New(c)
}

func TestFirstTokenTimesOfTheMission(t *testing.T) {
	for id, want := range map[string]time.Duration{haiku: 500, sonnet: 1000, opus: 2000} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := sim.New(sim.Config{Card: card(t, id), Speed: 1})
				req := ask(t, "Hello, how are you?")
				req.Card = card(t, id)
				r, receipt := mustInvoke(t, e, req)
				if want *= time.Millisecond; receipt.FirstToken != want || r.at[0] != want {
					t.Errorf("first token after %v, seen after %v, want %v", receipt.FirstToken, r.at[0], want)
				}
			})
		})
	}
}

func TestTokensComeOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 1})
		r, receipt := mustInvoke(t, e, ask(t, "Hello, how are you?"))
		for i := 1; i < len(r.at); i++ {
			if gap := r.at[i] - r.at[i-1]; gap < 8*time.Millisecond || gap > 9*time.Millisecond {
				t.Fatalf("token %d comes %v after the one before, want 8 ms and a little", i+1, gap)
			}
		}
		if receipt.Usage.Output < 40 {
			t.Errorf("%d tokens: too few to tell", receipt.Usage.Output)
		}
	})
}

func TestSpeedScalesTime(t *testing.T) {
	for _, c := range []struct {
		speed float64
		want  time.Duration
	}{{10, 50 * time.Millisecond}, {0.5, time.Second}, {0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			e := sim.New(sim.Config{Card: card(t, haiku), Speed: c.speed})
			begun := time.Now()
			r, _ := mustInvoke(t, e, ask(t, "Hello"))
			if r.at[0] != c.want {
				t.Errorf("speed %v: first token after %v, want %v", c.speed, r.at[0], c.want)
			}
			if c.speed == 0 && time.Since(begun) != 0 {
				t.Errorf("speed 0 waits %v", time.Since(begun))
			}
		})
	}
}

func TestManyRequestsSlowEachOtherDown(t *testing.T) {
	slowest := func(t *testing.T, n int) (worst time.Duration) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 1})
		long := strings.Repeat("All work and no play makes a dull day. ", 200)
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				_, receipt, err := invoke(t, e, ask(t, fmt.Sprint(i, long)))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				worst = max(worst, receipt.FirstToken)
			})
		}
		all.Wait()
		return worst
	}
	synctest.Test(t, func(t *testing.T) {
		one, many := slowest(t, 1), slowest(t, 400)
		if many < 5*one {
			t.Errorf("the slowest first token takes %v alone and %v among 400", one, many)
		}
	})
}

func TestASharedPrefixMakesThePromptFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 1})
		req := ask(t, strings.Repeat("All work and no play makes a dull day. ", 800))
		_, cold := mustInvoke(t, e, req)
		_, warm := mustInvoke(t, e, req)
		if warm.FirstToken >= cold.FirstToken || e.Stats().PrefixHits == 0 {
			t.Errorf("first token after %v, the second time after %v, %d tokens from the cache", cold.FirstToken, warm.FirstToken, e.Stats().PrefixHits)
		}
		other := ask(t, string(req.Conversation.Messages[0].Content[0].Text))
		other.Principal = &outcrop.Principal{Account: "999988887777"}
		if _, theirs := mustInvoke(t, e, other); theirs.FirstToken != cold.FirstToken {
			t.Errorf("another account's first token comes after %v, want %v as from a cold cache", theirs.FirstToken, cold.FirstToken)
		}
	})
}

func TestTheSameRequestGetsTheSameAnswer(t *testing.T) {
	answer := func(seed uint64, prompt string) string {
		e := quick(t, func(c *sim.Config) { c.Seed = seed })
		r, _ := mustInvoke(t, e, ask(t, prompt))
		return r.said()
	}
	one := answer(1, "Explain machine learning")
	if again := answer(1, "Explain machine learning"); again != one {
		t.Errorf("first:\n%s\nthen:\n%s", one, again)
	}
	if other := answer(2, "Explain machine learning"); other == one {
		t.Error("another seed gives the same answer")
	}
	if other := answer(1, "What is serverless?"); other == one {
		t.Error("another prompt gives the same answer")
	}
}

func TestTheAnswerSaysThatItIsSimulated(t *testing.T) {
	r, receipt := mustInvoke(t, quick(t), ask(t, "Explain machine learning"))
	if !strings.HasPrefix(r.said(), "[simulated claude-3-haiku] ") {
		t.Errorf("the answer begins with %.60q", r.said())
	}
	for _, part := range []string{"Explain machine learning", "No model ran", "machine"} {
		if !strings.Contains(r.said(), part) {
			t.Errorf("the answer does not hold %q:\n%s", part, r.said())
		}
	}
	if !receipt.Simulated || receipt.Engine != "sim" || receipt.Stop != outcrop.StopEndTurn || r.Stop != receipt.Stop {
		t.Errorf("receipt %+v, stop %s", receipt, r.Stop)
	}
}

func TestUsageCountsWhatIsSent(t *testing.T) {
	e := quick(t)
	req := ask(t, "Explain machine learning")
	r, receipt := mustInvoke(t, e, req)
	if got := tokens.Count(outcrop.Quote(r.said())); got != receipt.Usage.Output {
		t.Errorf("the text has %d tokens, the receipt %d", got, receipt.Usage.Output)
	}
	n, err := e.CountTokens(t.Context(), req)
	if err != nil || n != receipt.Usage.Input {
		t.Errorf("CountTokens says %d, %v; the receipt %d", n, err, receipt.Usage.Input)
	}
}

func TestMaxTokensEndsTheAnswer(t *testing.T) {
	for n := 1; n < 30; n += 7 {
		_, receipt := mustInvoke(t, quick(t), ask(t, "Explain machine learning", maxTokens(n)))
		if receipt.Usage.Output != n || receipt.Stop != outcrop.StopMaxTokens {
			t.Errorf("maxTokens %d: %+v", n, receipt)
		}
	}
}

func TestTheLengthCanBeAskedFor(t *testing.T) {
	e := quick(t)
	_, receipt := mustInvoke(t, e, ask(t, "Hi", meta(sim.MetadataOutputTokens, "333")))
	if receipt.Usage.Output != 333 || receipt.Stop != outcrop.StopEndTurn {
		t.Errorf("asked for 333 tokens: %+v", receipt)
	}
	_, receipt = mustInvoke(t, e, ask(t, "Hi", maxTokens(777), func(r *outcrop.Request) {
		r.Conversation.Extra = outcrop.JSON(`{"ignore_eos":true}`)
	}))
	if receipt.Usage.Output != 777 || receipt.Stop != outcrop.StopMaxTokens {
		t.Errorf("ignore_eos with 777 tokens: %+v", receipt)
	}
}

func TestStopSequencesEndTheAnswer(t *testing.T) {
	stop := func(list ...string) func(*outcrop.Request) {
		return func(r *outcrop.Request) {
			for _, s := range list {
				r.Conversation.Inference.Stop = append(r.Conversation.Inference.Stop, outcrop.Quote(s))
			}
		}
	}
	r, receipt := mustInvoke(t, quick(t), ask(t, "Explain machine learning", stop("made up", "No model")))
	if !strings.HasSuffix(r.said(), `learning". `) || r.Stop != outcrop.StopSequence || r.StopSequence.String() != "No model" {
		t.Errorf("%q, %s %q", r.said(), r.Stop, r.StopSequence)
	}
	if got := tokens.Count(outcrop.Quote(r.said())); got != receipt.Usage.Output {
		t.Errorf("the text has %d tokens, the receipt %d", got, receipt.Usage.Output)
	}
	r, receipt = mustInvoke(t, quick(t), ask(t, "Hi", stop("[")))
	if len(r.Content) != 0 || r.Stop != outcrop.StopSequence || receipt.Usage.Output != 0 {
		t.Errorf("a stop sequence at once: %+v, %+v", r.Answer, receipt)
	}
}

func TestCannedReplies(t *testing.T) {
	e := quick(t, func(c *sim.Config) {
		c.Replies = []sim.Reply{
			{Match: regexp.MustCompile(`(?i)^my name is (\w+)`), Text: "Hello, $1!"},
			{Match: regexp.MustCompile(`ping`), Text: "pong"},
		}
	})
	for prompt, want := range map[string]string{"My name is Ada.": "Hello, Ada!", "ping": "pong"} {
		if r, _ := mustInvoke(t, e, ask(t, prompt)); r.said() != want {
			t.Errorf("%q is answered %q, want %q", prompt, r.said(), want)
		}
	}
	if r, _ := mustInvoke(t, e, ask(t, "else")); !strings.HasPrefix(r.said(), "[simulated") {
		t.Errorf("without a match: %q", r.said())
	}
}

func TestReasoningIsGivenWhereItIsAskedFor(t *testing.T) {
	for extra, want := range map[string]bool{
		`{"thinking":{"type":"enabled","budget_tokens":1024}}`:         true,
		`{"reasoning_config":{"type":"enabled","budget_tokens":1024}}`: true,
		`{"reasoningConfig":{"type":"enabled"}}`:                       true,
		`{"reasoning_effort":"low"}`:                                   true,
		`{"reasoning_effort":"none"}`:                                  false,
		`{"thinking":{"type":"disabled"}}`:                             false,
		`{"thinking":7}`:                                               false,
		`{"top_k":5}`:                                                  false,
	} {
		r, _ := mustInvoke(t, quick(t), ask(t, "Explain tides", func(r *outcrop.Request) { r.Conversation.Extra = outcrop.JSON(extra) }))
		first := r.Content[0]
		if got := first.Kind == outcrop.BlockReasoning; got != want {
			t.Errorf("%s: the first block is of kind %d", extra, first.Kind)
		}
		if want && (len(first.Signature) == 0 || !strings.Contains(first.Text.String(), "simulated")) {
			t.Errorf("%s: reasoning %q, signature %q", extra, first.Text, first.Signature)
		}
	}
}

func TestAttachmentsAreAcknowledged(t *testing.T) {
	r, _ := mustInvoke(t, quick(t), ask(t, "What is this?", func(r *outcrop.Request) {
		m := &r.Conversation.Messages[0]
		m.Content = append(m.Content,
			outcrop.Block{Kind: outcrop.BlockImage, Media: &outcrop.Media{Format: "png", Base64: outcrop.Text("AQI=")}},
			outcrop.Block{Kind: outcrop.BlockDocument, Media: &outcrop.Media{Format: "txt", Name: outcrop.Text("Report"), Text: outcrop.Text("words")}})
	}))
	if !strings.Contains(r.said(), "I was given 1 image (png) and 1 document (Report).") {
		t.Errorf("%s", r.said())
	}
}

func TestResponseFieldsAreGivenWhereAskedFor(t *testing.T) {
	r, _ := mustInvoke(t, quick(t), ask(t, "Hi", func(r *outcrop.Request) {
		r.Conversation.ResponseFields = []string{"/stop_sequence"}
		r.Conversation.Inference.Stop = []outcrop.Text{outcrop.Text(`made`)}
	}))
	if got := string(r.Extra); got != `{"simulated":true,"stop_sequence":"made"}` {
		t.Errorf("extra %s", got)
	}
	if r, _ := mustInvoke(t, quick(t), ask(t, "Hi")); r.Extra != nil {
		t.Errorf("extra %s without being asked for", r.Extra)
	}
}

func TestPromptCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 0})
		request := func(question string, change ...func(*outcrop.Request)) *outcrop.Request {
			req := ask(t, question, change...)
			req.Conversation.System = []outcrop.Block{text(strings.Repeat("Be kind. ", 100)), {Kind: outcrop.BlockCachePoint}}
			return req
		}
		use := func(req *outcrop.Request) outcrop.Usage {
			_, receipt := mustInvoke(t, e, req)
			n, _ := e.CountTokens(t.Context(), req)
			if u := receipt.Usage; u.Input+u.CacheRead+u.CacheWrite != n {
				t.Errorf("usage %+v does not add up to %d", u, n)
			}
			return receipt.Usage
		}
		first := use(request("One?"))
		if first.CacheWrite < 300 || first.CacheRead != 0 {
			t.Errorf("first: %+v", first)
		}
		if u := use(request("Two?")); u.CacheRead != first.CacheWrite || u.CacheWrite != 0 {
			t.Errorf("within 5 minutes: %+v", u)
		}
		other := func(r *outcrop.Request) { r.Principal = &outcrop.Principal{Account: "2"} }
		if u := use(request("Two?", other)); u.CacheRead != 0 {
			t.Errorf("another account reads from the cache: %+v", u)
		}
		time.Sleep(4 * time.Minute)
		if u := use(request("Three?")); u.CacheRead == 0 {
			t.Errorf("after 4 minutes: %+v", u)
		}
		time.Sleep(5 * time.Minute)
		if u := use(request("Four?")); u.CacheRead != 0 || u.CacheWrite == 0 {
			t.Errorf("after 5 minutes without use: %+v", u)
		}
	})
}

func TestACachePointThatGrowsReadsTheOldAndWritesTheNew(t *testing.T) {
	e := quick(t)
	point := outcrop.Block{Kind: outcrop.BlockCachePoint}
	one := ask(t, "x")
	one.Conversation.Messages = []outcrop.Message{user(text("A long beginning of a talk."), point)}
	_, first := mustInvoke(t, e, one)
	two := ask(t, "x")
	two.Conversation.Messages = []outcrop.Message{
		one.Conversation.Messages[0], assistant(text("Indeed.")), user(text("And it goes on."), point)}
	_, second := mustInvoke(t, e, two)
	if second.Usage.CacheRead != first.Usage.CacheWrite || second.Usage.CacheWrite == 0 {
		t.Errorf("first %+v, second %+v", first.Usage, second.Usage)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("word ", 300_000)
	native := &outcrop.Request{ModelID: haiku, Card: card(t, haiku), Native: &outcrop.Native{}}
	for name, req := range map[string]*outcrop.Request{"too long": ask(t, long), "native": native} {
		if _, _, err := invoke(t, quick(t), req); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := quick(t).CountTokens(t.Context(), native); !errors.Is(err, outcrop.CodeValidation) {
		t.Errorf("CountTokens of a native body: %v", err)
	}
}

func TestTheContextWindowEndsTheAnswer(t *testing.T) {
	small := *card(t, haiku)
	small.Context = 60
	_, receipt := mustInvoke(t, quick(t), ask(t, "Explain machine learning", func(r *outcrop.Request) { r.Card = &small }))
	if receipt.Stop != outcrop.StopContextExceeded || receipt.Usage.Total() != 60 {
		t.Errorf("%+v", receipt)
	}
}

func TestTheEndOfTheContextFreesTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 1})
		cause := errors.New("gone away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(550*time.Millisecond, func() { cancel(cause) })
		r := &recorder{t: t, begun: time.Now()}
		receipt, err := e.Invoke(ctx, ask(t, "Hello"), r)
		if !errors.Is(err, cause) || time.Since(r.begun) != 550*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(r.begun))
		}
		if u := receipt.Usage; u.Output != len(r.at) || u.Output < 5 || u.Input == 0 {
			t.Errorf("usage %+v of %d tokens", u, len(r.at))
		}
		if s := e.Stats(); s.Running != 0 || s.Waiting != 0 || s.KVUsage != 0 || s.Aborted != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestACancelledContextCostsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	receipt, err := quick(t).Invoke(ctx, ask(t, "Hello"), &recorder{t: t})
	if !errors.Is(err, context.Canceled) || receipt.Usage.Total() != 0 {
		t.Errorf("%v, %+v", err, receipt)
	}
}

// The sink fails at its first call, its second, and so on.
func TestEveryFailureOfTheSinkEndsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 1})
		for k := 1; ; k++ {
			r := &recorder{t: t, fail: k, begun: time.Now()}
			receipt, err := e.Invoke(t.Context(), ask(t, "Call get_weather", withTools(outcrop.ToolChoice{}),
				func(r *outcrop.Request) { r.Conversation.Extra = outcrop.JSON(`{"reasoning_effort":"low"}`) }), r)
			if err == nil {
				if k < 20 {
					t.Fatalf("only %d calls of Send", k)
				}
				break
			}
			if !errors.Is(err, errSink) || r.sends != k || receipt.Usage.Output != len(r.at) {
				t.Fatalf("call %d: %v after %d calls, %+v for %d tokens", k, err, r.sends, receipt, len(r.at))
			}
			if s := e.Stats(); s.Running+s.Waiting != 0 || s.KVUsage != 0 {
				t.Fatalf("call %d leaves %+v", k, s)
			}
		}
	})
}

func TestStatsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 1})
		var all sync.WaitGroup
		var mu sync.Mutex
		var in, out int
		for i := range 20 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 37 * time.Millisecond)
				_, receipt, err := invoke(t, e, ask(t, fmt.Sprint("Question ", i)))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				in, out = in+receipt.Usage.Input, out+receipt.Usage.Output
			})
		}
		time.Sleep(600 * time.Millisecond)
		if s := e.Stats(); s.Running == 0 || s.KVUsage == 0 {
			t.Errorf("in the middle: %+v", s)
		}
		all.Wait()
		s := e.Stats()
		if s.PromptTokens != in || s.GenerationTokens != out || s.Finished[outcrop.StopEndTurn] != 20 {
			t.Errorf("%d and %d tokens in the receipts; %+v", in, out, s)
		}
		if s.FirstToken.Count() != 20 || s.BetweenTokens.Count() != out-20 || s.EndToEnd.Count() != 20 || s.Queued.Count() != 20 {
			t.Errorf("histograms %+v", s)
		}
	})
}

func TestTiersOrderTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.ConstantsFor(nil)
		c.MaxSeqs = 1
		e := sim.New(sim.Config{Speed: 1, Constants: c})
		var mu sync.Mutex
		var order []outcrop.ServiceTier
		var all sync.WaitGroup
		for _, tier := range []outcrop.ServiceTier{"", outcrop.TierFlex, outcrop.TierDefault, outcrop.TierPriority} {
			all.Go(func() {
				_, receipt, err := invoke(t, e, ask(t, "Hi", func(r *outcrop.Request) { r.Tier = tier }))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, tier)
				if err != nil || receipt.Tier != tier {
					t.Errorf("%v, tier %q", err, receipt.Tier)
				}
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		if got := fmt.Sprint(order); got != "[ priority default flex]" {
			t.Errorf("order %v", got)
		}
	})
}
