package catalog_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	region  = "us-east-1"
	account = "111111111111"
)

// Each case file lists names as callers write them; want tells what each one
// stands for.
func TestNamesResolveAsTheServiceDoes(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	if len(paths) == 0 {
		t.Fatal("no cases")
	}
	c := catalog.Builtin().Merge([]outcrop.Card{{ID: "acme.support-v1:0"}, {ID: "plain_name"}})
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for name := range strings.Lines(string(archive.Files[0].Data)) {
				name = strings.TrimSuffix(name, "\n")
				r, err := c.Resolve(name, region, account)
				fmt.Fprintf(&got, "%s\n\t%s\n", name, outcome(r, err))
			}
			if *update {
				archive.Files[1].Data = []byte(got.String())
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func outcome(r catalog.Resolution, err error) string {
	var e *outcrop.Error
	switch {
	case errors.As(err, &e):
		return string(e.Code) + ": " + e.Message
	case err != nil:
		return "unexpected: " + err.Error()
	case r.Kind == catalog.Profile:
		return r.Card.ID + " by profile " + r.Profile
	}
	return r.Card.ID
}

func TestEveryCardIsWhole(t *testing.T) {
	c := catalog.Builtin()
	if len(c.Cards()) < 50 {
		t.Errorf("%d cards", len(c.Cards()))
	}
	for _, card := range c.Cards() {
		if !outcrop.ValidModelID(card.ID) || card.Name == "" || card.Provider == "" || card.Provider == "Custom" ||
			card.Dialect.String() == "" || len(card.Input) == 0 || len(card.Output) == 0 || len(card.Inference) == 0 ||
			card.Lifecycle.Status == "" || card.MaxOutput <= 0 || card.Context < card.MaxOutput {
			t.Errorf("%+v", card)
		}
		provisioned := slices.Contains(card.Inference, catalog.Provisioned)
		if variant := strings.HasSuffix(card.ID, "k"); variant != provisioned {
			t.Errorf("%s: provisioned is %v", card.ID, provisioned)
		}
		if c.Lookup(card.ID) != card {
			t.Errorf("%s is not found by its id", card.ID)
		}
	}
	if !slices.IsSortedFunc(c.Cards(), func(a, b *outcrop.Card) int {
		return strings.Compare(a.Provider+"\x00"+a.ID, b.Provider+"\x00"+b.ID)
	}) {
		t.Error("the cards are not in order")
	}
}

// The ids that the mission's examples name must work exactly as they stand.
func TestTheModelsOfTheExamplesRunOnDemand(t *testing.T) {
	c := catalog.Builtin()
	for _, id := range []string{
		"anthropic.claude-3-sonnet-20240229-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-opus-20240229-v1:0",
		"amazon.titan-text-express-v1", "amazon.titan-text-lite-v1", "meta.llama3-1-8b-instruct-v1:0", "amazon.nova-lite-v1:0",
	} {
		if r, err := c.Resolve(id, region, account); err != nil || r.Card.ID != id || r.Kind != catalog.Foundation {
			t.Errorf("%s: %+v, %v", id, r, err)
		}
	}
}

func TestEachModelRunsOnDemandOrByProfileOrNotAtAll(t *testing.T) {
	c := catalog.Builtin()
	for _, card := range c.Cards() {
		_, plain := c.Resolve(card.ID, region, account)
		_, arn := c.Resolve(catalog.ARNOf(card.ID, region), region, account)
		_, profile := c.Resolve("us."+card.ID, region, account)
		onDemand := slices.Contains(card.Inference, catalog.OnDemand)
		if (plain == nil) != onDemand || (arn == nil) != onDemand {
			t.Errorf("%s: plain %v, ARN %v, on demand %v", card.ID, plain, arn, onDemand)
		}
		if provisioned := slices.Contains(card.Inference, catalog.Provisioned); (profile == nil) == provisioned {
			t.Errorf("us.%s: %v", card.ID, profile)
		}
	}
}

func TestMergedCardsAreCompletedAndRunOnDemand(t *testing.T) {
	c := catalog.New(nil).Merge([]outcrop.Card{
		{ID: "anthropic.claude-sonnet-4-5-20250929-v1:0", Name: "Ours", Context: 4_000},
		{ID: "mistral.new-v1:0"},
		{ID: "acme.support-v1:0", Input: []outcrop.Modality{outcrop.ModalityText, outcrop.ModalityImage}, Dialect: outcrop.DialectAnthropic},
		{ID: "local"},
	})
	if len(c.Cards()) != 4 {
		t.Errorf("%d cards, want those of the file alone", len(c.Cards()))
	}
	sonnet := c.Lookup("anthropic.claude-sonnet-4-5-20250929-v1:0")
	if sonnet.Name != "Ours" || sonnet.Context != 4_000 || sonnet.MaxOutput != 4_000 || sonnet.Provider != "Anthropic" ||
		!sonnet.Accepts(outcrop.ModalityImage) || !slices.Contains(sonnet.Inference, catalog.InferenceProfile) {
		t.Errorf("%+v", sonnet)
	}
	if m := c.Lookup("mistral.new-v1:0"); m.Dialect != outcrop.DialectMistral || m.Provider != "Mistral AI" || m.MaxOutput != 0 || !m.Streaming {
		t.Errorf("%+v", m)
	}
	if a := c.Lookup("acme.support-v1:0"); a.Provider != "acme" || a.Name != "support-v1:0" || !a.Accepts(outcrop.ModalityImage) {
		t.Errorf("%+v", a)
	}
	for _, card := range c.Cards() {
		if _, err := c.Resolve(card.ID, region, account); err != nil {
			t.Errorf("%s: %v", card.ID, err)
		}
	}
	if b := catalog.Builtin().Lookup("anthropic.claude-sonnet-4-5-20250929-v1:0"); slices.Contains(b.Inference, catalog.OnDemand) || b.Name == "Ours" {
		t.Error("merging changed the built-in card")
	}
}

func TestThePartitionFollowsTheRegion(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "arn:aws:bedrock:us-east-1::foundation-model/a.b", "us-gov-west-1": "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/a.b",
		"cn-north-1": "arn:aws-cn:bedrock:cn-north-1::foundation-model/a.b",
	} {
		if got := catalog.ARNOf("a.b", region); got != want {
			t.Errorf("%s: %s", region, got)
		}
	}
}

func TestResolvingAnIDDoesNotAllocate(t *testing.T) {
	c := catalog.Builtin()
	for _, id := range []string{"amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = c.Resolve(id, region, account) }); n != 0 {
			t.Errorf("%s: %v allocations", id, n)
		}
	}
}

// No name makes Resolve panic, answer without a card, or fail without an
// error that the caller may see.
func FuzzResolve(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for name := range strings.Lines(string(archive.Files[0].Data)) {
			f.Add(strings.TrimSuffix(name, "\n"))
		}
	}
	c := catalog.Builtin()
	f.Fuzz(func(t *testing.T, name string) {
		r, err := c.Resolve(name, region, account)
		var e *outcrop.Error
		switch {
		case err == nil:
			if r.Card == nil || !outcrop.ValidModelID(name) || !strings.Contains(name, r.Card.ID) {
				t.Errorf("%q is %+v", name, r)
			}
		case !errors.As(err, &e) || e.Message == "" || len(e.Message) > 4096 || e.Code != outcrop.CodeValidation && e.Code != outcrop.CodeNotFound:
			t.Errorf("%q: %v", name, err)
		}
	})
}
