package anthropic

import (
	"bytes"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// maxMembers bounds how many members an object may have where members have
// a meaning. No object of the Messages body comes near it.
const maxMembers = 64

// A fault is the end of a validation message: what follows the path to the
// object that it was found in.
type fault string

func (f fault) Error() string { return string(f) }

// in puts the path in front of the fault.
func in(path string, err error) error {
	if f, ok := err.(fault); ok {
		return fault(path) + f
	}
	return err
}

func at(list string, i int) string { return list + "." + strconv.Itoa(i) }

// A field is one member of an object: key and value as they stood.
type field struct{ k, v []byte }

// fields are the members of an object in valid JSON.
type fields []field

// object splits the object v. The names of v are unique in the result.
func object(v []byte) (fields, error) {
	s := jsonscan.Scanner{B: v}
	if !s.Eat('{') {
		return nil, fault(": Input should be a valid dictionary")
	}
	f := make(fields, 0, 8)
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok || n > maxMembers {
			return nil, fault(": Input should be a valid dictionary")
		}
		if !more {
			return f, nil
		}
		if f.has(k) {
			return nil, fault(": Input holds a member twice")
		}
		v, ok := raw(&s)
		if !ok {
			return nil, fault(": Input should be a valid dictionary")
		}
		f = append(f, field{k, v})
	}
}

func (f fields) has(k []byte) bool {
	for i := range f {
		if bytes.Equal(f[i].k, k) {
			return true
		}
	}
	return false
}

// get returns the value of the member, nil if it is absent or null.
func (f fields) get(name string) []byte {
	for i := range f {
		if string(f[i].k) == name {
			if string(f[i].v) == "null" {
				return nil
			}
			return f[i].v
		}
	}
	return nil
}

// text returns the inside of the string member name.
func (f fields) text(name string) (outcrop.Text, error) {
	v := f.get(name)
	if v == nil {
		return nil, fault("." + name + ": Field required")
	}
	if v[0] != '"' {
		return nil, fault("." + name + ": Input should be a valid string")
	}
	return outcrop.Text(v[1 : len(v)-1]), nil
}

// only refuses members that are not among names.
func (f fields) only(names ...string) error {
next:
	for i := range f {
		for _, name := range names {
			if string(f[i].k) == name {
				continue next
			}
		}
		return fault("." + printable(f[i].k) + ": Extra inputs are not permitted")
	}
	return nil
}

// maxElements bounds how many elements an array may have, so that a body of
// empty ones does not cost many times its size. It is the Messages API's limit
// on messages [platform documentation, "Messages"].
const maxElements = 100_000

// elements splits the array v.
func elements(v []byte) ([][]byte, error) {
	s := jsonscan.Scanner{B: v}
	if !s.Eat('[') {
		return nil, fault(": Input should be a valid list")
	}
	var all [][]byte
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok {
			return nil, fault(": Input should be a valid list")
		}
		if !more {
			return all, nil
		}
		if n > maxElements {
			return nil, fault(": List should have at most " + strconv.Itoa(maxElements) + " items")
		}
		e, ok := raw(&s)
		if !ok {
			return nil, fault(": Input should be a valid list")
		}
		all = append(all, e)
	}
}

// raw returns the value at the cursor as it stands. It checks brackets only.
func raw(s *jsonscan.Scanner) ([]byte, bool) {
	s.Space()
	from := s.I
	ok := s.Skip()
	return s.B[from:s.I], ok && s.I > from
}

// printable is k if it may stand in a message or a log, else a stand-in.
func printable(k []byte) string {
	if len(k) == 0 || len(k) > 64 {
		return "?"
	}
	for _, c := range k {
		if c <= ' ' || c >= 0x7f || c == '\\' {
			return "?"
		}
	}
	return string(k)
}
