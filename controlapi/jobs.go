package controlapi

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/store"
)

// Jobs runs batch jobs. It is safe for concurrent use.
type Jobs interface {
	// Submit takes a job on, once, however often it is called.
	Submit(ctx context.Context, j outcrop.Job) error
	// Stop has the job with the id stop. A refusal is an *outcrop.Error.
	Stop(ctx context.Context, id string) error
	// States returns the jobs with the ids that were submitted, as they are.
	States(ctx context.Context, ids []string) ([]outcrop.Job, error)
}

// A roster knows the jobs that have not ended. What it holds of them follows
// what Jobs says; the store gets every change of a status.
type roster struct {
	mu   sync.Mutex
	live map[string]outcrop.Job // by id, as they are stored
}

// startJobs reads the jobs that have not ended, and submits those that were
// created and not submitted before a crash.
func (a *API) startJobs(ctx context.Context) error {
	if a.jobs == nil {
		return nil
	}
	live := map[string]outcrop.Job{}
	err := a.desk.Resources.Look(ctx, func(tx *store.Tx) error {
		all, err := tx.All(store.KindJob, a.region)
		for i := range all {
			j, err := all[i].Job()
			if err != nil {
				return err
			}
			if !j.Status.Ended() {
				live[j.ARN.ID] = j
			}
		}
		return err
	})
	a.roster.live = live
	if err == nil {
		_, err = a.refresh(ctx)
	}
	return err
}

// refresh asks how the jobs are that have not ended, and stores what has
// changed. It returns those that it asked for, by id.
func (a *API) refresh(ctx context.Context) (map[string]outcrop.Job, error) {
	ctx = context.WithoutCancel(ctx)
	a.roster.mu.Lock()
	defer a.roster.mu.Unlock()
	known, now := a.roster.live, map[string]outcrop.Job{}
	if len(known) == 0 {
		return now, nil
	}
	states, err := a.jobs.States(ctx, slices.Sorted(maps.Keys(known)))
	if err != nil {
		return nil, err
	}
	for _, j := range states {
		now[j.ARN.ID] = j
	}
	for id, j := range known {
		if _, ok := now[id]; ok {
			continue
		}
		if err := a.jobs.Submit(ctx, j); err != nil {
			return nil, err
		}
		now[id] = j
	}
	return now, a.keepJobs(ctx, now)
}

