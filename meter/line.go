package meter

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/outcrop/outcrop"
)

// appendJSON appends e as one line of JSON.
func appendJSON(b []byte, e *Entry) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
	b = append(b, `","level":"`...)
	b = append(b, levelOf(e)...)
	b = append(b, `","msg":"invocation"`...)
	b = appendString(b, "request_id", e.RequestID)
	b = appendString(b, "operation", string(e.Operation))
	b = appendString(b, "model", e.Model)
	if e.AskedModel != e.Model {
		b = appendString(b, "asked_model", short(e.AskedModel))
	}
	b = appendInt(b, "status", int64(e.Status))
	b = appendString(b, "code", string(e.Code))
	b = appendMillis(b, "duration_ms", e.Duration)
	b = appendReceipt(b, e)
	b = appendString(b, "account", e.Account)
	b = appendString(b, "key", e.KeyID)
	b = appendString(b, "remote", e.Remote)
	b = appendString(b, "sdk_attempt", short(e.SDKAttempt))
	b = appendInt(b, "bytes_in", int64(e.BytesIn))
	b = appendHints(b, e.Hints)
	if e.Cause != nil {
		b = appendString(b, "cause", e.Cause.Error())
	}
	return append(b, "}\n"...)
}

func appendReceipt(b []byte, e *Entry) []byte {
	r := &e.Receipt
	b = appendMillis(b, "first_token_ms", r.FirstToken)
	if d, ok := e.betweenTokens(); ok {
		b = appendMillis(b, "between_tokens_ms", d)
	}
	b = appendInt(b, "input_tokens", int64(r.Usage.Input))
	b = appendInt(b, "output_tokens", int64(r.Usage.Output))
	if r.Usage.CacheRead+r.Usage.CacheWrite > 0 {
		b = appendInt(b, "cache_read_tokens", int64(r.Usage.CacheRead))
		b = appendInt(b, "cache_write_tokens", int64(r.Usage.CacheWrite))
	}
	if r.Priced {
		b = append(r.Cost.Append(append(appendName(b, "cost_usd"), '"')), '"')
	}
	b = appendString(b, "stop", string(r.Stop))
	b = appendString(b, "engine", r.Engine)
	if r.Simulated {
		b = append(b, `,"simulated":true`...)
	}
	if r.Estimated {
		b = append(b, `,"tokens_estimated":true`...)
	}
	if r.Attempts > 1 {
		b = appendInt(b, "attempts", int64(r.Attempts))
	}
	b = appendString(b, "tier", string(r.Tier))
	return appendServed(b, e)
}

// appendServed appends the class, the unit and the limits of a request.
func appendServed(b []byte, e *Entry) []byte {
	r := &e.Receipt
	if class, ok := e.class(); ok {
		b = appendString(b, "class", class.String())
	}
	b = appendMillis(b, "queued_ms", r.Queued)
	b = appendString(b, "unit", e.Unit)
	if r.Spilled {
		b = append(b, `,"spilled":true`...)
	}
	if r.Limit != nil {
		b = append(appendName(b, "limit"), '"')
		b = append(appendLimits(b, r.Limit), '"')
	}
	return b
}

// appendLimits appends the names of the limits that a request met, in the
// order in which it met them.
func appendLimits(b []byte, first *outcrop.Limit) []byte {
	for l := first; l != nil; l = l.Next {
		if l != first {
			b = append(b, ',')
		}
		b = outcrop.AppendQuote(b, l.Name)
	}
	return b
}

func levelOf(e *Entry) string {
	switch {
	case e.Code == outcrop.CodeInternal:
		return "ERROR"
	case e.Code != "":
		return "WARN"
	}
	return "INFO"
}

// appendString appends a member, unless s is empty.
func appendString(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	b = appendName(b, name)
	b = append(b, '"')
	b = outcrop.AppendQuote(b, s)
	return append(b, '"')
}

func appendInt(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(b, name), n, 10)
}

func appendMillis(b []byte, name string, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	return strconv.AppendFloat(appendName(b, name), float64(d.Microseconds())/1000, 'f', -1, 64)
}

