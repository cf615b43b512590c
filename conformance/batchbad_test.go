package conformance_test

import "testing"

func TestBadInputOfBatchJobs(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator()+"batch: {maximum_records: 100}\n")
	suite(t, s.environment(t), t.TempDir(), python, script("batch_bad.py"), "input")
}

// TestALineOf100MBNeedsLittleMemory to be found, wherever it is held.
func TestALineOf100MBNeedsLittleMemory(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator())
	before := s.peakMB(t)
	suite(t, s.environment(t), t.TempDir(), python, script("batch_bad.py"), "line")
	grown := s.peakMB(t) - before
	t.Logf("%d MB", grown)
	if !raceEnabled && grown > 60 {
		t.Errorf("the server grows by %d MB over a line of 100 MB", grown)
	}
}

func TestWhatIsDoneToBatchJobsThatRun(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulatorAt("5"))
	suite(t, s.environment(t), t.TempDir(), python, script("batch_bad.py"), "deeds")
}

func TestBatchJobsOfTwoAccounts(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s, mine := startWithKey(t)
	other := s.addKey(t, "--account", "444455556666")
	s.awaitKey(t, other)
	suite(t, s.environment(t, "AWS_ACCESS_KEY_ID="+mine.ID, "AWS_SECRET_ACCESS_KEY="+mine.Secret), t.TempDir(), python, script("batch_accounts.py"), other.ID, other.Secret)
}
