package controlapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/controlapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

const requestID = "00000000-0000-4000-8000-000000000000"

// smallCatalog holds one model of each sort.
func smallCatalog() *catalog.Catalog {
	return catalog.New([]outcrop.Card{
		{ID: "anthropic.claude-3-haiku-20240307-v1:0", Name: "Claude 3 Haiku", Provider: "Anthropic", Streaming: true,
			Input: []outcrop.Modality{"TEXT", "IMAGE"}, Output: []outcrop.Modality{"TEXT"}, Inference: []string{"ON_DEMAND"},
			Lifecycle: outcrop.Lifecycle{Status: "LEGACY", StartOfLife: time.Date(2024, 3, 7, 0, 0, 0, 0, time.UTC),
				EndOfLife: time.Date(2026, 9, 10, 12, 0, 0, 0, time.FixedZone("", 7200))}},
		{ID: "anthropic.claude-3-haiku-20240307-v1:0:48k", Name: "Claude 3 Haiku", Provider: "Anthropic", Streaming: true,
			Input: []outcrop.Modality{"TEXT"}, Output: []outcrop.Modality{"TEXT"}, Inference: []string{"PROVISIONED"},
			Customizations: []string{"FINE_TUNING"}, Lifecycle: outcrop.Lifecycle{Status: "ACTIVE"}},
		{ID: "mistral.picture-v1:0", Name: "Picture", Provider: "Mistral AI", Input: []outcrop.Modality{"TEXT"},
			Output: []outcrop.Modality{"IMAGE"}, Inference: []string{"ON_DEMAND"}, Lifecycle: outcrop.Lifecycle{Status: "ACTIVE"}},
	})
}

func newAPI(c *catalog.Catalog) *controlapi.API {
	view := controlapi.View{Catalog: c, Simulated: func(id string) bool { return strings.HasPrefix(id, "mistral.") }}
	return controlapi.New(func() controlapi.View { return view }, controlapi.Options{Region: "us-east-1"})
}

// Each case file has the requests' methods and targets, one a line, and what
// came back: status, headers and body. "actions" limits the caller.
func TestEachRequestGetsItsAnswer(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	if len(paths) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p := &outcrop.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:user/ana"}
			last := len(archive.Files) - 1
			for _, f := range archive.Files[:last] {
				if f.Name == "actions" {
					p.Actions = strings.Fields(string(f.Data))
				}
				if f.Name == "models" {
					p.Models = strings.Fields(string(f.Data))
				}
			}
			var got strings.Builder
			for line := range strings.Lines(string(archive.Files[0].Data)) {
				got.WriteString(exchange(t, p, strings.TrimSpace(line)))
			}
			if *update {
				archive.Files[last].Data = []byte(got.String())
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[last].Data), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func exchange(t *testing.T, p *outcrop.Principal, line string) string {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, nil)
	w := httptest.NewRecorder()
	if !newAPI(smallCatalog()).Serve(w, r, nil, p, requestID) {
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s: something was written although the path is not served", line)
		}
		return "> " + line + "\nnot served\n\n"
	}
	names := make([]string, 0, 4)
	for name := range w.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "> %s\n%d\n", line, w.Code)
	for _, name := range names {
		if name != "Content-Length" {
			fmt.Fprintf(&b, "%s: %s\n", name, w.Header().Get(name))
		}
	}
	if length := fmt.Sprint(w.Body.Len()); w.Header().Get("Content-Length") != length {
		t.Errorf("%s: content length %s of %s", line, w.Header().Get("Content-Length"), length)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, w.Body.Bytes(), "", "  "); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return b.String() + indented.String() + "\n\n"
}

func TestNoAnswerHoldsNull(t *testing.T) {
	api := newAPI(catalog.New([]outcrop.Card{{ID: "a.b", Lifecycle: outcrop.Lifecycle{Status: "ACTIVE"}}}))
	for _, target := range []string{"/foundation-models", "/foundation-models?byProvider=none", "/foundation-models/a.b", "/foundation-model-availability/a.b"} {
		w := httptest.NewRecorder()
		if !api.Serve(w, httptest.NewRequest(http.MethodGet, target, nil), nil, &outcrop.Principal{}, requestID) || w.Code != http.StatusOK {
			t.Fatalf("%s: %d", target, w.Code)
		}
		if strings.Contains(w.Body.String(), "null") {
			t.Errorf("%s: %s", target, w.Body)
		}
	}
}

