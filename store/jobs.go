package store

import (
	"encoding/json"
	"fmt"

	"github.com/outcrop/outcrop"
)

// KindJob is the kind of batch jobs.
const KindJob = "model-invocation-job"

// SetJob makes r hold j. A Resource that was read stays the one that it was
// read from.
func (r *Resource) SetJob(j outcrop.Job) error {
	body, err := json.Marshal(j)
	if err != nil {
		return err
	}
	r.ARN, r.Name, r.Status, r.Model = j.ARN, j.Name, string(j.Status), j.Model
	r.Created, r.Modified, r.Body = j.Submitted, j.Modified, body
	return nil
}

// Job returns the batch job that r holds.
func (r *Resource) Job() (j outcrop.Job, err error) {
	if r.ARN.Type != KindJob {
		return j, fmt.Errorf("%s is no batch job", r.ARN)
	}
	if err := json.Unmarshal(r.Body, &j); err != nil {
		return j, fmt.Errorf("%s: %w", r.ARN, err)
	}
	return j, nil
}
