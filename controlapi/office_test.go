package controlapi_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/store"
)

func TestMain(m *testing.M) {
	if os.Getenv("OUTCROP_TEST_DIR") != "" {
		beVictim()
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	sonnet     = "anthropic.claude-3-sonnet-20240229-v1:0"
	sonnetARN  = "arn:aws:bedrock:us-east-1::foundation-model/" + sonnet
	creating   = "/provisioned-model-throughput"
	onePT      = "/provisioned-model-throughput/"
	allPT      = "/provisioned-model-throughputs"
	haikuShort = "anthropic.claude-3-haiku-20240307-v1:0:48k"
)

// The callers of these tests. Eve may do nothing but look, and that only on
// models of Amazon.
var (
	ana = &outcrop.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:user/ana"}
	bob = &outcrop.Principal{Account: "222222222222", ARN: "arn:aws:iam::222222222222:user/bob"}
	eve = &outcrop.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:user/eve",
		Actions: []string{"bedrock:Get*", "bedrock:List*", "bedrock:CreateProvisionedModelThroughput"}, Models: []string{"amazon.*"}}
)

// An office is a control plane on a store of its own.
type office struct {
	*controlapi.API
	store *store.Store
}

// openOffice opens an office in the folder.
func openOffice(t testing.TB, dir string, o controlapi.Options) *office {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if o.Resources == nil {
		o.Resources = s
	}
	o.Region = "us-east-1"
	view := controlapi.View{Catalog: catalog.Builtin()}
	a := controlapi.New(func() controlapi.View { return view }, o)
	if err := a.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &office{a, s}
}

// newOffice opens an office that closes with the test.
func newOffice(t testing.TB, o controlapi.Options) *office {
	t.Helper()
	f := openOffice(t, t.TempDir(), o)
	t.Cleanup(f.shut)
	return f
}

func (f *office) shut() {
	f.Close()
	_ = f.store.Close()
}

// An answer is what came back.
type answer struct {
	status int
	code   string
	body   map[string]any
	text   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s %s", a.status, a.code, a.text) }

func (a answer) arn() string { s, _ := a.body["provisionedModelArn"].(string); return s }

func (a answer) message() string { s, _ := a.body["message"].(string); return s }

// ask sends a request; body may be a JSON text or anything that makes one.
func (f *office) ask(t testing.TB, who *outcrop.Principal, method, target string, body any) answer {
	t.Helper()
	text, isText := body.(string)
	if !isText && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	w := httptest.NewRecorder()
	if !f.Serve(w, httptest.NewRequest(method, target, nil), []byte(text), who, requestID) {
		return answer{status: 404, code: "not served"}
	}
	a := answer{status: w.Code, code: w.Header().Get("X-Amzn-Errortype"), text: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
		t.Fatalf("%s %s: %v in %s", method, target, err, a.text)
	}
	if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
		t.Errorf("%s %s: headers %v", method, target, w.Header())
	}
	return a
}

// object is a JSON object.
type object map[string]any

// purchase is a request to create; more overrides its members.
func purchase(name string, more object) object {
	p := object{"modelUnits": 1, "provisionedModelName": name, "modelId": sonnet}
	for k, v := range more {
		p[k] = v
	}
	return p
}

// buy creates a provisioned throughput, which must succeed, and returns its
// ARN.
func (f *office) buy(t testing.TB, who *outcrop.Principal, name string, more object) string {
	t.Helper()
	a := f.ask(t, who, "POST", creating, purchase(name, more))
	if a.status != 201 || a.arn() == "" {
		t.Fatalf("create %s: %v", name, a)
	}
	return a.arn()
}

// stored is all that is on the disk, by ARN.
func (f *office) stored(t testing.TB) []outcrop.Provisioned {
	t.Helper()
	var all []outcrop.Provisioned
	err := f.store.Look(context.Background(), func(tx *store.Tx) error {
		found, err := tx.All(store.KindProvisioned, "us-east-1")
		for i := range found {
			p, err := found[i].Provisioned()
			if err != nil {
				return err
			}
			all = append(all, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sortedByARN(all)
}

func sortedByARN(all []outcrop.Provisioned) []outcrop.Provisioned {
	slices.SortFunc(all, func(a, b outcrop.Provisioned) int { return cmp.Compare(a.ARN.String(), b.ARN.String()) })
	return all
}

// checkMemory checks that memory and disk say the same.
func (f *office) checkMemory(t testing.TB) {
	t.Helper()
	if memory, disk := sortedByARN(f.Provisioned()), f.stored(t); !slices.Equal(memory, disk) {
		t.Errorf("in memory %+v\non the disk %+v", memory, disk)
	}
}

func wantCode(t testing.TB, a answer, code outcrop.Code) {
	t.Helper()
	if a.code != string(code) || strings.TrimSpace(a.message()) == "" {
		t.Errorf("got %v, want a %s", a, code)
	}
}
