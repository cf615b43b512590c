package sim

import (
	"container/list"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
)

// A FaultKind says what goes wrong.
type FaultKind string

// The kinds of faults. Their times are real ones: Speed does not scale them.
const (
	FaultError     FaultKind = "error"     // the call fails with Code
	FaultDelay     FaultKind = "delay"     // the engine gets the call later by Delay
	FaultCut       FaultKind = "cut"       // the stream breaks after Tokens
	FaultSlow      FaultKind = "slow"      // each token takes Delay longer
	FaultMalformed FaultKind = "malformed" // the output is broken off JSON
	FaultHang      FaultKind = "hang"      // no answer comes until the caller gives up
)

// A Fault is a failure to inject.
type Fault struct {
	Kind FaultKind
	// Rate is the share of the calls that are hit, from 0 to 1. Which ones
	// depends on the seed and on how many calls came before.
	Rate   float64
	Code   outcrop.Code  // of FaultError
	Delay  time.Duration // of FaultDelay and FaultSlow; with FaultError, the retry-after of the error
	Tokens int           // of FaultCut
	// Times is how many calls are hit at most; 0 sets no bound.
	Times int
	// Metadata, unless its key is empty, is the entry that the requestMetadata
	// of a call must have for it to be hit.
	Metadata outcrop.Metadata
}

// The keys of requestMetadata that steer one call.
const (
	// MetadataFault lists faults, such as "delay:2s,throttling".
	MetadataFault = "outcrop:fault"
	// MetadataFaultTimes is how many attempts in a row they hit; the next one
	// goes through, as a retry should. Absent: all.
	MetadataFaultTimes = "outcrop:fault-times"
	// MetadataFaultID tells calls apart that are otherwise equal, for
	// MetadataFaultTimes.
	MetadataFaultID = "outcrop:fault-id"
	// MetadataOutputTokens is how many tokens a text answer has at most; it
	// has exactly as many where maxTokens and stop sequences allow.
	MetadataOutputTokens = "outcrop:output-tokens"
)

// effects is what the faults that hit a call do to it together.
type effects struct {
	err       *outcrop.Error
	delay     time.Duration
	slow      time.Duration
	cut       int // -1: not
	malformed bool
	hang      bool
}

func (e *effects) add(f Fault) {
	switch f.Kind {
	case FaultError:
		e.err = injected(f.Code, f.Delay)
	case FaultDelay:
		e.delay += f.Delay
	case FaultSlow:
		e.slow += f.Delay
	case FaultCut:
		e.cut = max(f.Tokens, 0)
	case FaultMalformed:
		e.malformed = true
	case FaultHang:
		e.hang = true
	}
}

// messages are AWS's where they are known.
var messages = map[outcrop.Code]string{
	outcrop.CodeThrottling:    "Too many requests, please wait before trying again.",
	outcrop.CodeUnavailable:   "Bedrock is unable to process your request.",
	outcrop.CodeModelTimeout:  "Model has timed out in processing the request. Try your request again.",
	outcrop.CodeModelError:    "The system encountered an unexpected error during processing. Try your request again.",
	outcrop.CodeModelStream:   "The model has failed while it was answering. Try your request again.",
	outcrop.CodeModelNotReady: "The model is not ready for inference requests. Wait and try your request again.",
	outcrop.CodeValidation:    "Malformed input request, please reformat your input and try again.",
	outcrop.CodeInternal:      "The system encountered an unexpected error during processing. Try your request again.",
	outcrop.CodeAccessDenied:  "You don't have access to the model with the specified model ID.",
	outcrop.CodeNotFound:      "Could not resolve the foundation model from the provided model identifier.",
	outcrop.CodeQuota:         "Your request exceeds the service quota for your account.",
}

func injected(code outcrop.Code, retryAfter time.Duration) *outcrop.Error {
	if code == "" {
		code = outcrop.CodeInternal
	}
	message := messages[code]
	if message == "" {
		message = "The simulated engine was asked to fail."
	}
	return &outcrop.Error{Code: code, Message: message, RetryAfter: retryAfter}
}

// faults decides what goes wrong. It is safe for concurrent use.
type faults struct {
	list []Fault
	seed uint64

	mu    sync.Mutex
	calls uint64
	hits  []int // of each fault in list
	tried attempts
}

func (f *faults) init(list []Fault, seed uint64) {
	f.list, f.seed, f.hits = list, seed, make([]int, len(list))
}

// strike returns what goes wrong with the call req whose prompt has the hash.
func (f *faults) strike(req *outcrop.Request, promptHash uint64) (effects, error) {
	e := effects{cut: -1}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	for i, fault := range f.list {
		if f.due(i, req) {
			f.hits[i]++
			e.add(fault)
		}
	}
	spec := metadata(req, MetadataFault)
	if spec == "" {
		return e, nil
	}
	asked, err := parseFaults(spec)
	if err != nil {
		return e, err
	}
	hit, err := f.again(req, promptHash)
	if err != nil || !hit {
		return e, err
	}
	for _, fault := range asked {
		e.add(fault)
	}
	return e, nil
}

