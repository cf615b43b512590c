// Package lifecycle holds the state machines of control-plane resources as
// pure functions: a resource and the time go in, the changed resource or the
// service's refusal comes out. It does no I/O and knows no clock.
//
// The states of a provisioned throughput:
//
//	Create -> Creating -> Ready  -> InService
//	                   -> Fail   -> Failed (never served; can only be deleted)
//	InService, Failed  -> Update -> Updating -> Updated -> InService
//	                                         -> Fail    -> Failed (serves as before)
//
// Errors are of type *outcrop.Error, ready for the caller.
package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
)

// Create returns a provisioned throughput that waits for its capacity. now is
// truncated to microseconds, as are all times that it will hold.
func Create(arn outcrop.ARN, name, model string, units int, c outcrop.Commitment, now time.Time) outcrop.Provisioned {
	now = moment(now)
	return outcrop.Provisioned{
		ARN: arn, Name: name, Model: model, DesiredModel: model, Units: units, DesiredUnits: units,
		Status: outcrop.ProvisionedCreating, Commitment: c, Created: now, Modified: now,
	}
}

// Pending reports whether a step of p is under way, which ends with Ready,
// Updated or Fail.
func Pending(p outcrop.Provisioned) bool {
	return p.Status == outcrop.ProvisionedCreating || p.Status == outcrop.ProvisionedUpdating
}

// Ready ends the creation of p: it is in service, and its commitment begins.
func Ready(p outcrop.Provisioned, t Terms, now time.Time) (outcrop.Provisioned, error) {
	if p.Status != outcrop.ProvisionedCreating {
		return p, outOfStep(p, "ready")
	}
	p = at(p, now)
	p.Status, p.Served = outcrop.ProvisionedInService, p.Modified
	if term := t.Length(p.Commitment); term > 0 {
		p.Expires = p.Served.Add(term)
	}
	return p, nil
}

// Updated ends an update of p: what was desired is now the case.
func Updated(p outcrop.Provisioned, now time.Time) (outcrop.Provisioned, error) {
	if p.Status != outcrop.ProvisionedUpdating {
		return p, outOfStep(p, "updated")
	}
	p = at(p, now)
	p.Status, p.Model, p.Units = outcrop.ProvisionedInService, p.DesiredModel, p.DesiredUnits
	return p, nil
}

// maxFailure is the longest failureMessage [botocore model].
const maxFailure = 2048

// Fail ends a creation or an update of p that did not succeed. After a failed
// update p serves as it did before; what was desired stays to be seen.
func Fail(p outcrop.Provisioned, why string, now time.Time) (outcrop.Provisioned, error) {
	if !Pending(p) {
		return p, outOfStep(p, "failed")
	}
	p = at(p, now)
	p.Status = outcrop.ProvisionedFailed
	p.Failure = cut(why, maxFailure)
	return p, nil
}

// A Change is what an update asks for; what is empty or 0 stays.
type Change struct {
	Name, Model string
	Units       int
}

// Update begins the change of p. A new name alone takes effect at once. So
// does a change to what p already is: nothing happens then. Whether the name
// is free, the model exists and the units can be sold is not looked at.
func Update(p outcrop.Provisioned, c Change, t Terms, now time.Time) (outcrop.Provisioned, error) {
	if err := mayUpdate(p, c, t, now); err != nil {
		return p, err
	}
	next := p
	if c.Name != "" {
		next.Name = c.Name
	}
	next.DesiredModel, next.DesiredUnits = p.Model, p.Units // what a failed update left over does not count
	if c.Model != "" {
		next.DesiredModel = c.Model
	}
	if c.Units != 0 {
		next.DesiredUnits = c.Units
	}
	resized := next.DesiredModel != p.Model || next.DesiredUnits != p.Units
	if next.Name == p.Name && !resized {
		return p, nil
	}
	next = at(next, now)
	if resized {
		next.Status, next.Failure = outcrop.ProvisionedUpdating, ""
	} else {
		next.DesiredModel, next.DesiredUnits = p.DesiredModel, p.DesiredUnits
	}
	return next, nil
}

func mayUpdate(p outcrop.Provisioned, c Change, t Terms, now time.Time) error {
	resizes := c.Model != "" || c.Units != 0
	switch {
	case Pending(p):
		return outcrop.Invalid("The provisioned model " + p.ARN.String() + " cannot be updated while its status is " + string(p.Status) + ".")
	case c == Change{}:
		return outcrop.Invalid("An update needs at least one of desiredProvisionedModelName, desiredModelId and desiredModelUnits.")
	case resizes && !p.Serves():
		return outcrop.Invalid("The provisioned model " + p.ARN.String() + " could not be created. Delete it and create it again.")
	case c.Model != "" && !sameBase(c.Model, p.Model):
		return outcrop.Invalid("The desired model must be the model " + Base(p.Model) + " of the provisioned model, with or without a context length.")
	case c.Units != 0 && c.Units < p.Units && t.Binding(p, now):
		return outcrop.Invalid(fmt.Sprintf("The %d model units of the provisioned model %s cannot be reduced before the commitment ends at %s.",
			p.Units, p.ARN, stamp(t.End(p, now))))
	}
	return nil
}

// Delete reports whether p may go: nil, or a ConflictException while a step
// is under way or a commitment runs.
func Delete(p outcrop.Provisioned, t Terms, now time.Time) error {
	switch {
	case Pending(p):
		return &outcrop.Error{Code: outcrop.CodeConflict, Message: "The provisioned model " + p.ARN.String() +
			" cannot be deleted while its status is " + string(p.Status) + "."}
	case t.Binding(p, now):
		return &outcrop.Error{Code: outcrop.CodeConflict, Message: "The provisioned model " + p.ARN.String() +
			" cannot be deleted before its commitment ends at " + stamp(t.End(p, now)) + "."}
	}
	return nil
}

// Base returns the id of a model without the context length that a
// contextual variant ends with: "a.b-v1:0" of "a.b-v1:0:48k". Ids with fewer
// than two colons are their own base.
func Base(model string) string {
	base, suffix, found := cutLast(model)
	if !found || !strings.Contains(base, ":") || strings.Trim(strings.TrimSuffix(suffix, "k"), "0123456789") != "" {
		return model
	}
	return base
}

// Names returns the ids under which a catalogue may hold a model, best first:
// its own, and those of its base.
func Names(model string) []string {
	base := Base(model)
	return []string{model, base, strings.TrimSuffix(base, ":0")}
}

// sameBase reports whether both are variants of one model. Some base models
// are called without the ":0" that their variants have.
func sameBase(a, b string) bool {
	return strings.TrimSuffix(Base(a), ":0") == strings.TrimSuffix(Base(b), ":0")
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i == len(s)-1 || s[i+1:] == "k" {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// at returns p as modified at now. A clock that steps back moves nothing back.
func at(p outcrop.Provisioned, now time.Time) outcrop.Provisioned {
	if now = moment(now); now.After(p.Modified) {
		p.Modified = now
	}
	return p
}

func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// outOfStep is a fault of the program, not of a caller.
func outOfStep(p outcrop.Provisioned, event string) error {
	return &outcrop.Error{Code: outcrop.CodeInternal, Message: "The server encountered an internal error. Please retry your request.",
		Cause: fmt.Errorf("provisioned model %s is %s, and was told to be %s", p.ARN, p.Status, event)}
}

func cut(s string, most int) string {
	for i := range s {
		if most == 0 {
			return s[:i]
		}
		most--
	}
	return s
}
