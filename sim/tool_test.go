package sim_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/schema"
)

const weather = `{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":7}},"required":["city","days"]}`

func withTools(choice outcrop.ToolChoice) func(*outcrop.Request) {
	return func(r *outcrop.Request) {
		r.Conversation.Tools = []outcrop.Tool{
			{Name: outcrop.Text("get_weather"), Schema: outcrop.JSON(weather)},
			{CachePoint: true},
			{Name: outcrop.Text("top_song"), Schema: outcrop.JSON(`{"type":"object","properties":{"sign":{"type":"string"}}}`)},
		}
		r.Conversation.ToolChoice = choice
	}
}

func uses(r *recorder) (names []string) {
	for _, b := range r.Content {
		if b.Kind == outcrop.BlockToolUse {
			names = append(names, b.Use.Name.String())
		}
	}
	return names
}

func TestToolChoice(t *testing.T) {
	auto := outcrop.ToolChoice{Kind: outcrop.ToolChoiceAuto}
	for _, c := range []struct {
		prompt string
		choice outcrop.ToolChoice
		want   string
	}{
		{"Hi", outcrop.ToolChoice{Kind: outcrop.ToolChoiceTool, Name: outcrop.Text("top_song")}, "[top_song]"},
		{"Hi", outcrop.ToolChoice{Kind: outcrop.ToolChoiceAny}, "[get_weather]"},
		{"Use top_song.", outcrop.ToolChoice{Kind: outcrop.ToolChoiceAny}, "[top_song]"},
		{"Hi", auto, "[]"},
		{"Call get_weather for Lisbon", auto, "[get_weather]"},
		{"call GET WEATHER and top-song", auto, "[get_weather top_song]"},
		{"Call get_weather", outcrop.ToolChoice{}, "[get_weather]"},
		{"forget_weathers", auto, "[]"},
	} {
		r, receipt := mustInvoke(t, quick(t), ask(t, c.prompt, withTools(c.choice)))
		if got := fmt.Sprint(uses(r)); got != c.want {
			t.Errorf("%q with choice %d uses %s, want %s", c.prompt, c.choice.Kind, got, c.want)
		}
		if want := c.want != "[]"; (r.Stop == outcrop.StopToolUse) != want || r.Stop != receipt.Stop {
			t.Errorf("%q stops with %s", c.prompt, r.Stop)
		}
	}
}

func TestToolInputsAreValid(t *testing.T) {
	for i := range 20 {
		r, _ := mustInvoke(t, quick(t), ask(t, fmt.Sprint("Call get_weather ", i), withTools(outcrop.ToolChoice{})))
		use := r.Content[len(r.Content)-1].Use
		if !schema.Valid([]byte(weather), use.Input) {
			t.Errorf("input %s", use.Input)
		}
		if id := use.ID.String(); !regexp.MustCompile(`^tooluse_[A-Za-z0-9]{22}$`).MatchString(id) {
			t.Errorf("id %q", id)
		}
	}
}

// A tool's input is never cut in the middle of its JSON.
func TestAToolThatDoesNotFitIsLeftOut(t *testing.T) {
	forced := withTools(outcrop.ToolChoice{Kind: outcrop.ToolChoiceAny})
	r, receipt := mustInvoke(t, quick(t), ask(t, "Hi", forced, maxTokens(2)))
	if len(uses(r)) != 0 || receipt.Stop != outcrop.StopMaxTokens {
		t.Errorf("%+v, %+v", r.Answer, receipt)
	}
}

func TestToolResultsAreAcknowledged(t *testing.T) {
	req := ask(t, "Call get_weather", withTools(outcrop.ToolChoice{}))
	req.Conversation.Messages = append(req.Conversation.Messages,
		assistant(outcrop.Block{Kind: outcrop.BlockToolUse, Use: &outcrop.ToolUse{
			ID: outcrop.Text("t1"), Name: outcrop.Text("get_weather"), Input: outcrop.JSON(`{}`)}}),
		user(outcrop.Block{Kind: outcrop.BlockToolResult, Result: &outcrop.ToolResult{
			ID: outcrop.Text("t1"), Content: []outcrop.Block{text("Sunny, 21 degrees")}}}))
	r, receipt := mustInvoke(t, quick(t), req)
	if !strings.Contains(r.said(), `The tool get_weather answered: "Sunny, 21 degrees"`) || receipt.Stop != outcrop.StopEndTurn {
		t.Errorf("%s: %s", receipt.Stop, r.said())
	}
}

func TestOutputOfAFormatIsValid(t *testing.T) {
	for i := range 20 {
		r, _ := mustInvoke(t, quick(t), ask(t, fmt.Sprint("Give me the weather ", i), func(r *outcrop.Request) {
			r.Conversation.Format = &outcrop.Format{Schema: outcrop.JSON(weather)}
		}))
		if !schema.Valid([]byte(weather), []byte(r.said())) {
			t.Errorf("output %s", r.said())
		}
	}
}

func TestASchemaWithoutValueIsRefused(t *testing.T) {
	bad := outcrop.JSON(`{"type":"object","required":["a"],"properties":{"a":false}}`)
	for _, change := range []func(*outcrop.Request){
		func(r *outcrop.Request) { r.Conversation.Format = &outcrop.Format{Schema: bad} },
		func(r *outcrop.Request) {
			r.Conversation.Tools = []outcrop.Tool{{Name: outcrop.Text("x"), Schema: bad}}
			r.Conversation.ToolChoice.Kind = outcrop.ToolChoiceAny
		},
	} {
		if _, _, err := invoke(t, quick(t), ask(t, "Hi", change)); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("error %v, want a ValidationException", err)
		}
	}
}

// What costs too much to make up is refused like what cannot be.
func TestARefusedSchemaOfAToolIsNamed(t *testing.T) {
	overlapping := `{"type":"object","required":["a"],"properties":{"a":{"oneOf":[` +
		strings.TrimSuffix(strings.Repeat(`{"type":"integer","minimum":0},`, 4000), ",") + `]}}}`
	for name, bad := range map[string]string{"costly": overlapping, "impossible": `{"enum":[]}`, "nested": `{"type":"array","items":true}`} {
		_, _, err := invoke(t, quick(t), ask(t, "Hi", func(r *outcrop.Request) {
			r.Conversation.Tools = []outcrop.Tool{{Name: outcrop.Text("get_weather"), Schema: outcrop.JSON(bad)}}
			r.Conversation.ToolChoice.Kind = outcrop.ToolChoiceAny
		}))
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Code != outcrop.CodeValidation || !strings.Contains(e.Message, "the schema of the tool get_weather") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
