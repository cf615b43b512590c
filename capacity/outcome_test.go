package capacity_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
)

// A closed is a caller who takes nothing after so many events.
type closed int

func (c *closed) Send(outcrop.Event) error {
	if *c--; *c < 0 {
		return errors.New("broken pipe")
	}
	return nil
}

func TestRequestsAreCountedByHowTheyEnded(t *testing.T) {
	broken := fails(&outcrop.Error{Code: outcrop.CodeModelStream, Message: "broke off"}, 3)
	for name, c := range map[string]struct {
		engines []outcrop.Model
		out     outcrop.Sink
		want    fair.Counts
	}{
		"answered":              {[]outcrop.Model{answers(0, 0, 3)}, discard{}, fair.Counts{Finished: 1}},
		"at the second engine":  {[]outcrop.Model{fails(unavailable(), 0), answers(0, 0, 3)}, discard{}, fair.Counts{Finished: 1}},
		"no engine took it":     {[]outcrop.Model{fails(unavailable(), 0), fails(throttled(), 0)}, discard{}, fair.Counts{Failed: 1}},
		"none of many took it":  {[]outcrop.Model{fails(throttled(), 0), fails(throttled(), 0), fails(throttled(), 0), fails(throttled(), 0)}, discard{}, fair.Counts{Failed: 1}},
		"an error before it":    {[]outcrop.Model{fails(outcrop.Invalid("no"), 0)}, discard{}, fair.Counts{Failed: 1}},
		"an error in it":        {[]outcrop.Model{broken}, discard{}, fair.Counts{Failed: 1}},
		"the caller would not":  {[]outcrop.Model{answers(0, 0, 3)}, new(closed), fair.Counts{Aborted: 1}},
		"the caller broke away": {[]outcrop.Model{answers(0, 0, 3)}, after(3), fair.Counts{Aborted: 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := pool(t, capacity.Config{}, small(8), c.engines...)
			_, err := p.Invoke(context.Background(), request(outcrop.ClassDefault, "1", 100, 3), c.out)
			got := p.State().Classes[outcrop.ClassDefault].Counts
			c.want.Submitted, got.Dispatched = 1, 0
			if got != c.want || (err == nil) != (c.want.Finished == 1) {
				t.Errorf("%s: %+v, want %+v; error %v", name, got, c.want, err)
			}
			empty(t, p)
		})
	}
}

func after(n int) *closed { c := closed(n); return &c }
