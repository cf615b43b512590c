package watchapi

import (
	"errors"

	"github.com/go-json-experiment/json"
)

// withFormats lets the format of times stand in the tags.
var withFormats = json.ExperimentalSupportFormatTag(true)

// AppendJSON appends the view in its JSON form, on one line.
func (v *View) AppendJSON(dst []byte) ([]byte, error) {
	b, err := json.Marshal(v, withFormats)
	return append(dst, b...), err
}

// errView is for what is not the JSON form of a view. What it was is not
// quoted.
var errView = errors.New("watchapi: not a view of the capacity")

// Parse reads the JSON form of a view. Members that it does not know, of a
// newer server, are left out.
func Parse(b []byte) (View, error) {
	var v View
	if json.Unmarshal(b, &v, withFormats) != nil || v.Version < 1 {
		return View{}, errView
	}
	return v, nil
}
