package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop"
)

func newBatch() *cobra.Command {
	c := &cobra.Command{
		Use: "batch", Short: "Run files of records as batch jobs, and look after them", Args: cobra.NoArgs,
		Example: `  outcrop batch run questions.jsonl --model anthropic.claude-3-haiku-20240307-v1:0
  outcrop batch list
  outcrop batch stop abcdefghij12`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBatchRun(), newBatchList(), newBatchShow(), newBatchStop())
	return c
}

// A jobState is what the server tells of a batch job.
type jobState struct {
	JobArn, JobName, ModelID, Message string
	Status                            outcrop.JobStatus
	SubmitTime, LastModifiedTime      time.Time
	EndTime, JobExpirationTime        time.Time
	ModelInvocationType               string
	TotalRecordCount                  int64
	ProcessedRecordCount              int64
	SuccessRecordCount                int64
	ErrorRecordCount                  int64
	InputDataConfig                   struct{ S3InputDataConfig struct{ S3Uri string } }
	OutputDataConfig                  struct{ S3OutputDataConfig struct{ S3Uri string } }
	OutcropCostUsd                    string
	OutcropRecordsPerSecond           float64
	OutcropEstimatedEndTime           time.Time
}

// id is the job's short name.
func (j *jobState) id() string { return j.JobArn[strings.LastIndexByte(j.JobArn, '/')+1:] }

// jobPath is the path of one job.
func jobPath(id string) string { return "/model-invocation-job/" + url.PathEscape(id) }

// wholePath is that for all that is told of the job, also what Bedrock does
// not tell.
func wholePath(id string) string { return jobPath(id) + "?outcropCost=true&outcropPace=true" }

// pace is how fast the job goes, in words; empty if that is not known.
func (j *jobState) pace(now time.Time) string {
	if j.OutcropRecordsPerSecond <= 0 {
		return ""
	}
	text := fmt.Sprintf("%.3g/s", j.OutcropRecordsPerSecond)
	if end := j.OutcropEstimatedEndTime; !end.IsZero() {
		text += fmt.Sprintf(", %s left", max(end.Sub(now), 0).Round(time.Second))
	}
	return text
}

// job asks for the job with the id or ARN.
func (c *client) job(ctx context.Context, id string) (j jobState, err error) {
	body, err := c.get(ctx, wholePath(id))
	if err == nil {
		err = c.read(body, &j)
	}
	return j, err
}

func (c *client) read(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return failed(fmt.Errorf("%s: %w", c.endpoint, err))
	}
	return nil
}

func newBatchList() *cobra.Command {
	var endpoint, status string
	c := &cobra.Command{
		Use: "list", Short: "List the account's jobs, newest first", Args: cobra.NoArgs,
		Long: "List the account's jobs, newest first. In a pipe each line is one job, with tabs between id, name, status,\n" +
			"processed and total records, records with an error, model, the time when it was submitted, and, where they\n" +
			"are known, how many records a second were answered of late and when it ends at that rate.",
		Example: "  outcrop batch list\n  outcrop batch list --status InProgress",
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := newClient(endpoint)
			if err != nil {
				return err
			}
			return listJobs(c.Context(), server, status, c.OutOrStdout())
		},
	}
	addEndpoint(c, &endpoint)
	c.Flags().StringVar(&status, "status", "", "only jobs with the status, such as InProgress")
	return c
}

// listJobs prints every page of the list.
func listJobs(ctx context.Context, server *client, status string, out io.Writer) error {
	people := isTerminal(out)
	if people {
		fmt.Fprintf(out, "%-12s  %-24s  %-18s  %-21s  %-22s  %s\n", "ID", "NAME", "STATUS", "RECORDS", "PACE", "MODEL")
	}
	query := url.Values{"outcropPace": {"true"}}
	if status != "" {
		query.Set("statusEquals", status)
	}
	for {
		body, err := server.get(ctx, "/model-invocation-jobs?"+query.Encode())
		if err != nil {
			return err
		}
		var page struct {
			NextToken              string
			InvocationJobSummaries []jobState
		}
		if err := server.read(body, &page); err != nil {
			return err
		}
		for i := range page.InvocationJobSummaries {
			printJob(out, &page.InvocationJobSummaries[i], people)
		}
		if page.NextToken == "" {
			return nil
		}
		query.Set("nextToken", page.NextToken)
	}
}

