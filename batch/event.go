package batch

import (
	"context"
	"encoding/json"
	"time"

	"github.com/riverqueue/river"

	"github.com/outcrop/outcrop"
)

// An Event tells of a change of a job's status, in the shape in which
// EventBridge delivers it.
type Event struct {
	Version    string      `json:"version"`
	ID         string      `json:"id"` // of this event; the same each time that it is told
	DetailType string      `json:"detail-type"`
	Source     string      `json:"source"`
	Account    string      `json:"account"`
	Time       string      `json:"time"`
	Region     string      `json:"region"`
	Resources  []string    `json:"resources"`
	Detail     EventDetail `json:"detail"`
}

// An EventDetail is what Bedrock says in the event.
type EventDetail struct {
	Version        string            `json:"version"`
	AccountID      string            `json:"accountId"`
	BatchJobName   string            `json:"batchJobName"`
	BatchJobARN    string            `json:"batchJobArn"`
	BatchModelID   string            `json:"batchModelId"`
	Status         outcrop.JobStatus `json:"status"`
	FailureMessage string            `json:"failureMessage"`
	CreationTime   string            `json:"creationTime"`
}

// eventOf is the event of a job that has just come to its status.
func eventOf(j *outcrop.Job) Event {
	return Event{
		Version: "0", ID: j.ARN.ID + "-" + string(j.Status), DetailType: "Batch Inference Job State Change", Source: "aws.bedrock",
		Account: j.ARN.Account, Time: j.Modified.UTC().Format(time.RFC3339), Region: j.ARN.Region, Resources: []string{j.ARN.String()},
		Detail: EventDetail{Version: "0.0", AccountID: j.ARN.Account, BatchJobName: j.Name, BatchJobARN: j.ARN.String(), BatchModelID: j.Model,
			Status: j.Status, FailureMessage: j.Message, CreationTime: j.Submitted.UTC().Format("Jan 2, 2006, 3:04:05 PM")},
	}
}

// eventArgs have an event told.
type eventArgs struct {
	Event json.RawMessage `json:"event"`
}

// Kind implements river.JobArgs.
func (eventArgs) Kind() string { return "batch_event" }

type eventWorker struct {
	river.WorkerDefaults[eventArgs]
	runner *Runner
}

// eventTries is how often an event is told to someone who does not take it;
// with the pauses in between that is about a day.
const eventTries = 3000

// announce queues the event of a job that has just come to its status.
func (r *Runner) announce(t *tx, j *outcrop.Job) error {
	if r.Event == nil {
		return nil
	}
	text, err := json.Marshal(eventOf(j))
	if err != nil {
		return err
	}
	return t.insert(eventArgs{text}, &river.InsertOpts{MaxAttempts: eventTries, Priority: 4})
}

// Work implements river.Worker.
func (w *eventWorker) Work(ctx context.Context, q *river.Job[eventArgs]) error {
	var e Event
	if err := json.Unmarshal(q.Args.Event, &e); err != nil || w.runner.Event == nil {
		return err
	}
	return w.runner.Event(ctx, e)
}

// workers are what River calls.
func (r *Runner) workers() *river.Workers {
	all := river.NewWorkers()
	river.AddWorker(all, &advanceWorker{runner: r})
	river.AddWorker(all, &chunkWorker{runner: r})
	river.AddWorker(all, &eventWorker{runner: r})
	return all
}
