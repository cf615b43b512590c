package outcroptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// patience is how long a Model may take for what it should do at once. It is
// generous, since a machine may be busy, and a test never waits for it unless
// it fails.
const patience = 20 * time.Second

// A ModelFixture is a Model to test, and requests for it. The requests are
// made anew at each call and are equal each time.
type ModelFixture struct {
	Model outcrop.Model
	// Request returns one that is answered with some text, always the same.
	Request func(streaming bool) *outcrop.Request
	// Endless returns one whose answer begins and does not end while the test
	// lasts; nil if there is none. Without streaming the answer need not
	// begin.
	Endless func(streaming bool) *outcrop.Request
	// Failing returns requests that fail, by name.
	Failing map[string]func() *outcrop.Request
	// Busy returns how many invocations the engine works on; nil if unknown.
	Busy func() int
}

// RunModel checks that the Model of the fixture keeps the contract of
// outcrop.Model. Each part gets a fixture of its own.
func RunModel(t *testing.T, fixture func(t *testing.T) ModelFixture) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, f ModelFixture)
	}{
		{"events come in order", eventsInOrder},
		{"the receipt of an answer is whole", receiptOfAnswer},
		{"an error of the sink comes back and ends the answer", sinkErrors},
		{"the end of the context ends the answer", cancellation},
		{"a context that has ended starts nothing", cancelledBefore},
		{"failures have a receipt and a class", failures},
		{"the request is not modified", requestUnmodified},
		{"a slow sink is waited for", slowSink},
		{"many at once do not mix", manyAtOnce},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, fixture(t)) })
	}
}

func bothWays(t *testing.T, run func(t *testing.T, streaming bool)) {
	t.Run("streaming", func(t *testing.T) { run(t, true) })
	t.Run("unary", func(t *testing.T) { run(t, false) })
}

func eventsInOrder(t *testing.T, f ModelFixture) {
	bothWays(t, func(t *testing.T, streaming bool) {
		var g Grammar
		_, err := f.Model.Invoke(t.Context(), f.Request(streaming), &g)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Ended(); err != nil {
			t.Error(err)
		}
		if len(g.Text()) == 0 {
			t.Error("the answer holds no text")
		}
	})
}

func receiptOfAnswer(t *testing.T, f ModelFixture) {
	bothWays(t, func(t *testing.T, streaming bool) {
		began := time.Now()
		r, err := f.Model.Invoke(t.Context(), f.Request(streaming), new(Grammar))
		if err != nil {
			t.Fatal(err)
		}
		checkReceipt(t, r, time.Since(began))
		if r.Usage.Input+r.Usage.CacheRead+r.Usage.CacheWrite == 0 || r.Usage.Output == 0 {
			t.Errorf("usage is %+v", r.Usage)
		}
		if r.FirstToken <= 0 || r.Engine == "" || r.Stop == "" || r.Attempts < 1 {
			t.Errorf("receipt is %+v", r)
		}
	})
}

// checkReceipt checks what holds for each receipt.
func checkReceipt(t *testing.T, r outcrop.Receipt, took time.Duration) {
	t.Helper()
	u := r.Usage
	if u.Input < 0 || u.Output < 0 || u.CacheRead < 0 || u.CacheWrite < 0 {
		t.Errorf("usage is %+v", u)
	}
	if r.FirstToken < 0 || r.FirstToken > took || r.Attempts < 0 {
		t.Errorf("receipt is %+v after %v", r, took)
	}
}

var errSink = errors.New("the sink has had enough")

func sinkErrors(t *testing.T, f ModelFixture) {
	bothWays(t, func(t *testing.T, streaming bool) {
		for k := 1; ; k++ {
			n := 0
			began := time.Now()
			r, err := f.Model.Invoke(t.Context(), f.Request(streaming), sinkFunc(func(outcrop.Event) error {
				if n++; n >= k {
					return errSink
				}
				return nil
			}))
			checkReceipt(t, r, time.Since(began))
			if n < k {
				if err != nil || k == 1 {
					t.Fatalf("%d events, error %v", n, err)
				}
				break // there are fewer than k events
			}
			if !errors.Is(err, errSink) {
				t.Fatalf("Send %d failed, and Invoke returned %v", k, err)
			}
			if n > k {
				t.Fatalf("Send was called %d times after it failed", n-k)
			}
		}
		f.idle(t)
	})
}

// idle waits until the engine works on nothing.
func (f *ModelFixture) idle(t *testing.T) {
	t.Helper()
	if f.Busy == nil {
		return
	}
	for until := time.Now().Add(patience); f.Busy() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the engine still works on %d invocations", f.Busy())
		}
	}
}

