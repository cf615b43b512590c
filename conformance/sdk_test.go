package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
)

// runtimeOf returns the SDK's runtime client for the server.
func runtimeOf(s *server, access, secret string, attempts int) *bedrockruntime.Client {
	return bedrockruntime.New(bedrockruntime.Options{
		BaseEndpoint: aws.String(s.URL), Region: "us-east-1", RetryMaxAttempts: attempts,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	})
}

func turn(text string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}}}}
}

func textOf(blocks []types.ContentBlock) string {
	var b strings.Builder
	for _, block := range blocks {
		if text, ok := block.(*types.ContentBlockMemberText); ok {
			b.WriteString(text.Value)
		}
	}
	return b.String()
}

func answerText(out *bedrockruntime.ConverseOutput) string {
	return textOf(out.Output.(*types.ConverseOutputMemberMessage).Value.Content)
}

func TestGoSDKConverses(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	out, err := runtimeOf(s, "a", "b", 1).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello")})
	if err != nil {
		t.Fatal(err)
	}
	if answerText(out) == "" {
		t.Error("no text")
	}
	if u := out.Usage; *u.TotalTokens != *u.InputTokens+*u.OutputTokens || *u.OutputTokens == 0 {
		t.Errorf("usage is %d in, %d out, %d in all", *u.InputTokens, *u.OutputTokens, *u.TotalTokens)
	}
}

func TestGoSDKStreams(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	client := runtimeOf(s, "a", "b", 1)
	limit := &types.InferenceConfiguration{MaxTokens: aws.Int32(40)}
	out, err := client.ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku), Messages: turn("Hello"), InferenceConfig: limit})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var last types.ConverseStreamOutput
	for event := range out.GetStream().Events() {
		last = event
		if delta, ok := event.(*types.ConverseStreamOutputMemberContentBlockDelta); ok {
			text.WriteString(delta.Value.Delta.(*types.ContentBlockDeltaMemberText).Value)
		}
	}
	if err := out.GetStream().Err(); err != nil {
		t.Fatal(err)
	}
	if _, ok := last.(*types.ConverseStreamOutputMemberMetadata); !ok {
		t.Errorf("the last event is %T", last)
	}
	whole, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello"), InferenceConfig: limit})
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != answerText(whole) {
		t.Errorf("the stream says %q, the whole answer %q", text.String(), answerText(whole))
	}
}

func TestGoSDKUsesTools(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	schema := map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}}
	out, err := runtimeOf(s, "a", "b", 1).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello"),
		ToolConfig: &types.ToolConfiguration{ToolChoice: &types.ToolChoiceMemberAny{}, Tools: []types.Tool{&types.ToolMemberToolSpec{Value: types.ToolSpecification{
			Name: aws.String("weather"), InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(schema)}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if out.StopReason != types.StopReasonToolUse {
		t.Errorf("stop reason is %s", out.StopReason)
	}
	for _, block := range out.Output.(*types.ConverseOutputMemberMessage).Value.Content {
		use, ok := block.(*types.ContentBlockMemberToolUse)
		if !ok {
			continue
		}
		var input struct {
			City *string `document:"city"`
		}
		if err := use.Value.Input.UnmarshalSmithyDocument(&input); err != nil || input.City == nil {
			t.Errorf("input is %+v, error %v", input, err)
		}
		return
	}
	t.Error("no tool use")
}

const messagesBody = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":32,"messages":[{"role":"user","content":"Hello"}]}`

func TestGoSDKInvokesAModel(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	out, err := runtimeOf(s, "a", "b", 1).InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(haiku), Body: []byte(messagesBody)})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Content []struct{ Text string }
		Usage   struct {
			Output int `json:"output_tokens"`
		}
	}
	if err := json.Unmarshal(out.Body, &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Content) == 0 || answer.Content[0].Text == "" || answer.Usage.Output == 0 {
		t.Errorf("the answer is %s", out.Body)
	}
	if aws.ToString(out.ContentType) != "application/json" {
		t.Errorf("content type is %q", aws.ToString(out.ContentType))
	}
}

func TestGoSDKInvokesAModelWithAStream(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	out, err := runtimeOf(s, "a", "b", 1).InvokeModelWithResponseStream(t.Context(),
		&bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(haiku), Body: []byte(messagesBody)})
	if err != nil {
		t.Fatal(err)
	}
	var last []byte
	for event := range out.GetStream().Events() {
		last = event.(*types.ResponseStreamMemberChunk).Value.Bytes
	}
	if err := out.GetStream().Err(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(last, []byte(`"message_stop"`)) || !bytes.Contains(last, []byte(`"amazon-bedrock-invocationMetrics"`)) {
		t.Errorf("the last chunk is %s", last)
	}
}

