package outcrop

import "time"

// A ProvisionedStatus says where a provisioned throughput stands, in
// Bedrock's words.
type ProvisionedStatus string

// The statuses. There is none for what is deleted: it is gone.
const (
	ProvisionedCreating  ProvisionedStatus = "Creating"
	ProvisionedInService ProvisionedStatus = "InService"
	ProvisionedUpdating  ProvisionedStatus = "Updating"
	ProvisionedFailed    ProvisionedStatus = "Failed"
)

// A Commitment is the length of the terms for which a provisioned throughput
// is bought, in Bedrock's words; empty means by the hour.
type Commitment string

// The commitments.
const (
	CommitmentOneMonth  Commitment = "OneMonth"
	CommitmentSixMonths Commitment = "SixMonths"
)

// A Provisioned is a provisioned throughput: model units of one model, bought
// by one account. It is a value: whoever changes one changes his own copy.
// Its tags live apart, but for what they set.
type Provisioned struct {
	// ARN holds region, account and id: arn:aws:bedrock:REGION:ACCOUNT:provisioned-model/ID.
	ARN  ARN
	Name string // unique in its account and region
	// Model is the id of the foundation model, as it was bought: with or
	// without a context suffix such as ":48k". DesiredModel is another one
	// only while Updating, or after an update has failed. The same holds for
	// Units and DesiredUnits.
	Model, DesiredModel string
	Units, DesiredUnits int
	Status              ProvisionedStatus
	Commitment          Commitment
	Created, Modified   time.Time
	// Served is when it first came into service; zero if it never did.
	Served time.Time
	// Expires is the end of the first term of the commitment; zero without a
	// commitment, and before it came into service. Later terms follow from it.
	Expires time.Time
	Failure string // why it is Failed; for the owner
	// Spill is where requests over it go that do not say themselves, as its
	// tag says; empty means SpillNone.
	Spill Spill
}

// Serves reports whether calls can run on it: it has been in service once.
// While Updating, and after a failed update, it serves as it did before.
func (p *Provisioned) Serves() bool { return !p.Served.IsZero() }

// Held is what of the model with the card id is sold to the owner: in units,
// and not to be sold to another.
func (p *Provisioned) Held(model string) int {
	held := 0
	if p.Serves() && model == p.Model {
		held = p.Units
	}
	if model == p.DesiredModel && (p.Status == ProvisionedCreating || p.Status == ProvisionedUpdating) {
		held = max(held, p.DesiredUnits)
	}
	return held
}

// A Tag is a key and a value that the owner of a resource put on it.
type Tag struct{ Key, Value string }
