package runtimeapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/runtimeapi"
)

const unitARN = "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/pt9k2pt9k2pt"

// onUnit returns a house whose one target is the unit with the ARN, or on
// demand if that is empty.
func onUnit(arn string, model modelFunc, speaks ...outcrop.Dialect) *house {
	return newHouse(oneTarget{&runtimeapi.Target{Card: card(outcrop.DialectNova), Model: model, Counter: counterFunc(countBytes), Speaks: speaks, Unit: arn}}, false)
}

// withMetadata is a Converse body with the entry in its requestMetadata.
func withMetadata(value string) string {
	return strings.TrimSuffix(converseBody, "}") + `,"requestMetadata":{"team":"search","outcrop:spillover":"` + value + `"}}`
}

func TestARequestSaysWhereItSpills(t *testing.T) {
	cases := map[string]struct {
		ops          []outcrop.Operation
		header, body string
		want         outcrop.Spill
	}{
		"nothing":         {invoking, "", "", ""},
		"header":          {invoking, "flex", "", outcrop.SpillFlex},
		"header, off":     {invoking, "none", "", outcrop.SpillNone},
		"metadata":        {conversing, "", withMetadata("priority"), outcrop.SpillPriority},
		"the header wins": {conversing, "none", withMetadata("default"), outcrop.SpillNone},
		"by another name": {conversing, "", strings.Replace(withMetadata("x"), "outcrop:", "outcrop-", 1), ""},
		"in the prompt":   {conversing, "", strings.Replace(converseBody, "Hi", `\"requestMetadata\":{\"outcrop:spillover\":\"flex\"}`, 1), ""},
	}
	for name, c := range cases {
		for _, speaks := range [][]outcrop.Dialect{nil, {outcrop.DialectConverse}} {
			for _, unit := range []string{unitARN, ""} {
				for _, op := range c.ops {
					var seen outcrop.Request
					model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
						seen = *req
						return says(nil, answerTo(req)...)(ctx, req, out)
					}
					call := newCall(op, bodies[op])
					if c.body != "" {
						call.Body = []byte(c.body)
					}
					call.Header.Spillover = c.header
					w, line := onUnit(unit, model, speaks...).serve(t, call)
					if seen.Spill != c.want || seen.Unit != unit || w.status != 200 {
						t.Errorf("%s, %s, %v: spills to %q from %q, status %d", name, op, speaks, seen.Spill, seen.Unit, w.status)
					}
					if recorded, _ := line["unit"].(string); recorded != unit {
						t.Errorf("%s, %s: recorded unit %q", name, op, recorded)
					}
				}
			}
		}
	}
}

// conversing are the operations that have requestMetadata.
var conversing = []outcrop.Operation{outcrop.OpConverse, outcrop.OpConverseStream}

// answerTo is an answer in the form that the request asks for.
func answerTo(req *outcrop.Request) []outcrop.Event {
	if req.Native != nil {
		return nativeChunks(`{"a":1}`, `{"b":2}`)
	}
	return hello()
}

func TestAWrongSpilloverNamesItsMember(t *testing.T) {
	const set = "failed to satisfy constraint: Member must satisfy enum value set: [none, default, priority, flex]"
	for _, speaks := range [][]outcrop.Dialect{nil, {outcrop.DialectConverse}} {
		for _, unit := range []string{unitARN, ""} {
			for _, value := range []string{"Flex", "reserved", "on", " flex"} {
				for _, op := range operations {
					call := newCall(op, bodies[op])
					call.Header.Spillover = value
					refused(t, onUnit(unit, never(t), speaks...), call, 400, "ValidationException",
						"1 validation error detected: Value '"+value+"' at 'X-Outcrop-Spillover' "+set)
				}
			}
			for _, value := range []string{"", "Flex", "reserved"} {
				for _, op := range conversing {
					call := newCall(op, withMetadata(value))
					call.Header.Spillover = "flex" // wins, and excuses nothing
					refused(t, onUnit(unit, never(t), speaks...), call, 400, "ValidationException",
						"1 validation error detected: Value '"+value+"' at 'requestMetadata.outcrop:spillover' "+set)
				}
			}
		}
	}
}

func TestAWrongSpilloverTellsNothingToWhoMayNotCall(t *testing.T) {
	call := newCall(outcrop.OpConverse, converseBody)
	call.Header.Spillover = "wrong"
	call.Principal = &outcrop.Principal{ARN: "arn:aws:iam::111122223333:user/test", Models: []string{"none"}}
	if w, _ := onUnit(unitARN, never(t)).serve(t, call); w.status != 403 {
		t.Errorf("%d %s", w.status, w.body)
	}
}

// spilledTo is the receipt of a request that its unit had no room for.
func spilledTo(class outcrop.Class, tier outcrop.ServiceTier) outcrop.Receipt {
	r := receipt
	r.Spilled, r.Class, r.Tier = true, class, tier
	r.Limit = &outcrop.Limit{Name: "unit-output"}
	return r
}

// served returns a model that answers in the form that is asked for, with the
// receipt.
func served(r outcrop.Receipt) modelFunc {
	return func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		_, err := says(nil, answerTo(req)...)(ctx, req, out)
		return r, err
	}
}

