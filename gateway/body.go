package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
)

const (
	// portion is how much of a body is read under one deadline.
	portion = 16 << 10
	// bodyMemory is how many bytes all large bodies together may hold.
	bodyMemory = 512 << 20
	// smallBody is what is read without asking for memory.
	smallBody = 64 << 10
	// keptBody is the largest buffer that goes back to the pool.
	keptBody = 1 << 20
)

// bodies reads request bodies into reused buffers, within limits.
type bodies struct {
	max      int64
	patience time.Duration       // for one portion
	memory   *semaphore.Weighted // of the bodies over smallBody
	pool     sync.Pool
}

func newBodies(limits config.Limits) *bodies {
	maxBody := int64(limits.Body)
	b := &bodies{max: maxBody, patience: limits.BodyTimeout, memory: semaphore.NewWeighted(max(bodyMemory, 4*maxBody))}
	if rate := int64(limits.BodyRate); rate > 0 {
		b.patience = min(b.patience, portion*time.Second/time.Duration(rate))
	}
	b.pool.New = func() any { return &body{} }
	return b
}

// A body is one request's bytes; release gives them back.
type body struct {
	bytes []byte
	held  int64
	from  *bodies
}

func (b *body) release() {
	b.from.memory.Release(b.held)
	b.held = 0
	if cap(b.bytes) > keptBody {
		b.bytes = nil
	}
	b.from.pool.Put(b)
}

// read reads the whole body of r. The caller must release the result, which
// is never nil, also when there is an error. Errors are of type
// *outcrop.Error, or tell that the caller went away.
func (s *bodies) read(r *http.Request, control *http.ResponseController) (*body, error) {
	b := s.pool.Get().(*body)
	b.from, b.bytes = s, b.bytes[:0]
	if r.ContentLength > s.max {
		return b, s.tooLarge()
	}
	if r.ContentLength == 0 {
		return b, nil
	}
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	b.expect(r.ContentLength)
	for {
		if err := b.grow(r.Context()); err != nil {
			return b, err
		}
		done, err := b.fill(r.Body, control, s.patience)
		if int64(len(b.bytes)) > s.max {
			return b, s.tooLarge()
		}
		if done || err != nil {
			return b, err
		}
	}
}

// expect makes room for a small body of the announced length and for the end
// behind it, so that a small request holds little memory while it runs. An
// announced length is trusted for no more than a portion.
func (b *body) expect(length int64) {
	const least = 1 << 10
	if size := max(length+1, least); size <= portion && int64(cap(b.bytes)) < size {
		b.bytes = make([]byte, 0, size)
	}
}

// grow makes room for more, unless there is some. The buffer grows with what
// has come.
func (b *body) grow(ctx context.Context) error {
	if cap(b.bytes) > len(b.bytes) {
		return nil
	}
	size := max(2*cap(b.bytes), portion)
	if size > smallBody && int64(size) > b.held {
		if !b.from.memory.TryAcquire(int64(size) - b.held) {
			return &outcrop.Error{Code: outcrop.CodeUnavailable, RetryAfter: time.Second,
				Message: "The service is temporarily unable to take a request of this size."}
		}
		b.held = int64(size)
	}
	bigger := make([]byte, len(b.bytes), size)
	copy(bigger, b.bytes)
	b.bytes = bigger
	return ctx.Err()
}

// fill reads until the buffer is full, a portion has come, or the body ends.
func (b *body) fill(from io.Reader, control *http.ResponseController, patience time.Duration) (done bool, err error) {
	_ = control.SetReadDeadline(time.Now().Add(patience))
	for start := len(b.bytes); len(b.bytes) < cap(b.bytes) && len(b.bytes)-start < portion; {
		n, err := from.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, bodyError(err)
		}
	}
	return false, nil
}

func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &outcrop.Error{Code: outcrop.CodeValidation, Message: "The request body arrived too slowly.", Cause: err}
	}
	return &outcrop.Error{Code: outcrop.CodeValidation, Message: "The request body ended before its declared length.", Cause: err}
}

func (s *bodies) tooLarge() error {
	return outcrop.Invalid("The request body is larger than the limit of " + formatInt(s.max) + " bytes.")
}
