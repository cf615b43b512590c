package meter

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// A Format is how log lines look.
type Format int

// The formats: JSON for machines, Text for people, Colour for people at a
// terminal.
const (
	JSON Format = iota
	Text
	Colour
)

// flushEvery is how long a line may wait to be written together with others.
// The lines of that time are lost when the process is killed; nothing that is
// owed to anyone depends on them.
const flushEvery = 100 * time.Millisecond

// maxPending bounds what waits for a writer that has stopped; lines beyond it
// are dropped and counted.
const maxPending = 4 << 20

// A Log writes the invocation lines, and everything else that the server has
// to say, in one format to one writer. Lines are appended to a buffer and
// written by Run; no caller waits for the writer.
type Log struct {
	out     io.Writer
	format  Format
	level   slog.Level
	mu      sync.Mutex
	buf     []byte
	spare   []byte
	dropped int
	wake    chan struct{}
	writing sync.Mutex
}

// NewLog returns a Log that writes lines of at least the level to out.
func NewLog(out io.Writer, format Format, level slog.Level) *Log {
	return &Log{out: out, format: format, level: level, wake: make(chan struct{}, 1)}
}

// Run writes what has gathered, until ctx ends; then it writes the rest.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.Flush()
			return
		case <-tick.C:
		case <-l.wake:
		}
		l.Flush()
	}
}

// Flush writes what has gathered and returns when it is written.
func (l *Log) Flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	lines, dropped := l.buf, l.dropped
	l.buf, l.dropped = l.spare[:0], 0
	l.mu.Unlock()
	if dropped > 0 {
		lines = appendDropped(lines, l.format, dropped)
	}
	if len(lines) > 0 {
		_, _ = l.out.Write(lines) // there is nowhere to report a log that cannot be written
	}
	l.spare = lines
}

// Invocation adds the line of one invocation.
func (l *Log) Invocation(e *Entry) {
	if l.level > slog.LevelInfo {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) > maxPending {
		l.dropped++
		return
	}
	if l.format == JSON {
		l.buf = appendJSON(l.buf, e)
		return
	}
	l.buf = appendText(l.buf, e, l.format == Colour)
	l.nudge()
}

// Logger returns a slog.Logger for all that is not an invocation.
func (l *Log) Logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: l.level}
	if l.format == JSON {
		return slog.New(slog.NewJSONHandler(lineWriter{l}, options))
	}
	options.ReplaceAttr = shortTime
	return slog.New(slog.NewTextHandler(lineWriter{l}, options))
}

func shortTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly))
	}
	return a
}

// nudge wakes Run at once: a person at a terminal does not wait.
func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// A lineWriter adds whole lines to the log.
type lineWriter struct{ log *Log }

func (w lineWriter) Write(line []byte) (int, error) {
	w.log.mu.Lock()
	if len(w.log.buf) > 2*maxPending { // there is room left when invocations have none
		w.log.dropped++
	} else {
		w.log.buf = append(w.log.buf, line...)
	}
	w.log.mu.Unlock()
	w.log.nudge()
	return len(line), nil
}