func TestGoSDKCountsTokens(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	client := runtimeOf(s, "a", "b", 1)
	counted, err := client.CountTokens(t.Context(), &bedrockruntime.CountTokensInput{ModelId: aws.String(haiku),
		Input: &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: turn("Hello, how are you?")}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello, how are you?")})
	if err != nil {
		t.Fatal(err)
	}
	if *counted.InputTokens != *out.Usage.InputTokens {
		t.Errorf("%d tokens counted, %d billed", *counted.InputTokens, *out.Usage.InputTokens)
	}
}

func TestGoSDKReadsTheCatalogue(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	client := bedrock.New(bedrock.Options{BaseEndpoint: aws.String(s.URL), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	list, err := client.ListFoundationModels(t.Context(), &bedrock.ListFoundationModelsInput{ByProvider: aws.String("Anthropic")})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.ModelSummaries) == 0 {
		t.Error("no models")
	}
	for _, m := range list.ModelSummaries {
		if *m.ProviderName != "Anthropic" {
			t.Errorf("%s is of %s", *m.ModelId, *m.ProviderName)
		}
	}
	one, err := client.GetFoundationModel(t.Context(), &bedrock.GetFoundationModelInput{ModelIdentifier: aws.String("arn:aws:bedrock:us-east-1::foundation-model/" + haiku)})
	if err != nil {
		t.Fatal(err)
	}
	if *one.ModelDetails.ModelId != haiku {
		t.Errorf("the model is %s", *one.ModelDetails.ModelId)
	}
	if _, err := client.GetFoundationModelAvailability(t.Context(), &bedrock.GetFoundationModelAvailabilityInput{ModelId: aws.String(haiku)}); err != nil {
		t.Error(err)
	}
}

func withFault(name string) *bedrockruntime.ConverseInput {
	return &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello"), RequestMetadata: map[string]string{"fault": name}}
}

func TestGoSDKKnowsTheErrors(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	client := runtimeOf(s, "a", "b", 1)
	for code, status := range map[string]int{"AccessDeniedException": 403, "InternalServerException": 500, "ModelErrorException": 424,
		"ModelNotReadyException": 429, "ModelTimeoutException": 408, "ResourceNotFoundException": 404, "ServiceUnavailableException": 503,
		"ThrottlingException": 429, "ValidationException": 400} {
		_, err := client.Converse(t.Context(), withFault(code))
		var told smithy.APIError
		var response *awshttp.ResponseError
		if !errors.As(err, &told) || told.ErrorCode() != code {
			t.Errorf("%s arrives as %v", code, err)
			continue
		}
		if !errors.As(err, &response) || response.HTTPStatusCode() != status {
			t.Errorf("%s has not the status %d: %v", code, status, err)
			continue
		}
		if response.RequestID == "" {
			t.Errorf("%s has no request id", code)
		}
	}
	var throttled *types.ThrottlingException
	if _, err := client.Converse(t.Context(), withFault("ThrottlingException")); !errors.As(err, &throttled) {
		t.Errorf("throttling is a %T", err)
	}
}

func TestGoSDKWaitsAsLongAsIsTold(t *testing.T) {
	t.Setenv("AWS_NEW_RETRIES_2026", "true") // the SDK heeds the header only then
	s := start(t, simulator())
	_, err := runtimeOf(s, "a", "b", 1).Converse(t.Context(), withFault("ThrottlingException"))
	var response *awshttp.ResponseError
	if !errors.As(err, &response) {
		t.Fatal(err)
	}
	told, convertible := time.ParseDuration(response.Response.Header.Get("X-Amz-Retry-After") + "ms")
	if convertible != nil || told <= 0 {
		t.Fatalf("X-Amz-Retry-After is %q", response.Response.Header.Get("X-Amz-Retry-After"))
	}
	begin := time.Now()
	if _, err = runtimeOf(s, "a", "b", 2).Converse(t.Context(), withFault("ThrottlingException")); err == nil {
		t.Fatal("no error")
	}
	if waited := time.Since(begin); waited < min(told, 5*time.Second) { // the SDK waits at least that long
		t.Errorf("told to wait %s, the SDK came back after %s", told, waited)
	}
}

func TestGoSDKSeesABrokenStream(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	out, err := runtimeOf(s, "a", "b", 1).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku),
		Messages: turn("Tell me a long story"), RequestMetadata: map[string]string{"fault": "cut"}})
	if err != nil {
		t.Fatal(err)
	}
	for range out.GetStream().Events() {
	}
	var broken *types.ModelStreamErrorException
	if !errors.As(out.GetStream().Err(), &broken) {
		t.Errorf("the stream ends with %v", out.GetStream().Err())
	}
}

func TestGoSDKGivesUpAndTheServerStays(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	client := runtimeOf(s, "a", "b", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Converse(ctx, withFault("slow-start")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the call ends with %v", err)
	}
	if _, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: turn("Hello")}); err != nil {
		t.Error(err)
	}
}
