package controlapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
)

// Each case file is a story: requests, one a line, with the body behind the
// target, and between them "as NAME", "sleep DURATION" and remarks. The
// requests run in virtual time that begins at 2000-01-01. "{1}" stands for the
// id of the first resource, "{token}" for the last nextToken.
func TestEachStoryGoesAsItIsTold(t *testing.T) {
	paths, _ := filepath.Glob("testdata/provisioned/*.txtar")
	if len(paths) == 0 {
		t.Fatal("no stories")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := &story{office: openOffice(t, dir, controlapi.Options{}), who: ana}
				defer s.shut()
				for line := range strings.Lines(string(archive.Files[0].Data)) {
					s.line(t, strings.TrimSpace(line))
					synctest.Wait()
				}
				s.checkMemory(t)
				got = s.told.String()
			})
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

type story struct {
	*office
	who   *outcrop.Principal
	ids   []string
	token string
	told  strings.Builder
}

func (s *story) line(t *testing.T, line string) {
	t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "", "#":
	case "as":
		s.who = map[string]*outcrop.Principal{"ana": ana, "bob": bob, "eve": eve}[rest]
	case "sleep":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d)
	default:
		target, body, _ := strings.Cut(rest, " ")
		s.tell(t, line, s.ask(t, s.who, verb, s.filled(target), s.filled(body)))
	}
}

func (s *story) filled(text string) string {
	for i, id := range s.ids {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i+1), id)
	}
	return strings.ReplaceAll(text, "{token}", s.token)
}

var someID = regexp.MustCompile(`:provisioned-model/([a-z0-9]{12})"`)

func (s *story) tell(t *testing.T, line string, a answer) {
	t.Helper()
	if m := someID.FindStringSubmatch(a.text); m != nil && a.status == 201 && !strings.Contains(strings.Join(s.ids, " "), m[1]) {
		s.ids = append(s.ids, m[1])
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(a.text), "", "  "); err != nil {
		t.Fatal(err)
	}
	text := pretty.String()
	if token, ok := a.body["nextToken"].(string); ok {
		s.token = token
		text = strings.ReplaceAll(text, token, "{token}")
	}
	for i, id := range s.ids {
		text = strings.ReplaceAll(text, id, fmt.Sprintf("{%d}", i+1))
	}
	fmt.Fprintf(&s.told, "> %s\n%s\n%s\n\n", line, strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.code)), text)
}
