package explain

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json"
)

// milliseconds lets the format of times stand in the tags.
var milliseconds = json.ExperimentalSupportFormatTag(true)

// AppendJSON appends the record in its JSON form.
func (r *Record) AppendJSON(dst []byte) ([]byte, error) {
	b, err := json.Marshal(r, milliseconds)
	return append(dst, b...), err
}

// errRecord is for what is not the JSON form of a record. What it was is not
// quoted.
var errRecord = errors.New("explain: not a record")

// Parse reads the JSON form of a record. Members that it does not know, of a
// newer server, are left out.
func Parse(b []byte) (Record, error) {
	var r Record
	if json.Unmarshal(b, &r, milliseconds) != nil || r.ID == "" {
		return Record{}, errRecord
	}
	return r, nil
}

// Print writes what a server sent about a request for people to read.
func Print(w io.Writer, body []byte) error {
	r, err := Parse(body)
	if err != nil {
		return err
	}
	return r.Write(w)
}
