package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
)

// A JobEvent is what happens to a batch job.
type JobEvent string

// The events. What may follow what:
//
//	Submitted  -> JobValidate -> Validating -> JobSchedule -> Scheduled -> JobStart -> InProgress
//	InProgress -> JobComplete -> Completed
//	           -> JobRunOut   -> PartiallyCompleted (its time was over)
//	Submitted, Validating, Scheduled -> JobRunOut -> Expired
//	each of these four -> JobFail -> Failed
//	                   -> JobStop -> Stopping -> JobHalt or JobFail -> Stopped
//
// An event that brings a job to where it is already changes nothing, so that
// work may be done again after a crash.
const (
	JobValidate JobEvent = "validate"
	JobSchedule JobEvent = "schedule"
	JobStart    JobEvent = "start"
	JobComplete JobEvent = "complete"
	JobRunOut   JobEvent = "run out of time"
	JobFail     JobEvent = "fail"
	JobStop     JobEvent = "stop"
	JobHalt     JobEvent = "halt"
)

// jobSteps says where an event leads from where.
var jobSteps = map[JobEvent]map[outcrop.JobStatus]outcrop.JobStatus{
	JobValidate: {outcrop.JobSubmitted: outcrop.JobValidating},
	JobSchedule: {outcrop.JobValidating: outcrop.JobScheduled},
	JobStart:    {outcrop.JobScheduled: outcrop.JobInProgress},
	JobComplete: {outcrop.JobInProgress: outcrop.JobCompleted},
	JobRunOut: {outcrop.JobSubmitted: outcrop.JobExpired, outcrop.JobValidating: outcrop.JobExpired,
		outcrop.JobScheduled: outcrop.JobExpired, outcrop.JobInProgress: outcrop.JobPartiallyCompleted},
	JobFail: {outcrop.JobSubmitted: outcrop.JobFailed, outcrop.JobValidating: outcrop.JobFailed,
		outcrop.JobScheduled: outcrop.JobFailed, outcrop.JobInProgress: outcrop.JobFailed, outcrop.JobStopping: outcrop.JobStopped},
	JobStop: {outcrop.JobSubmitted: outcrop.JobStopping, outcrop.JobValidating: outcrop.JobStopping,
		outcrop.JobScheduled: outcrop.JobStopping, outcrop.JobInProgress: outcrop.JobStopping},
	JobHalt: {outcrop.JobStopping: outcrop.JobStopped},
}

// DefaultJobTime is the timeout of a job that names none [Bedrock user guide].
const DefaultJobTime = 24 * time.Hour

// SubmitJob returns j as a job that waits to be validated. now is truncated to
// microseconds, as are all times that it will hold.
func SubmitJob(j outcrop.Job, now time.Time) outcrop.Job {
	j.Status, j.Message, j.Counts, j.Usage = outcrop.JobSubmitted, "", outcrop.JobCounts{}, outcrop.JobUsage{}
	j.Submitted = moment(now)
	j.Modified, j.Ended = j.Submitted, time.Time{}
	limit := DefaultJobTime
	if j.Named.Hours > 0 {
		limit = time.Duration(j.Named.Hours) * time.Hour
	}
	j.Expires = j.Submitted.Add(limit)
	return j
}

// NextJob returns j after the event. why is told to the owner of a job that
// did not end well. Stopping a job that has ended is a ConflictException; any
// other event that may not happen is a fault of the program.
func NextJob(j outcrop.Job, e JobEvent, why string, now time.Time) (outcrop.Job, error) {
	next, ok := jobSteps[e][j.Status]
	switch {
	case ok:
	case reached(j.Status, e):
		return j, nil
	case e == JobStop:
		return j, &outcrop.Error{Code: outcrop.CodeConflict, Message: "The model invocation job " + j.ARN.String() +
			" cannot be stopped while its status is " + string(j.Status) + "."}
	default:
		return j, &outcrop.Error{Code: outcrop.CodeInternal, Message: "The server encountered an internal error. Please retry your request.",
			Cause: fmt.Errorf("job %s is %s, and was told to %s", j.ARN, j.Status, e)}
	}
	j.Status = next
	if now = moment(now); now.After(j.Modified) {
		j.Modified = now
	}
	if why != "" {
		j.Message = cut(why, maxFailure)
	}
	if next.Ended() {
		j.Ended = j.Modified
	}
	return j, nil
}

// reached reports whether a job is where the event leads.
func reached(s outcrop.JobStatus, e JobEvent) bool {
	if e == JobStop {
		return s == outcrop.JobStopping
	}
	return slices.ContainsFunc(targets(e), func(t outcrop.JobStatus) bool { return t == s })
}

func targets(e JobEvent) (all []outcrop.JobStatus) {
	for _, to := range jobSteps[e] {
		all = append(all, to)
	}
	return all
}
