package controlapi

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/store"
)

// createInput is CreateProvisionedModelThroughputRequest.
type createInput struct {
	Token      string             `json:"clientRequestToken"`
	Units      int                `json:"modelUnits"`
	Name       string             `json:"provisionedModelName"`
	Model      string             `json:"modelId"`
	Commitment outcrop.Commitment `json:"commitmentDuration"`
	Tags       []tag              `json:"tags"`
}

func (a *API) createProvisioned(q *request) (any, error) {
	var in createInput
	if err := read(createProvisionedShape, q.body, &in); err != nil {
		return nil, err
	}
	tags, err := checkTags(in.Tags)
	if err != nil {
		return nil, err
	}
	model, card, err := a.purchasable(q, "bedrock:CreateProvisionedModelThroughput", in.Model)
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := allow(q.who, "bedrock:TagResource", a.provisionedARN(q.who, "*").String()); err != nil {
			return nil, err
		}
	}
	token := a.token(q, "CreateProvisionedModelThroughput", in.Token, in.parameters())
	p := lifecycle.Create(a.provisionedARN(q.who, newID()), in.Name, model, in.Units, in.Commitment, time.Now())
	p.Spill = spillOf(tags)
	made := p.ARN
	err = a.desk.change(q.ctx, func(tx *store.Tx) (effect, error) {
		first, again, err := replay(tx, token, p.Created)
		if again || err != nil {
			made = first
			return effect{none: true}, err
		}
		if err := a.sell(tx, card, p.Units, p.ARN); err != nil {
			return effect{}, err
		}
		return effect{arn: p.ARN, now: &p}, insert(tx, p, tags, token)
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"provisionedModelArn": made.String()}, nil
}

// insert stores a new provisioned throughput with all that belongs to it.
func insert(tx *store.Tx, p outcrop.Provisioned, tags []outcrop.Tag, token store.Token) error {
	var r store.Resource
	if err := r.SetProvisioned(p); err != nil {
		return err
	}
	err := tx.Insert(r)
	if errors.Is(err, store.ErrNameTaken) {
		return nameTaken(p.Name)
	}
	if err == nil && len(tags) > 0 {
		err = tx.SetTags(p.ARN, tags)
	}
	if err == nil && token.Value != "" {
		err = tx.Remember(token, p.ARN, p.Created)
	}
	return err
}

// nameTaken is a ValidationException, since the operations do not model a
// ConflictException.
func nameTaken(name string) error {
	return outcrop.Invalid("The provisioned model name " + name + " is already in use in this account and Region.")
}

// parameters returns all but the token, in one form for all orders of tags.
func (in createInput) parameters() any {
	in.Token = ""
	in.Tags = slices.SortedFunc(slices.Values(in.Tags), func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return in
}

// token returns the idempotency token of a request.
func (a *API) token(q *request, operation, value string, parameters any) store.Token {
	text, err := json.Marshal(parameters)
	if err != nil {
		panic(err) // structs of strings and numbers always marshal
	}
	return store.Token{Operation: operation, Region: a.region, Account: q.who.Account, Value: value, Parameters: sha256.Sum256(text)}
}

// replay returns what an earlier request with the token made, if there was
// one. A token that comes with other parameters is a ValidationException,
// since the operations do not model a ConflictException.
func replay(tx *store.Tx, token store.Token, now time.Time) (arn outcrop.ARN, again bool, err error) {
	if token.Value == "" {
		return outcrop.ARN{}, false, nil
	}
	arn, again, err = tx.Replay(token, now)
	if errors.Is(err, store.ErrTokenReused) {
		err = outcrop.Invalid("The client request token was already used with other parameters.")
	}
	return arn, again, err
}

// newID returns the id of a new resource: twelve of [a-z0-9], which is 62
// bits of chance.
func newID() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var id []byte
	for len(id) < 12 {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		for _, c := range b {
			if int(c) < 7*len(letters) && len(id) < 12 { // every letter alike
				id = append(id, letters[int(c)%len(letters)])
			}
		}
	}
	return string(id)
}

func (a *API) provisionedARN(who *outcrop.Principal, id string) outcrop.ARN {
	return outcrop.ARN{Partition: catalog.Partition(a.region), Service: "bedrock", Region: a.region, Account: who.Account, Type: store.KindProvisioned, ID: id}
}