func appendName(b []byte, name string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendHints(b []byte, hints []string) []byte {
	if len(hints) == 0 {
		return b
	}
	b = append(appendName(b, "hints"), '[')
	for i, h := range hints {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = outcrop.AppendQuote(b, h)
		b = append(b, '"')
	}
	return append(b, ']')
}

func appendDropped(b []byte, format Format, n int) []byte {
	if format == JSON {
		b = append(b, `{"level":"WARN","msg":"log lines dropped","count":`...)
		b = strconv.AppendInt(b, int64(n), 10)
		return append(b, "}\n"...)
	}
	b = append(b, "log lines dropped: "...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\n')
}

// ANSI colours of the short line.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	dim    = "\x1b[2m"
	plain  = "\x1b[0m"
)

// appendText appends e as one short line for people: time, status, model,
// first-token time, tokens, what went wrong, request id.
func appendText(b []byte, e *Entry, colour bool) []byte {
	paint := func(c string) {
		if colour {
			b = append(b, c...)
		}
	}
	paint(dim)
	b = e.Time.AppendFormat(b, time.TimeOnly)
	paint(plain)
	b = append(b, ' ')
	paint(statusColour(e.Status))
	b = strconv.AppendInt(b, int64(e.Status), 10)
	paint(plain)
	b = append(b, ' ')
	b = appendPlain(b, modelOf(e))
	b = appendTimes(b, e)
	if e.Code != "" {
		b = append(b, "  "...)
		b = append(b, e.Code...)
	}
	if e.Cause != nil {
		b = append(b, ": "...)
		b = appendPlain(b, e.Cause.Error())
	}
	for _, h := range e.Hints {
		b = append(b, "  hint: "...)
		b = appendPlain(b, h)
	}
	paint(dim)
	b = append(b, "  "...)
	b = append(b, e.RequestID...)
	paint(plain)
	return append(b, '\n')
}

func appendTimes(b []byte, e *Entry) []byte {
	r := &e.Receipt
	b = append(b, "  "...)
	b = append(b, e.Operation...)
	b = append(b, "  "...)
	if r.FirstToken > 0 {
		b = append(b, "first token "...)
		b = append(b, r.FirstToken.Round(time.Millisecond).String()...)
		b = append(b, ", "...)
	}
	b = append(b, e.Duration.Round(time.Millisecond).String()...)
	if r.Usage.Total() > 0 {
		b = append(b, "  "...)
		b = strconv.AppendInt(b, int64(r.Usage.Input+r.Usage.CacheRead+r.Usage.CacheWrite), 10)
		b = append(b, " in "...)
		b = strconv.AppendInt(b, int64(r.Usage.Output), 10)
		b = append(b, " out"...)
	}
	if r.Simulated {
		b = append(b, "  simulated"...)
	}
	return appendShortServed(b, e)
}

// appendShortServed appends what of appendServed is out of the ordinary.
func appendShortServed(b []byte, e *Entry) []byte {
	r := &e.Receipt
	class, ok := e.class()
	switch {
	case r.Spilled:
		b = append(b, "  spilled to "...)
		b = append(b, class.String()...)
	case ok && class != outcrop.ClassDefault:
		b = append(b, "  "...)
		b = append(b, class.String()...)
	}
	if queued := r.Queued.Round(time.Millisecond); queued > 0 {
		b = append(b, "  queued "...)
		b = append(b, queued.String()...)
	}
	if r.Limit != nil {
		b = append(b, "  limit "...)
		b = appendLimits(b, r.Limit)
	}
	return b
}

func modelOf(e *Entry) string {
	if e.Model != "" {
		return e.Model
	}
	return short(e.AskedModel)
}

// short bounds what callers can put into a line.
func short(s string) string {
	const most = 256
	return s[:min(len(s), most)]
}

// appendPlain appends s with all escaped that a terminal might not simply
// show, so that a caller can forge no lines. U+009B alone begins a command to
// some terminals, and others turn the line around.
func appendPlain(b []byte, s string) []byte {
	for _, r := range s {
		if strconv.IsPrint(r) && r != '\\' {
			b = utf8.AppendRune(b, r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b = append(b, quoted[1:len(quoted)-1]...)
	}
	return b
}

func statusColour(status int) string {
	switch {
	case status < 400:
		return green
	case status < 500:
		return yellow
	}
	return red
}
