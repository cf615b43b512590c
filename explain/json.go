package explain

import (
	"errors"
	"io"
	"net/http"

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

// Who tells who asks for a record: local is one on this machine, who may see
// all; others see those of their account. ok is false for one who is nobody.
type Who func(r *http.Request) (account string, local, ok bool)

// Handler answers GET /outcrop/explain/{id} with the record of the request
// with the id: as JSON, or as text to a caller that prefers text/plain. A
// record of another account is not found, just as one that is not there.
func (b *Book) Handler(who Who) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			failure(w, http.StatusMethodNotAllowed, "Ask with GET.")
			return
		}
		account, local, ok := who(r)
		if !ok {
			failure(w, http.StatusForbidden, "Sign the request, or ask from the machine itself.")
			return
		}
		rec, found := b.Find(r.PathValue("id"))
		if !found || !local && rec.Account != account {
			failure(w, http.StatusNotFound, "No request with this id is on record: ids are those of x-amzn-RequestId, and only the latest requests are kept.")
			return
		}
		answer(w, r, &rec)
	})
}

func answer(w http.ResponseWriter, r *http.Request, rec *Record) {
	if r.Header.Get("Accept") == "text/plain" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = rec.Write(w) // the caller is gone
		return
	}
	body, err := rec.AppendJSON(nil)
	if err != nil {
		failure(w, http.StatusInternalServerError, "The record cannot be told.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the caller is gone
}

func failure(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	b, _ := json.Marshal(map[string]string{"message": message}) // cannot fail
	_, _ = w.Write(append(b, '\n'))                             // the caller is gone
}
