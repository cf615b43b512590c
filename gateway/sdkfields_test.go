package gateway_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

// TestTheSDKSignsTheFieldsOfInvokeModel sends with Amazon's SDK all that
// travels in the head of a request.
func TestTheSDKSignsTheFieldsOfInvokeModel(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, nil)
	h := startOn(t, cfg)
	client := bedrockruntime.New(bedrockruntime.Options{
		BaseEndpoint: aws.String(h.URL), Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""), RetryMaxAttempts: 1,
		HTTPClient: newClient(t, protocols()["HTTP/1.1"]),
	})
	body := []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}`)
	unary, err := client.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{
		ModelId: aws.String(haiku), Body: body, Accept: aws.String("application/json"), ContentType: aws.String("application/json"),
		ServiceTier: types.ServiceTierTypePriority, PerformanceConfigLatency: types.PerformanceConfigLatencyOptimized, Trace: types.TraceDisabled,
	})
	if err != nil || unary.ServiceTier != types.ServiceTierTypePriority {
		t.Errorf("InvokeModel: %+v, %v", unary, err)
	}
	streamed, err := client.InvokeModelWithResponseStream(t.Context(), &bedrockruntime.InvokeModelWithResponseStreamInput{
		ModelId: aws.String(haiku), Body: body, Accept: aws.String("application/json"), ContentType: aws.String("application/json"),
		ServiceTier: types.ServiceTierTypePriority, PerformanceConfigLatency: types.PerformanceConfigLatencyOptimized, Trace: types.TraceDisabled,
	})
	if err != nil {
		t.Fatalf("InvokeModelWithResponseStream: %v", err)
	}
	if err := streamed.GetStream().Close(); err != nil {
		t.Error(err)
	}
}
