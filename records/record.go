package records

import (
	"errors"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// What can be wrong with a line.
var (
	ErrNoObject = errors.New("the line is not a JSON object")
	ErrNoInput  = errors.New("the record has no modelInput")
	ErrInput    = errors.New("the modelInput is not an object")
	ErrID       = errors.New("the recordId is not a string")
	ErrTwice    = errors.New("the record has a member twice")
)

// A Record is one invocation of a batch job. Its slices are parts of the line.
type Record struct {
	ID    outcrop.Text // empty if the line has none
	Input outcrop.JSON // an object
}

// Parse reads a record. Members that it does not know are left out. That Input
// suits a model is not looked at.
func Parse(line []byte) (r Record, err error) {
	s := jsonscan.Scanner{B: line}
	if !s.Eat('{') {
		return r, ErrNoObject
	}
	named := false
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || len(name) > 0 && !jsonscan.Clean(name) {
			return r, ErrNoObject
		}
		if !more {
			break
		}
		twice := false
		switch string(name) {
		case "recordId":
			twice = named
			named = true
			err = r.readID(&s)
		case "modelInput":
			twice = r.Input != nil
			err = r.readInput(&s)
		default:
			if _, ok := s.Value(); !ok {
				err = ErrNoObject
			}
		}
		if twice && err == nil {
			err = ErrTwice
		}
		if err != nil {
			return Record{}, err
		}
	}
	switch {
	case !s.End():
		return Record{}, ErrNoObject
	case r.Input == nil:
		return Record{}, ErrNoInput
	}
	return r, nil
}

func (r *Record) readID(s *jsonscan.Scanner) error {
	if !s.At('"') {
		if _, ok := s.Value(); !ok {
			return ErrNoObject
		}
		return ErrID
	}
	id, ok := s.Text()
	if !ok {
		return ErrNoObject
	}
	r.ID = id
	return nil
}

func (r *Record) readInput(s *jsonscan.Scanner) error {
	object := s.At('{')
	input, ok := s.Value()
	switch {
	case !ok:
		return ErrNoObject
	case !object:
		return ErrInput
	}
	r.Input = input
	return nil
}

// AppendID appends the id of a record that has none of its own: eleven
// characters, as Bedrock's are, from its number in the job.
func AppendID(dst []byte, number int64) []byte {
	digits := strconv.AppendInt(nil, number, 10)
	dst = append(dst, 'R')
	for range 10 - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// A Failure is why a record has no answer.
type Failure struct {
	Status   int    // HTTP
	Message  string // for the owner
	Attempts int    // that were made
}

// AppendAnswer appends the line of the output with the answer to r, whose ID
// is set. answer must be JSON without line ends.
func AppendAnswer(dst []byte, r Record, answer []byte) []byte {
	dst = appendRecord(dst, r)
	dst = append(dst, `,"modelOutput":`...)
	dst = appendLine(dst, answer)
	return append(dst, "}\n"...)
}

// AppendFailure appends the line of the output for a record that failed.
func AppendFailure(dst []byte, r Record, f Failure) []byte {
	dst = appendRecord(dst, r)
	dst = append(dst, `,"error":{"errorCode":`...)
	dst = strconv.AppendInt(dst, int64(f.Status), 10)
	dst = append(dst, `,"errorMessage":"`...)
	dst = outcrop.AppendQuote(dst, f.Message)
	if f.Attempts > 1 {
		dst = append(dst, " ("...)
		dst = strconv.AppendInt(dst, int64(f.Attempts), 10)
		dst = append(dst, " attempts)"...)
	}
	return append(dst, "\"}}\n"...)
}

func appendRecord(dst []byte, r Record) []byte {
	dst = append(dst, `{"recordId":"`...)
	dst = append(dst, r.ID...)
	dst = append(dst, `","modelInput":`...)
	return append(dst, r.Input...)
}

// appendLine appends JSON on one line: a raw line end in it can only stand
// between tokens.
func appendLine(dst, answer []byte) []byte {
	for _, c := range answer {
		if c != '\n' && c != '\r' {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendManifest appends the manifest of a job.
func AppendManifest(dst []byte, c outcrop.JobCounts, u outcrop.JobUsage) []byte {
	for i, m := range []struct {
		name  string
		value int64
	}{
		{"totalRecordCount", c.Total}, {"processedRecordCount", c.Processed()}, {"successRecordCount", c.Succeeded},
		{"errorRecordCount", c.Failed}, {"inputTokenCount", u.Input + u.CacheRead + u.CacheWrite}, {"outputTokenCount", u.Output},
	} {
		dst = append(dst, "{,,,,,"[i], '"')
		dst = append(dst, m.name...)
		dst = append(dst, `":`...)
		dst = strconv.AppendInt(dst, m.value, 10)
	}
	return append(dst, "}\n"...)
}
