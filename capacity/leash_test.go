package capacity_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
)

// piece is a request whose answer comes in one piece.
func piece(class outcrop.Class, account string) *outcrop.Request {
	r := request(class, account, 1000, 1)
	r.Streaming, r.Batch = false, class == outcrop.ClassBatch
	return r
}

// whole are engines, named a, b, ..., whose answers come in one piece.
func whole(models ...outcrop.Model) (c capacity.Config) {
	for i, m := range models {
		c.Engines = append(c.Engines, capacity.Engine{Name: string(rune('a' + i)), Model: m, Capacity: small(8), Whole: true})
	}
	return c
}

// seen is an engine that notes the contexts of its calls.
func seen(contexts *[]context.Context) *engine {
	return &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		*contexts = append(*contexts, ctx)
		return answers(0, 0, 1).run(ctx, req, out)
	}}
}

func TestAnAttemptsContextEndsWithItUnlessMoreRecordsComeUnderIt(t *testing.T) {
	var contexts []context.Context
	p := pool(t, capacity.Config{}, small(8), seen(&contexts))
	one, end := context.WithCancel(t.Context())
	for _, class := range []outcrop.Class{outcrop.ClassDefault, outcrop.ClassBatch} {
		for range 100 {
			if _, err := p.Invoke(one, piece(class, "1"), new(counter)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, ctx := range contexts[:100] {
		if ctx.Err() == nil {
			t.Fatalf("the context of request %d outlives it", i)
		}
	}
	different := map[context.Context]bool{}
	for _, ctx := range contexts[100:] {
		different[ctx] = true
	}
	if len(different) == 100 {
		t.Error("each record has a context of its own")
	}
	end()
	for ctx := range different {
		if ctx.Err() == nil {
			t.Error("the context of records outlives their caller's")
		}
	}
	if _, err := p.Invoke(t.Context(), piece(outcrop.ClassBatch, "1"), new(counter)); err != nil {
		t.Errorf("a record of the next caller: %v", err)
	}
}

func TestARecordThatIsTakenBackTakesNoOtherWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := 5 * time.Second
		e := &engine{}
		e.run = func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			if req.Class == outcrop.ClassBatch {
				return answers(slow, 0, 1).run(ctx, req, out)
			}
			return answers(time.Second, 0, 1).run(ctx, req, out)
		}
		p := pool(t, capacity.Config{}, small(8), e)
		done := make(chan outcrop.Receipt, 1)
		go func() {
			long := piece(outcrop.ClassBatch, "1")
			long.Estimate.Input = 50_000
			r, err := p.Invoke(t.Context(), long, new(counter))
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		time.Sleep(100 * time.Millisecond)
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "2", 2000, 1), new(counter)); err != nil {
			t.Fatal(err)
		}
		if r := <-done; r.Attempts != 2 {
			t.Errorf("receipt is %+v", r)
		}
		slow = 0
		for range 10 {
			if _, err := p.Invoke(t.Context(), piece(outcrop.ClassBatch, "1"), new(counter)); err != nil {
				t.Errorf("a record after one that was taken back: %v", err)
			}
		}
		empty(t, p)
	})
}

// An answer in one piece needs no leave to go out: the dispatcher learns of it
// when it ends.
func TestAnAnswerInOnePieceIsGoodThoughItsEngineIsTakenMeanwhile(t *testing.T) {
	for name, back := range map[string]bool{"gone": false, "gone, and another came": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool(t, whole(answers(time.Second, 0, 10), answers(time.Hour, 0, 10)), small(8))
				p.Drain("b", true)
				var got counter
				if back {
					p.Drain("b", false)
				}
				taken := sinkOf(func(ev outcrop.Event) error {
					if ev.Kind == outcrop.EventBlockStart {
						p.Remove("a")
					}
					return got.Send(ev)
				})
				r, err := p.Invoke(t.Context(), piece(outcrop.ClassDefault, "1"), taken)
				if err != nil || got != (counter{1, 10, 1}) || r.Attempts != 1 {
					t.Errorf("receipt %+v, events %+v, error %v", r, got, err)
				}
				synctest.Wait()
				empty(t, p)
				if err := p.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAnAnswerInOnePieceOfAnEngineThatWasTakenBeforeIsNotPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{run: func(_ context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			time.Sleep(time.Second) // it does not look whether it is still wanted
			return answers(0, 0, 1).run(context.Background(), req, out)
		}}
		p := pool(t, whole(e), small(8))
		time.AfterFunc(500*time.Millisecond, func() { p.Remove("a") })
		var got counter
		_, err := p.Invoke(t.Context(), piece(outcrop.ClassDefault, "1"), &got)
		if !errors.Is(err, outcrop.CodeUnavailable) || got != (counter{}) {
			t.Errorf("events %+v, error %v", got, err)
		}
		empty(t, p)
	})
}

// An engine may send token by token what its caller wants whole, as the
// simulated one does: its prompt is read when the first one comes.
func TestTokensOfAnAnswerThatIsWantedWholeCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), answers(time.Second, time.Second, 30))
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := p.Invoke(ctx, piece(outcrop.ClassBatch, "1"), new(counter))
			done <- err
		}()
		time.Sleep(20*time.Second + time.Millisecond)
		s := p.State()
		if load := s.Engines[0].Load; load.Unread != 0 || load.Sequences != 1 {
			t.Errorf("while it answers, the engine holds %+v", load)
		}
		high, gone := context.WithTimeout(t.Context(), time.Second)
		defer gone()
		if _, err := p.Invoke(high, request(outcrop.ClassProvisioned, "2", 100, 1), new(counter)); err == nil {
			t.Error("an answer under way was taken back")
		}
		leave()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if got := p.State().Classes[outcrop.ClassBatch].Served; got < 1000+4*16 {
			t.Errorf("%v were charged, without the tokens that were sent", got)
		}
		empty(t, p)
	})
}

type sinkOf func(outcrop.Event) error

func (f sinkOf) Send(e outcrop.Event) error { return f(e) }