var errGone = errors.New("the caller is gone")

func cancellation(t *testing.T, f ModelFixture) {
	if f.Endless == nil {
		t.Skip("no endless answer")
	}
	t.Run("in the answer", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		deltas := 0
		began := time.Now()
		r, err := f.within(t, ctx, f.Endless(true), sinkFunc(func(e outcrop.Event) error {
			if e.Kind == outcrop.EventDelta || e.Kind == outcrop.EventNative {
				if deltas++; deltas == 1 {
					cancel(errGone)
				}
			}
			return nil
		}))
		if !errors.Is(err, errGone) {
			t.Errorf("Invoke returned %v, want the cause", err)
		}
		checkReceipt(t, r, time.Since(began))
		f.idle(t)
	})
	t.Run("before the answer", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(errGone) })
		r, err := f.within(t, ctx, f.Endless(false), sinkFunc(func(outcrop.Event) error { return nil }))
		if !errors.Is(err, errGone) {
			t.Errorf("Invoke returned %v, want the cause", err)
		}
		checkReceipt(t, r, patience)
		f.idle(t)
	})
}

// within invokes the Model and fails if that takes too long.
func (f *ModelFixture) within(t *testing.T, ctx context.Context, req *outcrop.Request, out outcrop.Sink) (r outcrop.Receipt, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = f.Model.Invoke(ctx, req, out)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Invoke does not return")
	}
	return r, err
}

func cancelledBefore(t *testing.T, f ModelFixture) {
	bothWays(t, func(t *testing.T, streaming bool) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		r, err := f.Model.Invoke(ctx, f.Request(streaming), new(Grammar))
		if !errors.Is(err, errGone) {
			t.Errorf("Invoke returned %v, want the cause", err)
		}
		if r.Usage != (outcrop.Usage{}) {
			t.Errorf("usage is %+v", r.Usage)
		}
		f.idle(t)
	})
}

func failures(t *testing.T, f ModelFixture) {
	for name, request := range f.Failing {
		t.Run(name, func(t *testing.T) {
			var g Grammar
			began := time.Now()
			r, err := f.Model.Invoke(t.Context(), request(), &g)
			checkReceipt(t, r, time.Since(began))
			var e *outcrop.Error
			switch {
			case err == nil:
				t.Fatal("Invoke returned no error")
			case !errors.As(err, &e):
				t.Fatalf("Invoke returned %v, which is no *outcrop.Error", err)
			case g.stopped:
				t.Error("the answer ended with a Stop all the same")
			case g.Events() > 0 && e.Code != outcrop.CodeModelStream && e.Code != outcrop.CodeInternal &&
				e.Code != outcrop.CodeModelTimeout && e.Code != outcrop.CodeThrottling && e.Code != outcrop.CodeUnavailable && e.Code != outcrop.CodeValidation:
				t.Errorf("%s cannot be told on a stream", e.Code)
			case g.Events() == 0 && e.Code == outcrop.CodeModelStream:
				t.Error("a stream error before the stream")
			}
			f.idle(t)
		})
	}
}

