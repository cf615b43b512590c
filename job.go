package outcrop

import "time"

// A JobStatus says where a batch job stands, in Bedrock's words.
type JobStatus string

// The statuses. A job that has Ended stays as it is.
const (
	JobSubmitted          JobStatus = "Submitted"
	JobValidating         JobStatus = "Validating"
	JobScheduled          JobStatus = "Scheduled"
	JobInProgress         JobStatus = "InProgress"
	JobStopping           JobStatus = "Stopping"
	JobCompleted          JobStatus = "Completed"
	JobPartiallyCompleted JobStatus = "PartiallyCompleted"
	JobFailed             JobStatus = "Failed"
	JobStopped            JobStatus = "Stopped"
	JobExpired            JobStatus = "Expired"
)

// Ended reports whether the status is the last one of its job.
func (s JobStatus) Ended() bool {
	switch s {
	case JobCompleted, JobPartiallyCompleted, JobFailed, JobStopped, JobExpired:
		return true
	}
	return false
}

// A Job is a batch job: the records of one or more files, each of them an
// invocation of one model. It is a value: whoever changes one changes his own
// copy. Its tags live apart.
type Job struct {
	// ARN holds region, account and id: arn:aws:bedrock:REGION:ACCOUNT:model-invocation-job/ID.
	ARN   ARN
	Name  string // unique in its account and region
	Model string // id of the foundation model
	// Caller is who made the job; its records run as his.
	Caller Principal
	// Kind is what the records are bodies of: OpInvokeModel or OpConverse.
	Kind          Operation
	Input, Output JobData
	// Named are the members that are kept to be told again, and decide
	// nothing.
	Named JobNamed

	Status  JobStatus
	Message string // why it failed, or did not end well; for the owner
	// Submitted, Modified and Ended are in microseconds; Ended is zero as long
	// as the job has not.
	Submitted, Modified, Ended time.Time
	// Expires is when a job that has not ended by then is cut off.
	Expires time.Time
	Counts  JobCounts
	Usage   JobUsage
	// Pace is how fast it goes at the moment when it was asked for; it is
	// stored nowhere.
	Pace JobPace `json:"-"`
}

// A JobPace is how fast a job goes.
type JobPace struct {
	Rate float64   // records a second of late; 0 if that is not known
	Ends time.Time // when the last record is done at that rate; zero if that is not known
}

// JobData says where records are read from or written to.
type JobData struct {
	URI   string // s3://bucket/key, a file or what keys begin with
	Owner string // account that the bucket is expected to belong to; may be empty
	Key   string // KMS key id, of output alone; may be empty
}

// JobNamed holds members of a job that have no effect here.
type JobNamed struct {
	Model          string // as the caller named the model
	Role           string
	Token          string // clientRequestToken
	Subnets        []string
	SecurityGroups []string
	Hours          int // timeoutDurationInHours as the caller gave it; 0 if he gave none
}

// JobCounts counts the records of a job. Each is counted once.
type JobCounts struct {
	Total     int64 // known once the job is Scheduled
	Succeeded int64
	Failed    int64
}

// Processed is how many records have an answer or an error.
func (c JobCounts) Processed() int64 { return c.Succeeded + c.Failed }

// A JobUsage adds up what a job's records used: tokens, by kind as in Usage, and
// what they cost.
type JobUsage struct {
	Input, Output, CacheRead, CacheWrite int64
	Cost                                 NanoDollars
	Unpriced                             int64 // tokens whose price is not known, and which Cost leaves out
}

// JobUsageOf returns what one invocation used.
func JobUsageOf(r *Receipt) JobUsage {
	v := r.Usage
	u := JobUsage{Input: int64(v.Input), Output: int64(v.Output), CacheRead: int64(v.CacheRead), CacheWrite: int64(v.CacheWrite), Cost: r.Cost}
	if !r.Priced {
		u.Cost, u.Unpriced = 0, u.Total()
	}
	return u
}

// Plus returns the sum of u and v.
func (u JobUsage) Plus(v JobUsage) JobUsage {
	return JobUsage{u.Input + v.Input, u.Output + v.Output, u.CacheRead + v.CacheRead, u.CacheWrite + v.CacheWrite, u.Cost + v.Cost, u.Unpriced + v.Unpriced}
}

// Total is the sum of all tokens.
func (u JobUsage) Total() int64 { return u.Input + u.Output + u.CacheRead + u.CacheWrite }
