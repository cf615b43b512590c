package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
)

// who is the principal of all requests of a calibration.
var who = &outcrop.Principal{KeyID: "calibrate", Account: "000000000000"}

// simulated is how the simulated engine begins its answers, also where it is a
// server of its own and no receipt tells.
const simulated = "[simulated "

// An ear is the sink of one answer. It takes the time of each token.
type ear struct {
	first time.Time
	count int
	heard func() // with each token; may be nil
	said  []byte // how the answer begins
}

// Send implements outcrop.Sink.
func (e *ear) Send(ev outcrop.Event) error {
	if ev.Kind != outcrop.EventDelta || len(ev.Text) == 0 || ev.Block == outcrop.BlockSignature {
		return nil
	}
	if e.count == 0 {
		e.first = time.Now()
	}
	e.count++
	if len(e.said) < len(simulated) {
		e.said = append(e.said, ev.Text...)
	}
	if e.heard != nil {
		e.heard()
	}
	return nil
}

func (r *run) request(text outcrop.Text, maxTokens int) *outcrop.Request {
	r.prompts.sent++
	return &outcrop.Request{
		ID: "calibrate-" + strconv.Itoa(r.prompts.sent), Operation: outcrop.OpConverseStream, Principal: who,
		ModelID: r.Card.ID, Card: r.Card, Received: time.Now(), Streaming: true,
		Conversation: &outcrop.Conversation{
			Messages:  []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: text}}}},
			Inference: outcrop.Inference{MaxTokens: maxTokens},
			Extra:     r.extra,
		},
	}
}

// An answered is what came of one call.
type answered struct {
	tokens   int // of the prompt, that the engine had to compute
	took     time.Duration
	deltas   int
	produced int
	guessed  bool // the engine did not tell the counts
}

// call sends a prompt of so many words and waits for the end of the answer.
func (r *run) call(ctx context.Context, words, maxTokens int) (answered, error) {
	var e ear
	req := r.request(r.prompts.text(words), maxTokens)
	begun := time.Now()
	receipt, err := r.Model.Invoke(ctx, req, &e)
	u := receipt.Usage
	r.result.PromptTokens += u.Input + u.CacheRead + u.CacheWrite
	r.result.OutputTokens += u.Output
	r.result.Simulated = r.result.Simulated || receipt.Simulated || bytes.HasPrefix(e.said, []byte(simulated))
	if err != nil {
		return answered{}, err
	}
	if e.count == 0 { // the only token has no text of its own
		e.first = time.Now()
	}
	return answered{tokens: u.Input + u.CacheWrite, took: e.first.Sub(begun), deltas: e.count, produced: u.Output, guessed: receipt.Estimated}, nil
}

// endless asks an engine that knows it for an answer that does not end before
// its longest length: vLLM, SGLang, llama.cpp and the simulated engine do.
var endless = outcrop.JSON(`{"ignore_eos":true}`)

// Sizes of the prompts of the warm-up, in words, and of its answers.
const (
	warmShort, warmLong = 64, 320
	warmAnswer          = 48
)

// warmUp lets the engine load what it loads at the first call, and learns how
// it counts.
func (r *run) warmUp(ctx context.Context) error {
	r.note("warming up")
	r.extra = endless
	short, err := r.call(ctx, warmShort, warmAnswer)
	if errors.Is(err, outcrop.CodeValidation) { // it may know no such field
		r.extra = nil
		short, err = r.call(ctx, warmShort, warmAnswer)
	}
	if err != nil {
		return fmt.Errorf("the engine does not answer: %w", err)
	}
	long, err := r.call(ctx, warmLong, warmAnswer)
	if err != nil {
		return fmt.Errorf("the engine does not answer: %w", err)
	}
	if short.deltas+long.deltas < 4 {
		return ErrSilent
	}
	r.prompts.learn(warmShort, short.tokens, warmLong, long.tokens)
	r.perDelta = max(1, float64(short.produced+long.produced)/float64(short.deltas+long.deltas))
	if short.guessed || long.guessed {
		r.perDelta = 1
		r.warn("the engine does not tell how many tokens its prompts have; all counts are estimates")
	}
	return nil
}

// refused reports whether the engine has no room for one more, or none for
// one so large.
func refused(err error) bool {
	for _, code := range []outcrop.Code{outcrop.CodeThrottling, outcrop.CodeUnavailable, outcrop.CodeQuota, outcrop.CodeModelNotReady, outcrop.CodeModelTimeout, outcrop.CodeValidation} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