func requestUnmodified(t *testing.T, f ModelFixture) {
	bothWays(t, func(t *testing.T, streaming bool) {
		req := f.Request(streaming)
		if _, err := f.Model.Invoke(t.Context(), req, new(Grammar)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(req, f.Request(streaming)) {
			t.Error("the request has changed")
		}
	})
}

func slowSink(t *testing.T, f ModelFixture) {
	var g Grammar
	_, err := f.Model.Invoke(t.Context(), f.Request(true), sinkFunc(func(e outcrop.Event) error {
		time.Sleep(time.Millisecond)
		return g.Send(e)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Ended(); err != nil {
		t.Error(err)
	}
}

func manyAtOnce(t *testing.T, f ModelFixture) {
	want := map[bool][]byte{}
	for _, streaming := range []bool{true, false} {
		var g Grammar
		if _, err := f.Model.Invoke(t.Context(), f.Request(streaming), &g); err != nil {
			t.Fatal(err)
		}
		want[streaming] = g.Text()
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 10 {
				streaming := (worker+i)%2 == 0
				var g Grammar
				if _, err := f.Model.Invoke(t.Context(), f.Request(streaming), &g); err != nil {
					t.Error(err)
					return
				}
				if err := g.Ended(); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(g.Text(), want[streaming]) {
					t.Errorf("got %.100q, want %.100q", g.Text(), want[streaming])
				}
			}
		})
	}
	all.Wait()
	f.idle(t)
}

type sinkFunc func(outcrop.Event) error

func (f sinkFunc) Send(e outcrop.Event) error { return f(e) }

// A Grammar is a Sink that checks the order and content of the events that
// it gets and returns an error at the first that breaks the rules. It keeps
// the text of the answer. The zero value is ready for one answer.
type Grammar struct {
	sending atomic.Bool
	events  int
	started bool
	stopped bool
	open    bool
	kind    outcrop.BlockKind
	blocks  int
	native  bool
	final   bool
	text    []byte
	err     error
}

// Send checks the event.
func (g *Grammar) Send(e outcrop.Event) error {
	if !g.sending.CompareAndSwap(false, true) {
		panic("outcroptest: Send was called while another Send had not returned")
	}
	defer g.sending.Store(false)
	if g.err != nil {
		return g.err
	}
	g.events++
	if err := g.take(e); err != nil {
		g.err = fmt.Errorf("event %d: %w", g.events, err)
	}
	return g.err
}

// Events returns how many events came.
func (g *Grammar) Events() int { return g.events }

// Text returns what the deltas or the native pieces hold, one behind the
// other.
func (g *Grammar) Text() []byte { return g.text }

// Ended tells what is wrong with an answer that is said to be whole.
func (g *Grammar) Ended() error {
	switch {
	case g.err != nil:
		return g.err
	case g.native && !g.final:
		return errors.New("the native answer has no final piece")
	case !g.native && !g.stopped:
		return errors.New("the answer has no Stop")
	}
	return nil
}

func (g *Grammar) take(e outcrop.Event) error {
	switch e.Kind {
	case outcrop.EventFlush:
		if g.events == 1 {
			return errors.New("a Flush came before Start")
		}
		return nil
	case outcrop.EventNative:
		return g.takeNative(e)
	}
	if g.native {
		return errors.New("events of both kinds")
	}
	if g.stopped {
		return errors.New("an event after Stop")
	}
	d := e.More()
	for _, t := range [][]byte{e.Text, d.ID, d.Name, d.StopSequence} {
		if !jsonscan.Clean(t) {
			return fmt.Errorf("%q is not the inside of a JSON string", t)
		}
	}
	if e.Kind == outcrop.EventStart {
		if g.started {
			return errors.New("a second Start")
		}
		g.started = true
		return nil
	}
	if !g.started {
		return errors.New("no Start")
	}
	return g.takeBlock(e)
}

func (g *Grammar) takeNative(e outcrop.Event) error {
	switch {
	case g.started:
		return errors.New("events of both kinds")
	case g.final:
		return errors.New("a native piece after the final one")
	case !jsonscan.Valid(e.Text):
		return fmt.Errorf("a native piece is not JSON: %.100q", e.Text)
	}
	g.native, g.final = true, e.Final
	g.text = append(g.text, e.Text...)
	return nil
}

func (g *Grammar) takeBlock(e outcrop.Event) error {
	switch e.Kind {
	case outcrop.EventBlockStart:
		if g.open || e.Index != g.blocks {
			return fmt.Errorf("BlockStart %d, but block %d is open (%v)", e.Index, g.blocks, g.open)
		}
		if d := e.More(); e.Block == outcrop.BlockToolUse && (len(d.ID) == 0 || len(d.Name) == 0) {
			return errors.New("a tool use without id or name")
		}
		g.open, g.kind = true, e.Block
	case outcrop.EventDelta:
		if !g.open || e.Index != g.blocks || !g.fits(e.Block) {
			return fmt.Errorf("a delta of kind %d for block %d, but block %d of kind %d is open (%v)", e.Block, e.Index, g.blocks, g.kind, g.open)
		}
		g.text = append(g.text, e.Text...)
	case outcrop.EventBlockStop:
		if !g.open || e.Index != g.blocks {
			return fmt.Errorf("BlockStop %d, but block %d is open (%v)", e.Index, g.blocks, g.open)
		}
		g.open = false
		g.blocks++
	case outcrop.EventStop:
		d := e.More()
		if g.open || d.Stop == "" {
			return fmt.Errorf("a Stop came with %q, and a block is open: %v", d.Stop, g.open)
		}
		if len(d.Extra) > 0 && !jsonscan.Valid(d.Extra) {
			return fmt.Errorf("extra fields are not JSON: %.100q", d.Extra)
		}
		g.stopped = true
	default:
		return fmt.Errorf("an event of kind %d", e.Kind)
	}
	return nil
}

func (g *Grammar) fits(kind outcrop.BlockKind) bool {
	return kind == g.kind || g.kind == outcrop.BlockReasoning && (kind == outcrop.BlockSignature || kind == outcrop.BlockRedacted)
}