func TestTheAnswerSaysWhereItSpilled(t *testing.T) {
	for class, tier := range map[outcrop.Class]outcrop.ServiceTier{
		outcrop.ClassDefault: outcrop.TierDefault, outcrop.ClassPriority: outcrop.TierPriority, outcrop.ClassFlex: outcrop.TierFlex,
	} {
		for _, speaks := range [][]outcrop.Dialect{nil, {outcrop.DialectConverse}} {
			for _, op := range []outcrop.Operation{outcrop.OpConverse, outcrop.OpInvokeModel} {
				w, line := onUnit(unitARN, served(spilledTo(class, tier)), speaks...).serve(t, newCall(op, bodies[op]))
				if w.fields["X-Outcrop-Spillover"] != class.String() {
					t.Errorf("%s %v: fields %v", op, speaks, w.fields)
				}
				if op == outcrop.OpInvokeModel && w.fields["X-Amzn-Bedrock-Service-Tier"] != string(tier) {
					t.Errorf("%s %v: fields %v", op, speaks, w.fields)
				}
				if line["spilled"] != true || line["class"] != class.String() || line["limit"] != "unit-output" || line["unit"] != unitARN {
					t.Errorf("%s: recorded %v", op, line)
				}
			}
		}
		w, _ := onUnit(unitARN, served(spilledTo(class, tier))).serve(t, newCall(outcrop.OpConverse, converseBody))
		frames, _ := onUnit(unitARN, served(spilledTo(class, tier))).serve(t, newCall(outcrop.OpConverseStream, converseBody))
		all := frames.frames(t)
		for _, told := range [][]byte{w.body, all[len(all)-1][0].Payload} {
			var got struct{ ServiceTier struct{ Type string } }
			if err := json.Unmarshal(told, &got); err != nil || got.ServiceTier.Type != string(tier) {
				t.Errorf("%s: %s %v", class, told, err)
			}
		}
	}
}

func TestAnAnswerWithinItsUnitHasNoSpillover(t *testing.T) {
	r := receipt
	r.Unit, r.Class = unitARN, outcrop.ClassProvisioned
	for _, op := range []outcrop.Operation{outcrop.OpConverse, outcrop.OpInvokeModel} {
		w, line := onUnit(unitARN, served(r)).serve(t, newCall(op, bodies[op]))
		if w.fields["X-Outcrop-Spillover"] != "" || w.fields["X-Amzn-Bedrock-Service-Tier"] != "" || strings.Contains(string(w.body), "serviceTier") {
			t.Errorf("%s: %v %s", op, w.fields, w.body)
		}
		if line["class"] != "provisioned" || line["spilled"] != nil || line["limit"] != nil {
			t.Errorf("%s: recorded %v", op, line)
		}
	}
}

func TestARefusalRecordsTheLimit(t *testing.T) {
	model := func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
		return outcrop.Receipt{Limit: &outcrop.Limit{Name: "unit-input"}}, &outcrop.Error{Code: outcrop.CodeThrottling, Message: "Too many tokens."}
	}
	for _, op := range invoking {
		w, line := onUnit(unitARN, model).serve(t, newCall(op, bodies[op]))
		if w.status != 429 || line["limit"] != "unit-input" || line["unit"] != unitARN || line["class"] != nil || w.fields["X-Outcrop-Spillover"] != "" {
			t.Errorf("%s: %d %v, recorded %v", op, w.status, w.fields, line)
		}
	}
}

// A native stream's header leaves before it is known what served; it holds
// only what is certain by then. Its metrics are those of AWS and no more.
func TestANativeStreamPromisesOnlyWhatIsCertain(t *testing.T) {
	for _, c := range []struct{ unit, asked, want string }{
		{"", "", ""}, {"", "flex", ""}, {"", "reserved", ""}, {"", "default", "default"},
		{unitARN, "", ""}, {unitARN, "default", ""},
	} {
		for _, speaks := range [][]outcrop.Dialect{nil, {outcrop.DialectNova}} {
			synctest.Test(t, func(t *testing.T) {
				call := newCall(outcrop.OpInvokeModelStream, bodies[outcrop.OpInvokeModelStream])
				call.Header.Tier = c.asked
				w, _ := onUnit(c.unit, served(spilledTo(outcrop.ClassDefault, outcrop.TierDefault)), speaks...).serve(t, call)
				want := map[string]string{"X-Amzn-Bedrock-Content-Type": "application/json"}
				if c.want != "" {
					want["X-Amzn-Bedrock-Service-Tier"] = c.want
				}
				if diff := cmp.Diff(want, w.fields); diff != "" {
					t.Errorf("%+v: %s", c, diff)
				}
				const metrics = `"amazon-bedrock-invocationMetrics":{"inputTokenCount":12,"outputTokenCount":5,"invocationLatency":0,"firstByteLatency":20}}`
				if chunks := asLines(w.chunks(t)); !strings.HasSuffix(chunks, metrics) {
					t.Errorf("%+v: %s", c, chunks)
				}
			})
		}
	}
}