// client returns the real SDK against the API with the built-in catalogue.
func client(t *testing.T, p *outcrop.Principal) *bedrock.Client {
	api := newAPI(catalog.Builtin())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Requestid", requestID)
		if !api.Serve(w, r, nil, p, requestID) {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return bedrock.New(bedrock.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("dev", "dev", ""),
	})
}

func TestTheGoSDKReadsTheAnswers(t *testing.T) {
	c, ctx := client(t, &outcrop.Principal{}), context.Background()
	all, err := c.ListFoundationModels(ctx, &bedrock.ListFoundationModelsInput{})
	if err != nil || len(all.ModelSummaries) != len(catalog.Builtin().Cards()) {
		t.Fatalf("%d models: %v", len(all.ModelSummaries), err)
	}
	for _, m := range all.ModelSummaries {
		for _, name := range []*string{m.ModelId, m.ModelArn} {
			got, err := c.GetFoundationModel(ctx, &bedrock.GetFoundationModelInput{ModelIdentifier: name})
			if err != nil || *got.ModelDetails.ModelId != *m.ModelId || *got.ModelDetails.ModelName != *m.ModelName {
				t.Errorf("%s: %v", *name, err)
			}
		}
	}
	some, err := c.ListFoundationModels(ctx, &bedrock.ListFoundationModelsInput{
		ByProvider: aws.String("AMAZON"), ByInferenceType: types.InferenceTypeProvisioned,
		ByCustomizationType: types.ModelCustomizationDistillation, ByOutputModality: types.ModelModalityText})
	if err != nil || len(some.ModelSummaries) != 6 {
		t.Errorf("%d models: %v", len(some.ModelSummaries), err)
	}
	a, err := c.GetFoundationModelAvailability(ctx, &bedrock.GetFoundationModelAvailabilityInput{ModelId: aws.String("amazon.nova-lite-v1:0")})
	if err != nil || a.AuthorizationStatus != types.AuthorizationStatusAuthorized || a.AgreementAvailability.Status != types.AgreementStatusAvailable ||
		a.EntitlementAvailability != types.EntitlementAvailabilityAvailable || a.RegionAvailability != types.RegionAvailabilityAvailable {
		t.Errorf("%+v: %v", a, err)
	}
}

func TestTheGoSDKReadsTheErrors(t *testing.T) {
	ctx := context.Background()
	get := func(p *outcrop.Principal, id string) error {
		_, err := client(t, p).GetFoundationModel(ctx, &bedrock.GetFoundationModelInput{ModelIdentifier: aws.String(id)})
		return err
	}
	if e := (*types.ResourceNotFoundException)(nil); !errors.As(get(&outcrop.Principal{}, "a.b"), &e) {
		t.Error("no ResourceNotFoundException")
	}
	if e := (*types.ValidationException)(nil); !errors.As(get(&outcrop.Principal{}, "a b"), &e) {
		t.Error("no ValidationException")
	}
	if e := (*types.AccessDeniedException)(nil); !errors.As(get(&outcrop.Principal{Actions: []string{"bedrock:InvokeModel"}}, "a.b"), &e) {
		t.Error("no AccessDeniedException")
	}
}

// No target makes the API panic, answer something that is not JSON, or
// pretend to serve what it does not.
func FuzzServe(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(archive.Files[0].Data)) {
			_, target, _ := strings.Cut(strings.TrimSpace(line), " ")
			f.Add(target)
		}
	}
	api := newAPI(smallCatalog())
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.NewRequest(http.MethodGet, "http://h"+target, nil)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		if !api.Serve(w, r, nil, &outcrop.Principal{}, requestID) {
			if w.Body.Len() > 0 {
				t.Errorf("%q: %s", target, w.Body)
			}
			return
		}
		if !json.Valid(w.Body.Bytes()) || !slices.Contains([]int{200, 400, 404}, w.Code) {
			t.Errorf("%q: %d %s", target, w.Code, w.Body)
		}
	})
}
