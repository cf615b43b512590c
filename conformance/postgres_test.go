package conformance_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/outcroptest/postgres"
)

// onPostgres returns the configuration with its batch jobs in the database.
func onPostgres(t *testing.T, database, configuration string) string {
	t.Helper()
	address := filepath.Join(t.TempDir(), "address")
	writeFile(t, address, database)
	keys := "batch: {database: {file: '" + address + "'}, "
	if strings.Contains(configuration, "batch: {") {
		return strings.Replace(configuration, "batch: {", keys, 1)
	}
	return configuration + keys + "}\n"
}

// TestOnPostgreSQLTheMissionsJobsRun as printed, and every operation does as on
// SQLite.
func TestOnPostgreSQLTheMissionsJobsRun(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	for _, part := range []string{"mission", "oracle"} {
		s := start(t, onPostgres(t, postgres.Start(t), simulator()))
		suite(t, s.environment(t), t.TempDir(), python, script("batch.py"), s.URL, missionFolder(), part)
		s.keepsNoJobs(t)
	}
}

// keepsNoJobs fails the test if the server has a database of jobs of its own.
func (s *server) keepsNoJobs(t *testing.T) {
	t.Helper()
	if found, err := filepath.Glob(filepath.Join(s.Data, "batch.db*")); err != nil || len(found) > 0 {
		t.Errorf("the server keeps %v, %v", found, err)
	}
}

// TestOnPostgreSQLAJobIsExact, and nothing of it is in a file.
func TestOnPostgreSQLAJobIsExact(t *testing.T) {
	t.Parallel()
	file := killedRecords(2000)
	s := start(t, onPostgres(t, postgres.Start(t), strings.Replace(killedConfig(file.tokens), "keys: required", "keys: open", 1)))
	o := anybody("single")
	o.upload(t, s, &file)
	o.submit(t, s, "single")
	o.end(t, s)
	o.exact(t, s, s, &file)
	o.idle(t, s)
	s.keepsNoJobs(t)
}

// sharing is where servers that share their jobs have the files: another
// server's S3. It returns that, and their configuration.
func sharing(t *testing.T, f *killedFile) (store *server, configuration string) {
	t.Helper()
	store = start(t, "keys: open\nlog: {level: warn}\nsim: {speed: 0}\n")
	secret := s3Secret(t, "any-will-do")
	return store, onPostgres(t, postgres.Start(t), slowConfig(f.tokens)) +
		fmt.Sprintf("s3: {endpoint: '%s', access_key: {file: '%s'}, secret_key: {file: '%s'}}\n", store.URL, secret, secret)
}

// TestOnPostgreSQLOneJobOutlivesTwoServers that share it and its files, and are
// killed as often as OUTCROP_KILLS says.
func TestOnPostgreSQLOneJobOutlivesTwoServers(t *testing.T) {
	t.Parallel()
	file := killedRecords(number("OUTCROP_KILL_RECORDS", 4000))
	store, configuration := sharing(t, &file)
	anybody("shared").outlives(t, &file, number("OUTCROP_KILLS", 6), store, launch(t, configuration), launch(t, configuration))
}

// TestOnPostgreSQLAServerGoesOnWithTheJobOfAnother that is stopped before it has
// answered a record, and the one that has taken the job tells how it ended.
func TestOnPostgreSQLAServerGoesOnWithTheJobOfAnother(t *testing.T) {
	t.Parallel()
	file := killedRecords(3000)
	store, configuration := sharing(t, &file)
	speed := func(s string) string { return strings.Replace(configuration, "speed: 8", "speed: "+s, 1) }
	taker, o := launch(t, speed("0.001")), anybody("shared")
	if !taker.ready() {
		t.Fatal(taker.err)
	}
	o.upload(t, store, &file)
	o.submit(t, taker, "handed-over")
	if !eventually(killedPatience, func() bool { return o.state(t, taker).Status == "InProgress" }) {
		t.Fatalf("it does not begin\n%s", tail(taker.err.String()))
	}
	other := start(t, speed("0"))
	taker.stop()
	if !eventually(killedPatience, func() bool { return written(store, []*owner{o}) }) {
		t.Fatalf("nobody goes on with the job\n%s", tail(other.err.String()))
	}
	taker.restart(t)
	if !taker.ready() {
		t.Fatal(taker.err)
	}
	o.end(t, taker)
	o.exact(t, store, taker, &file)
	o.idle(t, other)
	taker.stop()
	taker.checkLog(t)
}