// purchasable returns the id and card of the model that a caller wants units
// of, if he may. The card of a contextual variant that the catalogue does not
// hold is that of its base.
func (a *API) purchasable(q *request, action, name string) (model string, card *outcrop.Card, err error) {
	resource := outcrop.ARN{Type: "foundation-model", ID: name}
	if arn, ok := outcrop.ParseARN(name); ok {
		resource = arn
	}
	switch {
	case resource.Account != "": // a custom model, of which there are none
		if err := a.mine(q.who, action, resource); err != nil {
			return "", nil, err
		}
		return "", nil, noModel()
	case resource.Region != "" && resource.Region != a.region:
		return "", nil, outcrop.Invalid("The provided model identifier is invalid.")
	}
	full := catalog.ARNOf(resource.ID, a.region)
	if err := allow(q.who, action, full); err != nil {
		return "", nil, err
	}
	card = a.card(resource.ID)
	switch {
	case card == nil:
		return "", nil, noModel()
	case !q.who.MayUse(card.ID):
		return "", nil, denied(q.who, action, full)
	}
	return resource.ID, card, nil
}

func noModel() error {
	return &outcrop.Error{Code: outcrop.CodeNotFound, Message: "Could not resolve the foundation model from the provided model identifier."}
}

// card returns the card of a model that was bought, or nil.
func (a *API) card(model string) *outcrop.Card {
	c := a.view().Catalog
	for _, id := range lifecycle.Names(model) {
		if card := c.Lookup(id); card != nil {
			return card
		}
	}
	return nil
}

// sell refuses units of the card that cannot be sold beside what others hold.
// own is the throughput that they are for: what it holds is given back for them.
func (a *API) sell(tx *store.Tx, card *outcrop.Card, units int, own outcrop.ARN) error {
	all, err := allProvisioned(tx, a.region)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(p outcrop.Provisioned) bool { return p.ARN == own })
	largest, ok := a.desk.Sell(card, a.sold(all), units)
	if ok {
		return nil
	}
	return &outcrop.Error{Code: outcrop.CodeQuota, Message: fmt.Sprintf(
		"%d model units of %s are more than the engines can carry beside what is already sold. The largest number that you can have now is %d.",
		units, card.ID, max(largest, 0))}
}

// sold adds up the units that are sold, by the id of the card.
func (a *API) sold(all []outcrop.Provisioned) map[string]int {
	sold := map[string]int{}
	for i := range all {
		p, held := &all[i], map[string]int{}
		for _, model := range []string{p.Model, p.DesiredModel} {
			if card := a.card(model); card != nil {
				held[card.ID] = max(held[card.ID], p.Held(model))
			}
		}
		for id, units := range held {
			sold[id] += units
		}
	}
	return sold
}

// A summary is ProvisionedModelSummary, and with the failure message also
// GetProvisionedModelThroughputResponse.
type summary struct {
	Units           int                       `json:"modelUnits"`
	DesiredUnits    int                       `json:"desiredModelUnits"`
	Name            string                    `json:"provisionedModelName"`
	ARN             string                    `json:"provisionedModelArn"`
	Model           string                    `json:"modelArn"`
	DesiredModel    string                    `json:"desiredModelArn"`
	FoundationModel string                    `json:"foundationModelArn"`
	Status          outcrop.ProvisionedStatus `json:"status"`
	Created         string                    `json:"creationTime"`
	Modified        string                    `json:"lastModifiedTime"`
	Failure         string                    `json:"failureMessage,omitempty"`
	Commitment      outcrop.Commitment        `json:"commitmentDuration,omitempty"`
	Expires         string                    `json:"commitmentExpirationTime,omitempty"`
}

func (a *API) summary(p outcrop.Provisioned) summary {
	model := catalog.ARNOf(p.Model, a.region)
	s := summary{
		Units: p.Units, DesiredUnits: p.DesiredUnits, Name: p.Name, ARN: p.ARN.String(), Status: p.Status,
		Model: model, DesiredModel: catalog.ARNOf(p.DesiredModel, a.region), FoundationModel: model,
		Created: precise(p.Created), Modified: precise(p.Modified), Commitment: p.Commitment,
	}
	if end := a.desk.Terms.End(p, time.Now()); !end.IsZero() {
		s.Expires = precise(end)
	}
	return s
}