func (f *faults) due(i int, req *outcrop.Request) bool {
	fault := &f.list[i]
	if fault.Times > 0 && f.hits[i] >= fault.Times {
		return false
	}
	if m := fault.Metadata; m.Key != "" && metadata(req, m.Key) != m.Value {
		return false
	}
	draw := scramble(f.seed + uint64(i)<<32 + f.calls)
	return float64(draw>>11)/(1<<53) < fault.Rate
}

// again reports whether the faults that the metadata ask for hit this attempt.
func (f *faults) again(req *outcrop.Request, promptHash uint64) (bool, error) {
	value := metadata(req, MetadataFaultTimes)
	if value == "" {
		return true, nil
	}
	times, err := strconv.Atoi(value)
	if err != nil || times < 0 {
		return false, outcrop.Invalid("The value of " + MetadataFaultTimes + " in requestMetadata must be a whole number.")
	}
	key := promptHash
	if id := metadata(req, MetadataFaultID); id != "" {
		key = hash(fnvOffset, id)
	}
	key = hash(key, req.ModelID)
	if req.Principal != nil {
		key = hash(key, req.Principal.Account)
	}
	return f.tried.count(key, times), nil
}

// maxAttempts bounds the calls whose attempts are counted.
const maxAttempts = 4096

// attempts counts how often calls were tried; the oldest is forgotten first.
type attempts struct {
	byKey map[uint64]*list.Element
	order list.List // of *attempt
}

type attempt struct {
	key uint64
	n   int
}

// count reports whether this attempt is among the first times; the one after
// them is not, and the count begins anew.
func (a *attempts) count(key uint64, times int) bool {
	if a.byKey == nil {
		a.byKey = map[uint64]*list.Element{}
	}
	e, ok := a.byKey[key]
	if !ok {
		e = a.order.PushFront(&attempt{key: key})
		a.byKey[key] = e
		if a.order.Len() > maxAttempts {
			a.drop(a.order.Back())
		}
	}
	a.order.MoveToFront(e)
	entry := e.Value.(*attempt)
	entry.n++
	if entry.n <= times {
		return true
	}
	a.drop(e)
	return false
}

func (a *attempts) drop(e *list.Element) {
	delete(a.byKey, e.Value.(*attempt).key)
	a.order.Remove(e)
}

// faultNames are the faults that metadata may name, beside those with an
// argument of their own and the names of the exceptions themselves.
var faultNames = map[string]outcrop.Code{
	"throttling":    outcrop.CodeThrottling,
	"validation":    outcrop.CodeValidation,
	"model_error":   outcrop.CodeModelError,
	"stream_error":  outcrop.CodeModelStream,
	"timeout":       outcrop.CodeModelTimeout,
	"unavailable":   outcrop.CodeUnavailable,
	"internal":      outcrop.CodeInternal,
	"not_ready":     outcrop.CodeModelNotReady,
	"access_denied": outcrop.CodeAccessDenied,
	"not_found":     outcrop.CodeNotFound,
	"quota":         outcrop.CodeQuota,
}

// parseFaults reads the value of MetadataFault: names with an optional
// argument after a colon, between commas or spaces.
func parseFaults(spec string) ([]Fault, error) {
	var all []Fault
	for word := range strings.FieldsFuncSeq(spec, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, argument, _ := strings.Cut(word, ":")
		f, err := parseFault(name, argument)
		if err != nil {
			return nil, outcrop.Invalid(fmt.Sprintf("The fault %.64q in requestMetadata %s cannot be read: %v.", word, MetadataFault, err))
		}
		all = append(all, f)
	}
	return all, nil
}

func parseFault(name, argument string) (f Fault, err error) {
	switch name {
	case "delay", "slow":
		f.Kind = FaultKind(name)
		f.Delay, err = duration(argument)
		return f, err
	case "stream_cut", "cut":
		f.Kind = FaultCut
		f.Tokens, err = strconv.Atoi(argument)
		if err != nil || f.Tokens < 0 {
			return f, fmt.Errorf("it needs a number of tokens, as in %s:5", name)
		}
		return f, nil
	case "malformed", "hang":
		f.Kind = FaultKind(name)
		return f, nil
	}
	f.Kind, f.Code = FaultError, faultNames[name]
	if _, known := messages[outcrop.Code(name)]; known {
		f.Code = outcrop.Code(name)
	}
	if f.Code == "" {
		return f, fmt.Errorf("there is no fault of that name")
	}
	if argument != "" {
		f.Delay, err = duration(argument)
	}
	return f, err
}

// maxFaultTime bounds what a caller may ask for.
const maxFaultTime = time.Hour

func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxFaultTime {
		return 0, fmt.Errorf("it needs a time of at most an hour, as in 200ms")
	}
	return d, nil
}

func metadata(req *outcrop.Request, key string) string {
	for _, m := range req.Metadata {
		if m.Key == key {
			return m.Value
		}
	}
	return ""
}

// scramble is the finalizer of SplitMix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
