package controlapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
)

// sdk returns the real SDK against the office, as who.
func (f *office) sdk(t testing.TB, who *outcrop.Principal) *bedrock.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !f.Serve(w, r, body, who, requestID) {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return bedrock.New(bedrock.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("dev", "dev", ""),
	})
}

func TestTheGoSDKManagesProvisionedThroughput(t *testing.T) {
	f, ctx := newOffice(t, controlapi.Options{}), context.Background()
	c := f.sdk(t, ana)
	made, err := c.CreateProvisionedModelThroughput(ctx, &bedrock.CreateProvisionedModelThroughputInput{
		ModelId: aws.String(sonnet), ModelUnits: aws.Int32(2), ProvisionedModelName: aws.String("pt"),
		CommitmentDuration: types.CommitmentDurationSixMonths, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}})
	if err != nil {
		t.Fatal(err)
	}
	arn := made.ProvisionedModelArn
	if p, err := outcrop.ParseARN(*arn); !err {
		t.Fatal(p)
	} else if _, err := f.Wait(ctx, p); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetProvisionedModelThroughput(ctx, &bedrock.GetProvisionedModelThroughputInput{ProvisionedModelId: arn})
	if err != nil || got.Status != types.ProvisionedModelStatusInService || *got.ModelUnits != 2 || *got.DesiredModelUnits != 2 || *got.ModelArn != sonnetARN ||
		got.CommitmentExpirationTime.Before(*got.CreationTime) || got.CreationTime.Nanosecond() == 0 && got.LastModifiedTime.Nanosecond() == 0 {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := c.UpdateProvisionedModelThroughput(ctx, &bedrock.UpdateProvisionedModelThroughputInput{
		ProvisionedModelId: arn, DesiredProvisionedModelName: aws.String("renamed")}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteProvisionedModelThroughput(ctx, &bedrock.DeleteProvisionedModelThroughputInput{ProvisionedModelId: aws.String("renamed")})
	if e := (*types.ConflictException)(nil); !errors.As(err, &e) {
		t.Errorf("delete: %v", err)
	}
	tags, err := c.ListTagsForResource(ctx, &bedrock.ListTagsForResourceInput{ResourceARN: arn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "1" {
		t.Errorf("%+v %v", tags, err)
	}
	if _, err := c.UntagResource(ctx, &bedrock.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"a"}}); err != nil {
		t.Error(err)
	}
	f.buy(t, ana, "another", nil)
	var names []string
	for pages := bedrock.NewListProvisionedModelThroughputsPaginator(c, &bedrock.ListProvisionedModelThroughputsInput{
		MaxResults: aws.Int32(1), SortOrder: types.SortOrderAscending, CreationTimeAfter: aws.Time(got.CreationTime.AddDate(0, 0, -1))}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.ProvisionedModelSummaries {
			names = append(names, *s.ProvisionedModelName)
		}
	}
	if !slices.Equal(names, []string{"renamed", "another"}) {
		t.Errorf("listed %v", names)
	}
}

func TestTheGoSDKKnowsTheRefusals(t *testing.T) {
	f, ctx := newOffice(t, controlapi.Options{}), context.Background()
	arn := f.buy(t, bob, "theirs", nil)
	c := f.sdk(t, ana)
	create := func(units int32, model string) error {
		_, err := c.CreateProvisionedModelThroughput(ctx, &bedrock.CreateProvisionedModelThroughputInput{
			ModelId: aws.String(model), ModelUnits: aws.Int32(units), ProvisionedModelName: aws.String("pt")})
		return err
	}
	if e := (*types.ServiceQuotaExceededException)(nil); !errors.As(create(10, sonnet), &e) {
		t.Error("no ServiceQuotaExceededException")
	}
	if e := (*types.ResourceNotFoundException)(nil); !errors.As(create(1, "some.model-v1:0"), &e) {
		t.Error("no ResourceNotFoundException")
	}
	if e := (*types.ValidationException)(nil); !errors.As(create(0, sonnet), &e) {
		t.Error("no ValidationException")
	}
	_, err := c.GetProvisionedModelThroughput(ctx, &bedrock.GetProvisionedModelThroughputInput{ProvisionedModelId: aws.String(arn)})
	if e := (*types.AccessDeniedException)(nil); !errors.As(err, &e) {
		t.Errorf("no AccessDeniedException: %v", err)
	}
	mine := f.buy(t, ana, "mine", nil)
	tags := make([]types.Tag, 200)
	for i := range tags {
		tags[i] = types.Tag{Key: aws.String(strings.Repeat("k", i%100+1) + string(rune('a'+i/100))), Value: aws.String("")}
	}
	for i, n := range []int{150, 200} {
		_, err = c.TagResource(ctx, &bedrock.TagResourceInput{ResourceARN: aws.String(mine), Tags: tags[i*50 : n]})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.TagResource(ctx, &bedrock.TagResourceInput{ResourceARN: aws.String(mine), Tags: []types.Tag{{Key: aws.String("more"), Value: aws.String("")}}})
	if e := (*types.TooManyTagsException)(nil); !errors.As(err, &e) {
		t.Errorf("no TooManyTagsException: %v", err)
	}
}

func TestWithoutResourcesTheirOperationsAreNotServed(t *testing.T) {
	api := newAPI(smallCatalog())
	for _, line := range []string{"POST " + creating, "GET " + allPT, "GET " + onePT + "a", "POST /tagResource"} {
		method, target, _ := strings.Cut(line, " ")
		if api.Serve(httptest.NewRecorder(), httptest.NewRequest(method, target, nil), nil, ana, requestID) {
			t.Errorf("%s was served", line)
		}
	}
	if err := api.Start(t.Context()); err != nil || api.Provisioned() != nil {
		t.Errorf("start: %v", err)
	}
	if _, ok, err := api.Serving(t.Context(), ana, "a"); ok || err != nil {
		t.Errorf("serving: %v %v", ok, err)
	}
	api.Close()
}

// FuzzProvisioned sends what it likes; the answer is always JSON and never an
// internal error, and memory and disk agree.
func FuzzProvisioned(f *testing.F) {
	paths, _ := filepath.Glob("testdata/provisioned/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(archive.Files[0].Data)) {
			if method, rest, _ := strings.Cut(strings.TrimSpace(line), " "); method == strings.ToUpper(method) && method != "#" {
				target, body, _ := strings.Cut(rest, " ")
				f.Add(method, target, body)
			}
		}
	}
	o := newOffice(f, controlapi.Options{})
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequest(method, "http://h"+target, nil)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		if !o.Serve(w, r, []byte(body), ana, requestID) {
			return
		}
		if w.Code >= 500 || w.Code < 200 || !strings.HasPrefix(w.Body.String(), "{") {
			t.Errorf("%s %s %s: %d %s", method, target, body, w.Code, w.Body)
		}
	})
}
