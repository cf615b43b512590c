package h1

import (
	"errors"
	"os"
)

// ErrProtocol says that what the engine sent is not HTTP/1.1, or breaks one of
// the limits of this package. What exactly is in the error's text, which
// never holds bytes from the wire.
var ErrProtocol = errors.New("h1: malformed answer")

// ErrRequest says that the Request cannot be sent.
var ErrRequest = errors.New("h1: malformed request")

// The timeouts; errors.Is(err, os.ErrDeadlineExceeded) holds for both.
var (
	ErrFirstByte error = &timeoutError{"h1: the engine took too long to begin its answer"}
	ErrIdle      error = &timeoutError{"h1: the engine stopped in the middle of its answer"}
)

type timeoutError struct{ text string }

func (e *timeoutError) Error() string        { return e.text }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// A DialError says that no connection came about: refused, unreachable, not
// resolved, not in time, or no TLS. The engine has seen nothing of the
// request.
type DialError struct {
	Addr string // host:port
	Err  error
}

// Error returns the address and the reason.
func (e *DialError) Error() string { return "h1: connecting to " + e.Addr + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *DialError) Unwrap() error { return e.Err }

// malformed is an ErrProtocol that tells what is wrong.
type malformed string

func (e malformed) Error() string { return ErrProtocol.Error() + ": " + string(e) }
func (e malformed) Unwrap() error { return ErrProtocol }
