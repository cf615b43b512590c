package controlapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/store"
)

// pageSize is how many resources a page holds if the caller does not say.
const pageSize = 100

func (a *API) listProvisioned(q *request) (any, error) {
	if err := allow(q.who, "bedrock:ListProvisionedModelThroughputs", "*"); err != nil {
		return nil, err
	}
	values, err := readQuery(listProvisionedShape, q.query)
	if err != nil {
		return nil, err
	}
	f := a.listFilter(a.provisionedARN(q.who, ""), values)
	after, err := parsePageToken(values, f)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Next      string    `json:"nextToken,omitempty"`
		Summaries []summary `json:"provisionedModelSummaries"`
	}{Summaries: []summary{}}
	err = a.desk.Resources.Look(q.ctx, func(tx *store.Tx) error {
		page, next, err := tx.Page(f, after, maxResults(values))
		for i := range page {
			p, err := page[i].Provisioned()
			if err != nil {
				return err
			}
			answer.Summaries = append(answer.Summaries, a.summary(p))
		}
		answer.Next = pageToken(next, f)
		return err
	})
	return answer, err
}

// listFilter reads the query that lists of all kinds share; it has passed its
// shape.
func (a *API) listFilter(kind outcrop.ARN, values url.Values) store.Filter {
	f := store.Filter{
		Kind: kind, Status: values.Get("statusEquals"), NameContains: values.Get("nameContains"),
		CreatedAfter: parseTime(values.Get("creationTimeAfter")), CreatedBefore: parseTime(values.Get("creationTimeBefore")),
		Ascending: values.Get("sortOrder") == "Ascending",
	}
	if model := values.Get("modelArnEquals"); model != "" {
		f.Model = model // which is no model's id, and matches nothing
		if arn, ok := outcrop.ParseARN(model); ok && arn.Type == "foundation-model" && arn.Region == a.region {
			f.Model = arn.ID
		}
	}
	return f
}

// parseTime reads a time that has passed its shape; zero if there is none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func maxResults(values url.Values) int {
	n, err := strconv.Atoi(values.Get("maxResults"))
	if err != nil {
		return pageSize
	}
	return n
}

// A page token is, in base64url: a version, the place in the list, and a hash
// of the filter that the list was made with. It gives away nothing that the
// list did not hold, and opens nothing but the caller's own list.
const (
	tokenVersion = 1
	tokenLength  = 1 + 8 + 8 + 8
)

// pageToken returns the token of a place, "" for the end of the list.
func pageToken(c store.Cursor, f store.Filter) string {
	if c == (store.Cursor{}) {
		return ""
	}
	b := []byte{tokenVersion}
	b = binary.BigEndian.AppendUint64(b, uint64(c.Created.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Seq))
	b = append(b, filterHash(f)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePageToken(values url.Values, f store.Filter) (store.Cursor, error) {
	token := values.Get("nextToken")
	if token == "" {
		return store.Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != tokenLength || b[0] != tokenVersion {
		return store.Cursor{}, outcrop.Invalid("The provided nextToken is invalid.")
	}
	if string(b[17:]) != string(filterHash(f)) {
		return store.Cursor{}, outcrop.Invalid("The provided nextToken belongs to a list with other parameters.")
	}
	return store.Cursor{Created: time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))).UTC(), Seq: int64(binary.BigEndian.Uint64(b[9:]))}, nil
}

func filterHash(f store.Filter) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d %d %t", f.Kind.String(), f.Status, f.Model, f.NameContains,
		f.CreatedAfter.UnixNano(), f.CreatedBefore.UnixNano(), f.Ascending))
	return sum[:8]
}
