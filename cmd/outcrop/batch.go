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
}

// id is the job's short name.
func (j *jobState) id() string { return j.JobArn[strings.LastIndexByte(j.JobArn, '/')+1:] }

// jobPath is the path of one job.
func jobPath(id string) string { return "/model-invocation-job/" + url.PathEscape(id) }

// costPath is that for what is told of the job, with its cost.
func costPath(id string) string { return jobPath(id) + "?outcropCost=true" }

// job asks for the job with the id or ARN.
func (c *client) job(ctx context.Context, id string) (j jobState, err error) {
	body, err := c.get(ctx, costPath(id))
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
			"processed and total records, records with an error, model, and the time when it was submitted.",
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
		fmt.Fprintf(out, "%-12s  %-24s  %-18s  %-21s  %s\n", "ID", "NAME", "STATUS", "RECORDS", "MODEL")
	}
	query := url.Values{}
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
		fmt.Fprintf(out, "%-12s  %-24s  %-18s  %-21s  %s\n", j.id(), printable(j.JobName), j.Status, records, printable(j.ModelID))
		return
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", j.id(), printable(j.JobName), j.Status, j.ProcessedRecordCount, j.TotalRecordCount,
		j.ErrorRecordCount, printable(j.ModelID), j.SubmitTime.Format(time.RFC3339))
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
				body, err := server.get(c.Context(), costPath(args[0]))
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
