package batch_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
)

// TestARecordIsTriedThreeTimes where what failed may pass: an answer of the
// third try is an answer like any other, and after a third failure the error
// says how often it was tried. Each try that another one follows is counted,
// and each has an id of its own.
func TestARecordIsTriedThreeTimes(t *testing.T) {
	var mu sync.Mutex
	ids := map[string][]string{} // of the invocations, by input
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		input := string(row.Input)
		ids[input] = append(ids[input], row.ID)
		switch tries := len(ids[input]); {
		case strings.Contains(input, "third") && tries < 3, strings.Contains(input, "never"):
			return nil, outcrop.Receipt{}, &outcrop.Error{Code: outcrop.CodeModelError, Message: "The model failed."}
		case strings.Contains(input, "wrong"):
			return nil, outcrop.Receipt{}, outcrop.Invalid("bad request")
		}
		return echo(ctx, row)
	})
	w.options.Metrics = batch.NewMetrics()
	w.start()
	j := w.run(lines(4) + `{"recordId":"a","modelInput":{"p":"third"}}` + "\n" + `{"recordId":"b","modelInput":{"p":"never"}}` + "\n" +
		`{"recordId":"c","modelInput":{"p":"wrong"}}` + "\n")
	if j.Status != outcrop.JobCompleted || j.Counts != (outcrop.JobCounts{Total: 7, Succeeded: 5, Failed: 2}) || j.Usage.Cost != 5*11 {
		t.Errorf("%s %+v %+v", j.Status, j.Counts, j.Usage)
	}
	text := w.read("out", "results/"+j.ARN.ID+"/a.jsonl.out")
	for _, want := range []string{
		`{"recordId":"a","modelInput":{"p":"third"},"modelOutput":{"echo":{"p":"third"}}}`,
		`{"recordId":"b","modelInput":{"p":"never"},"error":{"errorCode":424,"errorMessage":"The model failed. (3 attempts)"}}`,
		`{"recordId":"c","modelInput":{"p":"wrong"},"error":{"errorCode":400,"errorMessage":"bad request"}}`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the output has no line\n%s\nbut\n%s", want, text)
		}
	}
	const page = `# HELP outcrop_batch_retries_total Attempts at a record that failed and were followed by another one.
# TYPE outcrop_batch_retries_total counter
outcrop_batch_retries_total{model="maker.model-v1:0"} 4
`
	if err := testutil.CollectAndCompare(w.options.Metrics, strings.NewReader(page), "outcrop_batch_retries_total"); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(ids[`{"p":"third"}`], ids[`{"p":"never"}`], ids[`{"p":"wrong"}`]); got != triesOf(j, 4, 3)+" "+triesOf(j, 5, 3)+" "+triesOf(j, 6, 1) {
		t.Errorf("the invocations were %s", got)
	}
}

// triesOf are the ids of the first n tries of a record.
func triesOf(j outcrop.Job, record, n int) string {
	var all []string
	for try := range n {
		all = append(all, fmt.Sprintf("%s-%d-1-%d", j.ARN.ID, record, try+1))
	}
	return fmt.Sprint(all)
}
