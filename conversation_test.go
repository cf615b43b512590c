package outcrop_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
)

func TestRolesInBedrocksWords(t *testing.T) {
	if outcrop.RoleUser.String() != "user" || outcrop.RoleAssistant.String() != "assistant" {
		t.Errorf("%s and %s", outcrop.RoleUser, outcrop.RoleAssistant)
	}
}

func TestAnswerCollectsBlocksInOrder(t *testing.T) {
	answer := collect(t,
		outcrop.Event{Kind: outcrop.EventStart},
		outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockReasoning},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockReasoning, Text: outcrop.Text("hm")},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockReasoning, Text: outcrop.Text("m")},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockSignature, Text: outcrop.Text("c2ln")},
		outcrop.Event{Kind: outcrop.EventBlockStop},
		outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockText, Index: 1},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Index: 1, Text: outcrop.Text(`a\n`)},
		outcrop.Event{Kind: outcrop.EventFlush},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Index: 1, Text: outcrop.Text("b")},
		outcrop.Event{Kind: outcrop.EventBlockStop, Index: 1},
		outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockReasoning, Index: 2},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockRedacted, Index: 2, Text: outcrop.Text("AAEC")},
		outcrop.Event{Kind: outcrop.EventBlockStop, Index: 2},
		outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockToolUse, Index: 3, Detail: &outcrop.Detail{ID: outcrop.Text("t1"), Name: outcrop.Text("clock")}},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Index: 3, Text: outcrop.Text(`{\"zone\":`)},
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Index: 3, Text: outcrop.Text(`\"a\\nb\"}`)},
		outcrop.Event{Kind: outcrop.EventBlockStop, Index: 3},
		outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopSequence, StopSequence: outcrop.Text("END"), Extra: outcrop.JSON(`{"a":1}`)}},
		outcrop.Event{Kind: outcrop.EventFlush},
	)
	want := outcrop.Answer{
		Content: []outcrop.Block{
			{Kind: outcrop.BlockReasoning, Text: outcrop.Text("hmm"), Signature: outcrop.Text("c2ln")},
			{Kind: outcrop.BlockText, Text: outcrop.Text(`a\nb`)},
			{Kind: outcrop.BlockRedacted, Text: outcrop.Text("AAEC")},
			{Kind: outcrop.BlockToolUse, Use: &outcrop.ToolUse{ID: outcrop.Text("t1"), Name: outcrop.Text("clock"), Input: outcrop.JSON(`{"zone":"a\nb"}`)}},
		},
		Stop: outcrop.StopSequence, StopSequence: outcrop.Text("END"), Extra: outcrop.JSON(`{"a":1}`),
	}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Error(diff)
	}
}

func TestToolInputIsAlwaysAJSONValue(t *testing.T) {
	for fragment, want := range map[string]string{
		"": "{}", `{\"a\":`: "{}", "nonsense": "{}", "17": "17", `{\"a\":\"\\ud83d\\ude42\"}`: `{"a":"\ud83d\ude42"}`,
	} {
		answer := collect(t,
			outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockToolUse, Detail: &outcrop.Detail{ID: outcrop.Text("t"), Name: outcrop.Text("n")}},
			outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Text: outcrop.Text(fragment)},
			outcrop.Event{Kind: outcrop.EventBlockStop})
		if got := string(answer.Content[0].Use.Input); got != want {
			t.Errorf("%s became %s", fragment, got)
		}
	}
}

func TestAnswerOutlivesTheBytesOfItsEvents(t *testing.T) {
	buffer := []byte("secret-id secret-name secret-text secret-stop {\"x\":1}")
	var answer outcrop.Answer
	send := func(e outcrop.Event) {
		if err := answer.Send(e); err != nil {
			t.Fatal(err)
		}
	}
	send(outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockToolUse, Detail: &outcrop.Detail{ID: buffer[0:9], Name: buffer[10:21]}})
	send(outcrop.Event{Kind: outcrop.EventBlockStop})
	send(outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockText, Index: 1})
	send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Index: 1, Text: buffer[22:33]})
	send(outcrop.Event{Kind: outcrop.EventBlockStop, Index: 1})
	send(outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopSequence, StopSequence: buffer[34:45], Extra: buffer[46:]}})
	for i := range buffer {
		buffer[i] = '*'
	}
	use := answer.Content[0].Use
	if string(use.ID) != "secret-id" || string(use.Name) != "secret-name" || string(answer.Content[1].Text) != "secret-text" ||
		string(answer.StopSequence) != "secret-stop" || string(answer.Extra) != `{"x":1}` {
		t.Errorf("the answer borrowed: %s %s %s %s %s", use.ID, use.Name, answer.Content[1].Text, answer.StopSequence, answer.Extra)
	}
}

func TestStrayEventsDoNotHurtAnAnswer(t *testing.T) {
	answer := collect(t,
		outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("before any block")},
		outcrop.Event{Kind: outcrop.EventBlockStop},
		outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text(`{}`), Final: true})
	if len(answer.Content) != 0 {
		t.Errorf("collected %v", answer.Content)
	}
}

func TestHowAToolInputIsCutMakesNoDifference(t *testing.T) {
	values := rapid.MapOf(rapid.StringN(1, 5, -1), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		want, err := json.Marshal(values.Draw(t, "input"))
		if err != nil {
			t.Fatal(err)
		}
		var answer outcrop.Answer
		_ = answer.Send(outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockToolUse})
		for rest := []rune(string(want)); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			_ = answer.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Text: outcrop.Quote(string(rest[:n]))})
			rest = rest[n:]
		}
		_ = answer.Send(outcrop.Event{Kind: outcrop.EventBlockStop})
		if got := answer.Content[0].Use.Input; string(got) != string(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func collect(t *testing.T, events ...outcrop.Event) outcrop.Answer {
	t.Helper()
	var answer outcrop.Answer
	for _, e := range events {
		if err := answer.Send(e); err != nil {
			t.Fatal(err)
		}
	}
	return answer
}
