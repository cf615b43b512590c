package controlapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/store"
)

// bornWith are the tags that a victim creates with.
var bornWith = []object{{"key": "a", "value": "1"}, {"key": "outcrop:spillover", "value": "priority"}}

// A step is one request in the life of a victim.
type step struct {
	name, method, target string
	body                 object
}

func victimsLife() []step {
	return []step{
		{"create", "POST", creating, purchase("pt", object{"clientRequestToken": "one", "tags": bornWith})},
		{"update", "PATCH", onePT + "pt", object{"desiredModelUnits": 3, "desiredProvisionedModelName": "renamed"}},
		{"tag", "POST", "/tagResource", nil}, // with the ARN
		{"delete", "DELETE", onePT + "renamed", nil},
	}
}

// beVictim is the process that is killed: it goes through a life and stops for
// a line of input at each point where it may be killed.
func beVictim() {
	lines := bufio.NewScanner(os.Stdin)
	var one sync.Mutex // steps and requests run side by side
	at := func(where string) {
		one.Lock()
		defer one.Unlock()
		fmt.Println("at", where)
		lines.Scan()
	}
	s, err := store.Open(context.Background(), store.Options{Dir: os.Getenv("OUTCROP_TEST_DIR")})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	view := controlapi.View{Catalog: catalog.Builtin()}
	a := controlapi.New(func() controlapi.View { return view }, controlapi.Options{Region: "us-east-1", Resources: &stopping{s, at},
		Provision: func(context.Context, outcrop.Provisioned) error { at("provisioning"); return nil }})
	if err := a.Start(context.Background()); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	arn := ""
	for _, step := range victimsLife() {
		if step.name == "tag" {
			step.body = object{"resourceARN": arn, "tags": []object{{"key": "b", "value": "2"}, {"key": "outcrop:spillover", "value": "flex"}}}
		}
		body, _ := json.Marshal(step.body)
		w := httptest.NewRecorder()
		a.Serve(w, httptest.NewRequest(step.method, step.target, nil), body, ana, requestID)
		fmt.Println("done", step.name, w.Code, strings.TrimSpace(w.Body.String()))
		if step.name == "create" {
			var out map[string]string
			_ = json.Unmarshal(w.Body.Bytes(), &out)
			arn = out["provisionedModelArn"]
		}
		if p, ok := outcrop.ParseARN(arn); ok {
			_, _ = a.Wait(context.Background(), p) // in order, so that each run is alike
		}
	}
	a.Close()
	fmt.Println("end")
}

// stopping are resources that stop before and after each change, and between
// its work and its commit.
type stopping struct {
	controlapi.Resources
	at func(string)
}

func (s *stopping) Change(ctx context.Context, f func(*store.Tx) error) error {
	s.at("before the change")
	err := s.Resources.Change(ctx, func(tx *store.Tx) error {
		err := f(tx)
		s.at("before the commit")
		return err
	})
	s.at("after the commit")
	return err
}

// TestKilledAnywhereNothingIsHalfDone kills a process with signal 9 at each of
// the points of its life, and goes on with that life in another one.
func TestKilledAnywhereNothingIsHalfDone(t *testing.T) {
	points, _ := killAt(t, 1<<30)
	if points < 18 {
		t.Fatalf("only %d points", points)
	}
	t.Run("point", func(t *testing.T) {
		for n := range points {
			t.Run(fmt.Sprint(n+1), func(t *testing.T) { killAt(t, n+1) })
		}
	})
}

// killAt kills a victim at its n-th point, checks what it left, and lives its
// life to the end. It returns the number of points that it saw.
func killAt(t *testing.T, n int) (points int, done []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "OUTCROP_TEST_DIR="+dir)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "at":
			if points++; points == n {
				_ = c.Process.Kill()
				continue
			}
			_, _ = io.WriteString(in, "\n")
		case "done":
			done = append(done, rest)
		case "error":
			t.Fatal(rest)
		}
	}
	_ = c.Wait()
	checkLeft(t, dir, done)
	return points, done
}

// checkLeft checks that all that was answered is there, that nothing is half
// done, and that the same requests now lead to the same end.
func checkLeft(t *testing.T, dir string, done []string) {
	t.Helper()
	answered := strings.Join(done, "; ")
	f := openOffice(t, dir, controlapi.Options{})
	defer f.shut()
	left := f.stored(t)
	switch {
	case len(left) > 1:
		t.Fatalf("%d of them", len(left))
	case len(left) == 0 && strings.Contains(answered, "create 201") && len(done) < 3:
		t.Fatalf("lost what was created: %s", answered)
	case len(left) == 1 && strings.Contains(answered, "delete 200"):
		t.Fatal("what was deleted is there")
	}
	arn := f.buy(t, ana, "pt", object{"clientRequestToken": "one", "tags": bornWith})
	if len(left) == 1 && left[0].ARN.String() != arn || len(left) == 0 && len(done) > 0 && !strings.Contains(answered, arn) {
		t.Errorf("the same token made another one: %s, left %v, answered %s", arn, left, answered)
	}
	if a := f.ask(t, ana, "GET", onePT+strings.ReplaceAll(arn, "/", "%2F"), nil); a.status == 404 {
		if len(left) > 0 || len(done) < 3 {
			t.Errorf("gone too early, after %s", answered)
		}
		return
	}
	p, ok, err := f.Serving(t.Context(), ana, arn)
	if !ok || err != nil {
		t.Fatalf("does not serve: %v", err)
	}
	tags := f.ask(t, ana, "POST", "/listTagsForResource", object{"resourceARN": arn}).text
	if !strings.Contains(tags, `"a"`) || strings.Contains(answered, "tag 200") && !strings.Contains(tags, `"b"`) {
		t.Errorf("tags %s after %s", tags, answered)
	}
	want := outcrop.SpillPriority
	if strings.Contains(tags, `"b"`) {
		want = outcrop.SpillFlex
	}
	if u, _ := f.Unit(arn); p.Spill != want || u.Spill != want || !strings.Contains(tags, `"`+string(want)+`"`) {
		t.Errorf("spills to %q, in memory to %q, with the tags %s", p.Spill, u.Spill, tags)
	}
	if strings.Contains(answered, "update 200") && (p.Name != "renamed" || p.DesiredUnits != 3) {
		t.Errorf("update lost: %+v after %s", p, answered)
	}
	if a := f.ask(t, ana, "PATCH", onePT+p.Name, object{"desiredModelUnits": 3, "desiredProvisionedModelName": "renamed"}); a.status != 200 {
		t.Errorf("update: %v", a)
	}
	if a := f.ask(t, ana, "DELETE", onePT+"renamed", nil); a.status != 200 { // waits for the step of the update
		t.Errorf("delete: %v", a)
	}
	if left := f.stored(t); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}