func printJob(out io.Writer, j *jobState, people bool) {
	if people {
		records := fmt.Sprintf("%d/%d", j.ProcessedRecordCount, j.TotalRecordCount)
		if j.ErrorRecordCount > 0 {
			records += fmt.Sprintf(" (%d failed)", j.ErrorRecordCount)
		}
		fmt.Fprintf(out, "%-12s  %-24s  %-18s  %-21s  %-22s  %s\n", j.id(), printable(j.JobName), j.Status, records, j.pace(time.Now()), printable(j.ModelID))
		return
	}
	rate, end := "", ""
	if j.OutcropRecordsPerSecond > 0 {
		rate = fmt.Sprintf("%.3g", j.OutcropRecordsPerSecond)
	}
	if !j.OutcropEstimatedEndTime.IsZero() {
		end = j.OutcropEstimatedEndTime.Format(time.RFC3339)
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", j.id(), printable(j.JobName), j.Status, j.ProcessedRecordCount, j.TotalRecordCount,
		j.ErrorRecordCount, printable(j.ModelID), j.SubmitTime.Format(time.RFC3339), rate, end)
}

func newBatchShow() *cobra.Command {
	var endpoint string
	var asJSON bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show one job", Args: cobra.ExactArgs(1),
		Example: "  outcrop batch show abcdefghij12",
		RunE: func(c *cobra.Command, args []string) error {
			server, err := newClient(endpoint)
			if err != nil {
				return err
			}
			if asJSON {
				body, err := server.get(c.Context(), wholePath(args[0]))
				if err == nil {
					_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", body)
				}
				return err
			}
			j, err := server.job(c.Context(), args[0])
			if err == nil {
				showJob(c.OutOrStdout(), &j)
			}
			return err
		},
	}
	addEndpoint(c, &endpoint)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// showJob prints what is known of the job, one thing a line.
func showJob(out io.Writer, j *jobState) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-10s %s\n", name, printable(value))
		}
	}
	line("id", j.id())
	line("name", j.JobName)
	line("status", string(j.Status))
	line("message", j.Message)
	line("model", j.ModelID)
	line("kind", j.ModelInvocationType)
	line("records", fmt.Sprintf("%d of %d, %d answered, %d failed", j.ProcessedRecordCount, j.TotalRecordCount, j.SuccessRecordCount, j.ErrorRecordCount))
	if j.OutcropCostUsd != "" {
		line("cost", "$"+j.OutcropCostUsd)
	}
	line("pace", j.pace(time.Now()))
	line("input", j.InputDataConfig.S3InputDataConfig.S3Uri)
	line("output", strings.TrimRight(j.OutputDataConfig.S3OutputDataConfig.S3Uri, "/")+"/"+j.id()+"/")
	line("submitted", j.SubmitTime.Format(time.RFC3339))
	if !j.EndTime.IsZero() {
		line("ended", j.EndTime.Format(time.RFC3339))
		return
	}
	line("expires", j.JobExpirationTime.Format(time.RFC3339))
}

func newBatchStop() *cobra.Command {
	var endpoint string
	c := &cobra.Command{
		Use: "stop ID", Short: "Stop a job; what is done is kept", Args: cobra.ExactArgs(1),
		Example: "  outcrop batch stop abcdefghij12",
		RunE: func(c *cobra.Command, args []string) error {
			server, err := newClient(endpoint)
			if err == nil {
				_, err = server.ask(c.Context(), "POST", jobPath(args[0])+"/stop", nil)
			}
			return err
		},
	}
	addEndpoint(c, &endpoint)
	return c
}
