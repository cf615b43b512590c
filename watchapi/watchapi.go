// Package watchapi is the door for callers and operators who want to see why
// they are served as they are: how full the engines and the limits are, and
// what became of one request.
package watchapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/explain"
)

// The paths of the API; that of explain is followed by the id of a request.
const (
	CapacityPath = "/outcrop/capacity"
	ExplainPath  = "/outcrop/explain/"
)

// Who tells who asks. all is true of one who may see everything; others see
// what is of their account. An error is told to one who is nobody, if it is an
// *outcrop.Error.
type Who func(r *http.Request) (account string, all bool, err error)

// An API answers those who watch. It is safe for concurrent use.
type API struct {
	who   Who
	scene func() Scene
	book  *explain.Book
}

// New returns an API that shows what scene returns and the records in book.
// scene is called once for each request, concurrently, and must not block.
func New(who Who, scene func() Scene, book *explain.Book) *API {
	return &API{who: who, scene: scene, book: book}
}

// Serves reports whether path is one of the API's.
func Serves(path string) bool {
	return path == CapacityPath || strings.HasPrefix(path, ExplainPath)
}

// ServeHTTP implements http.Handler. What is of another account is not there,
// as if it were nowhere.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		failure(w, http.StatusMethodNotAllowed, "Ask with GET.")
		return
	}
	account, all, err := a.who(r)
	if err != nil {
		failure(w, http.StatusForbidden, reason(err)+" Sign the request as one to Bedrock, or send a Bedrock API key.")
		return
	}
	if id, isExplain := strings.CutPrefix(r.URL.Path, ExplainPath); isExplain {
		a.explain(w, r, id, account, all)
		return
	}
	a.capacity(w, account, all)
}

func (a *API) capacity(w http.ResponseWriter, account string, all bool) {
	scene := a.scene()
	v := Look(&scene, time.Now())
	if !all {
		v = v.OfAccount(account)
	}
	body, err := v.AppendJSON(nil)
	answer(w, body, err)
}

func (a *API) explain(w http.ResponseWriter, r *http.Request, id, account string, all bool) {
	record, found := a.book.Find(id)
	if !found || !all && record.Account != account {
		failure(w, http.StatusNotFound, "No request with this id is on record: ids are those of x-amzn-RequestId, and only the latest requests are kept.")
		return
	}
	if r.Header.Get("Accept") == "text/plain" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = record.Write(w) // the caller is gone
		return
	}
	body, err := record.AppendJSON(nil)
	answer(w, body, err)
}

func answer(w http.ResponseWriter, body []byte, err error) {
	if err != nil {
		failure(w, http.StatusInternalServerError, "The answer cannot be told.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the caller is gone
}

func reason(err error) string {
	var told *outcrop.Error
	if errors.As(err, &told) && told.Message != "" {
		return strings.TrimSuffix(told.Message, ".") + "."
	}
	return "This needs credentials."
}

func failure(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	b, _ := json.Marshal(map[string]string{"message": message}) // cannot fail
	_, _ = w.Write(append(b, '\n'))                             // the caller is gone
}
