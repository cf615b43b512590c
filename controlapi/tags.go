package controlapi

import (
	"context"
	"errors"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/store"
)

// A tag is a tag on the wire.
type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// spillTag is the key of the tag that says where requests over a provisioned
// throughput go.
const spillTag = "outcrop:spillover"

// checkTags returns the tags, or refuses what the API model cannot say: keys
// that stand twice, the service's own prefix, and ways to spill that there are
// not.
func checkTags(given []tag) ([]outcrop.Tag, error) {
	tags, seen := make([]outcrop.Tag, len(given)), map[string]bool{}
	for i, t := range given {
		if seen[t.Key] {
			return nil, outcrop.Invalid("The tag key '" + t.Key + "' stands twice.")
		}
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, outcrop.Invalid("The tag key '" + t.Key + "' begins with 'aws:', which is reserved.")
		}
		if t.Key == spillTag && !outcrop.Spill(t.Value).Valid() {
			return nil, outcrop.Invalid("The tag '" + spillTag + "' has the value '" + t.Value + "'. It must be one of: none, default, priority, flex.")
		}
		seen[t.Key] = true
		tags[i] = outcrop.Tag{Key: t.Key, Value: t.Value}
	}
	return tags, nil
}

func (a *API) tag(q *request) (any, error) {
	var in struct {
		ARN  string `json:"resourceARN"`
		Tags []tag  `json:"tags"`
	}
	if err := read(tagShape, q.body, &in); err != nil {
		return nil, err
	}
	tags, err := checkTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return empty, a.onTaggable(q, "bedrock:TagResource", in.ARN, a.desk.retag, func(tx *store.Tx, arn outcrop.ARN) error {
		return tx.SetTags(arn, tags)
	})
}

func (a *API) untag(q *request) (any, error) {
	var in struct {
		ARN  string   `json:"resourceARN"`
		Keys []string `json:"tagKeys"`
	}
	if err := read(untagShape, q.body, &in); err != nil {
		return nil, err
	}
	return empty, a.onTaggable(q, "bedrock:UntagResource", in.ARN, a.desk.retag, func(tx *store.Tx, arn outcrop.ARN) error {
		return tx.RemoveTags(arn, in.Keys)
	})
}

func (a *API) listTags(q *request) (any, error) {
	var in struct {
		ARN string `json:"resourceARN"`
	}
	if err := read(listTagsShape, q.body, &in); err != nil {
		return nil, err
	}
	tags := []tag{}
	err := a.onTaggable(q, "bedrock:ListTagsForResource", in.ARN, a.desk.readTags, func(tx *store.Tx, arn outcrop.ARN) error {
		found, err := tx.Tags(arn)
		for _, t := range found {
			tags = append(tags, tag{t.Key, t.Value})
		}
		return err
	})
	return map[string]any{"tags": tags}, err
}

// empty is the answer of operations that have no output.
var empty = struct{}{}

// A transaction runs f in a transaction on the resource with the ARN.
type transaction func(ctx context.Context, arn outcrop.ARN, f func(*store.Tx) error) error

// onTaggable does what an operation does to the resource with the ARN,
// whatever its kind, if the caller may.
func (a *API) onTaggable(q *request, action, name string, in transaction, do func(*store.Tx, outcrop.ARN) error) error {
	arn, ok := outcrop.ParseARN(name)
	if !ok {
		return notFound(name)
	}
	if err := a.mine(q.who, action, arn); err != nil {
		return err
	}
	return in(q.ctx, arn, func(tx *store.Tx) error {
		err := do(tx, arn)
		switch {
		case errors.Is(err, store.ErrNoResource):
			return notFound(name)
		case errors.Is(err, store.ErrTooManyTags):
			return &outcrop.Error{Code: outcrop.CodeTooManyTags, Message: "The resource " + name + " would have more than 200 tags."}
		}
		return err
	})
}

// readTags is a transaction that changes nothing.
func (d *desk) readTags(ctx context.Context, _ outcrop.ARN, f func(*store.Tx) error) error {
	return d.Resources.Look(ctx, f)
}

// retag is a transaction that changes tags, and what they set with them.
func (d *desk) retag(ctx context.Context, arn outcrop.ARN, f func(*store.Tx) error) error {
	return d.change(ctx, func(tx *store.Tx) (effect, error) {
		if err := f(tx); err != nil {
			return effect{}, err
		}
		if arn.Type != store.KindProvisioned {
			return effect{none: true}, nil
		}
		return respill(tx, arn)
	})
}

// respill makes the provisioned throughput spill as its tags say.
func respill(tx *store.Tx, arn outcrop.ARN) (effect, error) {
	tags, err := tx.Tags(arn)
	if err != nil {
		return effect{}, err
	}
	r, p, err := findProvisioned(tx, arn)
	if err != nil || p.Spill == spillOf(tags) {
		return effect{none: true}, err
	}
	p.Spill = spillOf(tags)
	return putProvisioned(tx, r, p)
}

// spillOf is what the tags, which checkTags has passed, say of spilling;
// empty if they say nothing.
func spillOf(tags []outcrop.Tag) outcrop.Spill {
	for _, t := range tags {
		if t.Key == spillTag {
			return outcrop.Spill(t.Value)
		}
	}
	return ""
}

// mine refuses the action on a resource that the caller may not act on, and
// on those of other accounts and regions, whether they exist or not.
func (a *API) mine(who *outcrop.Principal, action string, arn outcrop.ARN) error {
	if err := allow(who, action, arn.String()); err != nil {
		return err
	}
	switch {
	case arn.Region != a.region:
		return outcrop.Invalid("The ARN " + arn.String() + " is not of the region " + a.region + ".")
	case arn.Account != who.Account:
		return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "User: " + who.ARN + " is not authorized to perform: " + action +
			" on resource: " + arn.String() + " because no resource-based policy allows the " + action + " action"}
	}
	return nil
}

func notFound(name string) error {
	return &outcrop.Error{Code: outcrop.CodeNotFound, Message: "Could not find the resource " + name + "."}
}
