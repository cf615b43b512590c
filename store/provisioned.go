package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
)

// KindProvisioned is the kind of provisioned throughputs.
const KindProvisioned = "provisioned-model"

// provisionedBody is what of a provisioned throughput stands in no column.
type provisionedBody struct {
	Units        int                `json:"units"`
	DesiredUnits int                `json:"desired_units"`
	DesiredModel string             `json:"desired_model"`
	Commitment   outcrop.Commitment `json:"commitment,omitempty"`
	Served       time.Time          `json:"served,omitzero"`
	Expires      time.Time          `json:"expires,omitzero"`
	Failure      string             `json:"failure,omitempty"`
	Spill        outcrop.Spill      `json:"spill,omitempty"`
}

// SetProvisioned makes r hold p. A Resource that was read stays the one that
// it was read from.
func (r *Resource) SetProvisioned(p outcrop.Provisioned) error {
	body, err := json.Marshal(provisionedBody{p.Units, p.DesiredUnits, p.DesiredModel, p.Commitment, p.Served, p.Expires, p.Failure, p.Spill})
	if err != nil {
		return err
	}
	r.ARN, r.Name, r.Status, r.Model = p.ARN, p.Name, string(p.Status), p.Model
	r.Created, r.Modified, r.Body = p.Created, p.Modified, body
	return nil
}

// Provisioned returns the provisioned throughput that r holds.
func (r *Resource) Provisioned() (outcrop.Provisioned, error) {
	var b provisionedBody
	if r.ARN.Type != KindProvisioned {
		return outcrop.Provisioned{}, fmt.Errorf("%s is no provisioned model", r.ARN)
	}
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return outcrop.Provisioned{}, fmt.Errorf("%s: %w", r.ARN, err)
	}
	return outcrop.Provisioned{
		ARN: r.ARN, Name: r.Name, Model: r.Model, DesiredModel: b.DesiredModel, Units: b.Units, DesiredUnits: b.DesiredUnits,
		Status: outcrop.ProvisionedStatus(r.Status), Commitment: b.Commitment, Created: r.Created, Modified: r.Modified,
		Served: b.Served, Expires: b.Expires, Failure: b.Failure, Spill: b.Spill,
	}, nil
}
