package main

import (
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
)

func TestTheProgressOfAJobIsOneLineWithRateTimeAndCost(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		job  jobState
		want string
	}{
		{jobState{Status: outcrop.JobValidating}, "Validating"},
		{jobState{Status: outcrop.JobInProgress, TotalRecordCount: 60}, "InProgress [" + strings.Repeat(".", 30) + "] 0/60"},
		{jobState{Status: outcrop.JobInProgress, TotalRecordCount: 60, ProcessedRecordCount: 20, ErrorRecordCount: 3, OutcropCostUsd: "0.0125",
			OutcropRecordsPerSecond: 12.345, OutcropEstimatedEndTime: now.Add(3240 * time.Millisecond)},
			"InProgress [##########" + strings.Repeat(".", 20) + "] 20/60  12.3/s, 3s left  $0.0125  3 failed"},
		{jobState{Status: outcrop.JobCompleted, TotalRecordCount: 3, ProcessedRecordCount: 3}, "Completed [" + strings.Repeat("#", 30) + "] 3/3"},
	} {
		if got := progress(&c.job, now); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