// precise returns ISO 8601 with microseconds.
func precise(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (a *API) getProvisioned(q *request) (any, error) {
	var p outcrop.Provisioned
	err := a.desk.Resources.Look(q.ctx, func(tx *store.Tx) (err error) {
		_, p, err = a.named(tx, q, "bedrock:GetProvisionedModelThroughput")
		return err
	})
	if err != nil {
		return nil, err
	}
	s := a.summary(p)
	s.Failure = p.Failure
	return s, nil
}

// named returns the provisioned throughput that the path names by its ARN,
// name or id, if the caller may perform the action on it.
func (a *API) named(tx *store.Tx, q *request, action string) (store.Resource, outcrop.Provisioned, error) {
	name := q.id
	if err := provisionedLabel.CheckValues(map[string][]string{"provisionedModelId": {name}}); err != nil {
		return store.Resource{}, outcrop.Provisioned{}, outcrop.Invalid(err.Error())
	}
	arn, full := outcrop.ParseARN(name)
	if !full {
		arn = a.provisionedARN(q.who, name)
	}
	if err := a.mine(q.who, action, arn); err != nil {
		return store.Resource{}, outcrop.Provisioned{}, err
	}
	r, err := store.Resource{}, store.ErrNoResource
	if !full {
		r, err = tx.FindName(arn, name)
	}
	if errors.Is(err, store.ErrNoResource) {
		r, err = tx.Find(arn)
	}
	if errors.Is(err, store.ErrNoResource) {
		return r, outcrop.Provisioned{}, noProvisioned(name)
	}
	if err != nil {
		return r, outcrop.Provisioned{}, err
	}
	p, err := r.Provisioned()
	return r, p, err
}

func noProvisioned(name string) error {
	return &outcrop.Error{Code: outcrop.CodeNotFound, Message: "Could not find the provisioned model " + name + "."}
}

// updateInput is UpdateProvisionedModelThroughputRequest, and the number of
// units, which AWS's clients send once `outcrop aws-extras` told them of it.
type updateInput struct {
	Name  string `json:"desiredProvisionedModelName"`
	Model string `json:"desiredModelId"`
	Units int    `json:"desiredModelUnits"`
}

func (a *API) updateProvisioned(q *request) (any, error) {
	const action = "bedrock:UpdateProvisionedModelThroughput"
	var in updateInput
	if err := read(updateProvisionedShape, q.body, &in); err != nil {
		return nil, err
	}
	change := lifecycle.Change{Name: in.Name, Units: in.Units}
	if in.Model != "" {
		model, _, err := a.purchasable(q, action, in.Model)
		if err != nil {
			return nil, err
		}
		change.Model = model
	}
	a.settled(q)
	return empty, a.desk.change(q.ctx, func(tx *store.Tx) (effect, error) {
		r, was, err := a.named(tx, q, action)
		if err != nil {
			return effect{}, err
		}
		p, err := lifecycle.Update(was, change, a.desk.Terms, time.Now())
		if err != nil || p == was {
			return effect{none: true}, err
		}
		if err := a.resell(tx, was, p); err != nil {
			return effect{}, err
		}
		e, err := putProvisioned(tx, r, p)
		if errors.Is(err, store.ErrNameTaken) {
			err = nameTaken(p.Name)
		}
		return e, err
	})
}

// resell sells what an update takes more than is held already, or of another
// model.
func (a *API) resell(tx *store.Tx, was, p outcrop.Provisioned) error {
	if p.Status != outcrop.ProvisionedUpdating {
		return nil
	}
	card := a.card(p.DesiredModel)
	switch {
	case card == nil:
		return noModel()
	case card == a.card(was.Model) && p.DesiredUnits <= was.Units:
		return nil
	}
	return a.sell(tx, card, p.DesiredUnits, p.ARN)
}

func (a *API) deleteProvisioned(q *request) (any, error) {
	a.settled(q)
	return empty, a.desk.change(q.ctx, func(tx *store.Tx) (effect, error) {
		r, p, err := a.named(tx, q, "bedrock:DeleteProvisionedModelThroughput")
		if err == nil {
			err = lifecycle.Delete(p, a.desk.Terms, time.Now())
		}
		if err != nil {
			return effect{}, err
		}
		return effect{arn: p.ARN}, tx.Remove(r)
	})
}