// keepJobs stores the jobs whose status has changed. The caller holds the
// roster.
func (a *API) keepJobs(ctx context.Context, now map[string]outcrop.Job) error {
	var changed []outcrop.Job
	for id, j := range now {
		if j.Status != a.roster.live[id].Status {
			changed = append(changed, j)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := a.desk.change(ctx, func(tx *store.Tx) (effect, error) {
		for _, j := range changed {
			r, err := tx.Find(j.ARN)
			if err == nil {
				err = r.SetJob(j)
			}
			if err == nil {
				err = tx.Put(r)
			}
			if err != nil {
				return effect{}, err
			}
		}
		return effect{none: true}, nil
	}); err != nil {
		return err
	}
	for _, j := range changed {
		a.roster.live[j.ARN.ID] = j
		if j.Status.Ended() {
			delete(a.roster.live, j.ARN.ID)
		}
	}
	return nil
}

// createJobInput is CreateModelInvocationJobRequest.
type createJobInput struct {
	Name   string            `json:"jobName"`
	Role   string            `json:"roleArn"`
	Token  string            `json:"clientRequestToken"`
	Model  string            `json:"modelId"`
	Kind   outcrop.Operation `json:"modelInvocationType"`
	Input  jobInput          `json:"inputDataConfig"`
	Output jobOutput         `json:"outputDataConfig"`
	VPC    *jobVPC           `json:"vpcConfig"`
	Hours  int               `json:"timeoutDurationInHours"`
	Tags   []tag             `json:"tags"`
}

type jobInput struct {
	S3 struct {
		Format string `json:"s3InputFormat,omitempty"`
		URI    string `json:"s3Uri"`
		Owner  string `json:"s3BucketOwner,omitempty"`
	} `json:"s3InputDataConfig"`
}

type jobOutput struct {
	S3 struct {
		URI   string `json:"s3Uri"`
		Key   string `json:"s3EncryptionKeyId,omitempty"`
		Owner string `json:"s3BucketOwner,omitempty"`
	} `json:"s3OutputDataConfig"`
}

type jobVPC struct {
	Subnets        []string `json:"subnetIds"`
	SecurityGroups []string `json:"securityGroupIds"`
}

// job returns the job that the request asks for.
func (in *createJobInput) job(arn outcrop.ARN, model string, who *outcrop.Principal) outcrop.Job {
	j := outcrop.Job{
		ARN: arn, Name: in.Name, Model: model, Caller: *who, Kind: outcrop.OpInvokeModel,
		Input:  outcrop.JobData{URI: in.Input.S3.URI, Owner: in.Input.S3.Owner},
		Output: outcrop.JobData{URI: in.Output.S3.URI, Owner: in.Output.S3.Owner, Key: in.Output.S3.Key},
		Named:  outcrop.JobNamed{Model: in.Model, Role: in.Role, Token: in.Token, Hours: in.Hours},
	}
	if in.Kind != "" {
		j.Kind = in.Kind
	}
	if in.VPC != nil {
		j.Named.Subnets, j.Named.SecurityGroups = in.VPC.Subnets, in.VPC.SecurityGroups
	}
	return lifecycle.SubmitJob(j, time.Now())
}

// parameters returns all but the token, in one form for all orders of tags.
func (in createJobInput) parameters() any {
	in.Token = ""
	in.Tags = slices.SortedFunc(slices.Values(in.Tags), func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return in
}

func (a *API) createJob(q *request) (any, error) {
	var in createJobInput
	if err := read(createJobShape, q.body, &in); err != nil {
		return nil, err
	}
	tags, err := checkTags(in.Tags)
	if err != nil {
		return nil, err
	}
	all := a.jobARN(q.who, "*").String()
	if err := allow(q.who, "bedrock:CreateModelInvocationJob", all); err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := allow(q.who, "bedrock:TagResource", all); err != nil {
			return nil, err
		}
	}
	model, err := a.jobModel(q, in.Model)
	if err != nil {
		return nil, err
	}
	token := a.token(q, "CreateModelInvocationJob", in.Token, in.parameters())
	j := in.job(a.jobARN(q.who, newID()), model, q.who)
	arn, again, err := a.insertJob(q, j, tags, token)
	if err != nil {
		return nil, err
	}
	if !again {
		a.submit(q.ctx, j)
	}
	return map[string]string{"jobArn": arn.String()}, nil
}

// submit has a job that is stored taken on, now or as soon as that succeeds.
func (a *API) submit(ctx context.Context, j outcrop.Job) {
	a.roster.mu.Lock()
	a.roster.live[j.ARN.ID] = j
	a.roster.mu.Unlock()
	if a.jobs.Submit(context.WithoutCancel(ctx), j) == nil {
		return
	}
	a.desk.workers.Go(func() {
		a.desk.insist(func() error { return a.jobs.Submit(a.desk.life, j) })
	})
}

// insertJob stores a new job, or finds the one that the token has made.
func (a *API) insertJob(q *request, j outcrop.Job, tags []outcrop.Tag, token store.Token) (arn outcrop.ARN, again bool, err error) {
	err = a.desk.change(q.ctx, func(tx *store.Tx) (effect, error) {
		arn, again, err = replay(tx, token, j.Submitted)
		if errors.Is(err, store.ErrTokenReused) || errors.Is(err, outcrop.CodeValidation) {
			err = &outcrop.Error{Code: outcrop.CodeConflict, Message: "The client request token was already used with other parameters."}
		}
		if again || err != nil {
			return effect{none: true}, err
		}
		arn = j.ARN
		var r store.Resource
		if err := r.SetJob(j); err != nil {
			return effect{}, err
		}
		err := tx.Insert(r)
		if errors.Is(err, store.ErrNameTaken) {
			err = &outcrop.Error{Code: outcrop.CodeConflict, Message: "The model invocation job name " + j.Name + " is already in use in this account and Region."}
		}
		if err == nil && len(tags) > 0 {
			err = tx.SetTags(j.ARN, tags)
		}
		if err == nil && token.Value != "" {
			err = tx.Remember(token, j.ARN, j.Submitted)
		}
		return effect{none: true}, err
	})
	return arn, again, err
}

// jobModel returns the id of the foundation model that the caller wants
// records answered by, if he may use it.
func (a *API) jobModel(q *request, name string) (string, error) {
	if _, bought := a.desk.held.Load().named(a.provisionedARN(q.who, name)); bought {
		return "", outcrop.Invalid("A model invocation job cannot use provisioned throughput. Name the foundation model of " + name + ".")
	}
	r, err := a.view().Catalog.Resolve(name, a.region, q.who.Account)
	if err != nil {
		return "", err
	}
	full := catalog.ARNOf(r.Card.ID, a.region)
	switch {
	case !q.who.MayUse(r.Card.ID), !q.who.MayDo("bedrock:InvokeModel"):
		return "", denied(q.who, "bedrock:InvokeModel", full)
	case !slices.Contains(r.Card.Output, outcrop.ModalityText):
		return "", outcrop.Invalid("The model " + r.Card.ID + " is not supported for batch inference.")
	}
	return r.Card.ID, nil
}

func (a *API) jobARN(who *outcrop.Principal, id string) outcrop.ARN {
	return outcrop.ARN{Partition: catalog.Partition(a.region), Service: "bedrock", Region: a.region, Account: who.Account, Type: store.KindJob, ID: id}
}

// A jobSummary is ModelInvocationJobSummary, and
// GetModelInvocationJobResponse, which has the same members.
type jobSummary struct {
	ARN       string            `json:"jobArn"`
	Name      string            `json:"jobName"`
	Model     string            `json:"modelId"`
	Token     string            `json:"clientRequestToken,omitempty"`
	Role      string            `json:"roleArn"`
	Status    outcrop.JobStatus `json:"status"`
	Message   string            `json:"message,omitempty"`
	Submitted string            `json:"submitTime"`
	Modified  string            `json:"lastModifiedTime"`
	Ended     string            `json:"endTime,omitempty"`
	Input     jobInput          `json:"inputDataConfig"`
	Output    jobOutput         `json:"outputDataConfig"`
	VPC       *jobVPC           `json:"vpcConfig,omitempty"`
	Hours     int               `json:"timeoutDurationInHours,omitempty"`
	Expires   string            `json:"jobExpirationTime"`
	Kind      outcrop.Operation `json:"modelInvocationType"`
	Total     int64             `json:"totalRecordCount"`
	Processed int64             `json:"processedRecordCount"`
	Succeeded int64             `json:"successRecordCount"`
	Failed    int64             `json:"errorRecordCount"`
	// Cost is what the records that are counted cost, in dollars; absent if
	// that is not known, or not asked for with askCost: Bedrock has no such
	// member.
	Cost string `json:"outcropCostUsd,omitempty"`
	// Rate and Ends are how many records a second were answered of late, and
	// when the last one will be at that rate; absent if that is not known, or
	// not asked for with askPace.
	Rate float64 `json:"outcropRecordsPerSecond,omitempty"`
	Ends string  `json:"outcropEstimatedEndTime,omitempty"`
}

// paced adds how fast the job goes, if that is known.
func (s jobSummary) paced(j outcrop.Job) jobSummary {
	s.Rate = j.Pace.Rate
	if !j.Pace.Ends.IsZero() {
		s.Ends = precise(j.Pace.Ends)
	}
	return s
}

func summaryOf(j outcrop.Job) jobSummary {
	s := jobSummary{
		ARN: j.ARN.String(), Name: j.Name, Model: j.Named.Model, Token: j.Named.Token, Role: j.Named.Role, Status: j.Status, Message: j.Message,
		Submitted: precise(j.Submitted), Modified: precise(j.Modified), Hours: j.Named.Hours, Expires: precise(j.Expires), Kind: j.Kind,
		Total: j.Counts.Total, Processed: j.Counts.Processed(), Succeeded: j.Counts.Succeeded, Failed: j.Counts.Failed,
	}
	if !j.Ended.IsZero() {
		s.Ended = precise(j.Ended)
	}
	s.Input.S3.Format, s.Input.S3.URI, s.Input.S3.Owner = "JSONL", j.Input.URI, j.Input.Owner
	s.Output.S3.URI, s.Output.S3.Key, s.Output.S3.Owner = j.Output.URI, j.Output.Key, j.Output.Owner
	if len(j.Named.Subnets) > 0 {
		s.VPC = &jobVPC{j.Named.Subnets, j.Named.SecurityGroups}
	}
	return s
}

func (a *API) getJob(q *request) (any, error) {
	arn, err := a.jobNamed(q, "bedrock:GetModelInvocationJob")
	if err != nil {
		return nil, err
	}
	live, err := a.refresh(q.ctx)
	if err != nil {
		return nil, err
	}
	var j outcrop.Job
	if err := a.desk.Resources.Look(q.ctx, func(tx *store.Tx) error {
		r, err := tx.Find(arn)
		if errors.Is(err, store.ErrNoResource) {
			return noJob(q.id)
		}
		if err == nil {
			j, err = r.Job()
		}
		return err
	}); err != nil {
		return nil, err
	}
	j = fresh(j, live)
	s := summaryOf(j)
	if u := j.Usage; asks(q, askCost) && u.Total() > 0 && u.Unpriced == 0 {
		s.Cost = u.Cost.String()
	}
	if asks(q, askPace) {
		s = s.paced(j)
	}
	return s, nil
}

// With these in its query, set to true, GetModelInvocationJob tells the cost
// too, and this and ListModelInvocationJobs the pace: Bedrock has no such
// members, and strict clients refuse what they do not know.
const (
	askCost = "outcropCost"
	askPace = "outcropPace"
)

// asks reports whether the query asks for what Bedrock does not tell.
func asks(q *request, what string) bool {
	values, err := url.ParseQuery(q.query)
	return err == nil && values.Get(what) == "true"
}

// fresh returns what is known of j by now.
func fresh(j outcrop.Job, live map[string]outcrop.Job) outcrop.Job {
	if now, ok := live[j.ARN.ID]; ok && !j.Status.Ended() {
		return now
	}
	return j
}

// jobNamed returns the ARN of the job that the path names by its ARN or id, if
// the caller may perform the action on it.
func (a *API) jobNamed(q *request, action string) (outcrop.ARN, error) {
	if err := jobLabel.CheckValues(map[string][]string{"jobIdentifier": {q.id}}); err != nil {
		return outcrop.ARN{}, outcrop.Invalid(err.Error())
	}
	arn, full := outcrop.ParseARN(q.id)
	if !full {
		arn = a.jobARN(q.who, q.id)
	}
	return arn, a.mine(q.who, action, arn)
}

func noJob(name string) error {
	return &outcrop.Error{Code: outcrop.CodeNotFound, Message: "Could not find the model invocation job " + name + "."}
}

func (a *API) stopJob(q *request) (any, error) {
	arn, err := a.jobNamed(q, "bedrock:StopModelInvocationJob")
	if err != nil {
		return nil, err
	}
	if _, err := a.refresh(q.ctx); err != nil { // what was not submitted yet, is
		return nil, err
	}
	err = a.desk.Resources.Look(q.ctx, func(tx *store.Tx) error {
		_, err := tx.Find(arn)
		if errors.Is(err, store.ErrNoResource) {
			err = noJob(q.id)
		}
		return err
	})
	if err == nil {
		err = a.jobs.Stop(context.WithoutCancel(q.ctx), arn.ID)
	}
	return empty, err
}

func (a *API) listJobs(q *request) (any, error) {
	if err := allow(q.who, "bedrock:ListModelInvocationJobs", "*"); err != nil {
		return nil, err
	}
	values, err := readQuery(listJobsShape, q.query)
	if err != nil {
		return nil, err
	}
	f := a.listFilter(a.jobARN(q.who, ""), values)
	f.CreatedAfter, f.CreatedBefore = parseTime(values.Get("submitTimeAfter")), parseTime(values.Get("submitTimeBefore"))
	after, err := parsePageToken(values, f)
	if err != nil {
		return nil, err
	}
	live, err := a.refresh(q.ctx)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Next      string       `json:"nextToken,omitempty"`
		Summaries []jobSummary `json:"invocationJobSummaries"`
	}{Summaries: []jobSummary{}}
	pace := asks(q, askPace)
	err = a.desk.Resources.Look(q.ctx, func(tx *store.Tx) error {
		page, next, err := tx.Page(f, after, maxResults(values))
		for i := range page {
			j, err := page[i].Job()
			if err != nil {
				return err
			}
			j = fresh(j, live)
			s := summaryOf(j)
			if pace {
				s = s.paced(j)
			}
			answer.Summaries = append(answer.Summaries, s)
		}
		answer.Next = pageToken(next, f)
		return err
	})
	return answer, err
}
