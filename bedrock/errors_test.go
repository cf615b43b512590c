package bedrock_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
)

func TestStatus(t *testing.T) {
	want := map[outcrop.Code]int{
		outcrop.CodeAccessDenied: 403, outcrop.CodeConflict: 400, outcrop.CodeInternal: 500, outcrop.CodeModelError: 424,
		outcrop.CodeModelNotReady: 429, outcrop.CodeModelStream: 424, outcrop.CodeModelTimeout: 408, outcrop.CodeNotFound: 404,
		outcrop.CodeQuota: 400, outcrop.CodeUnavailable: 503, outcrop.CodeThrottling: 429, outcrop.CodeValidation: 400,
		outcrop.CodeUnknownOperation: 404, outcrop.CodeExpiredToken: 403, outcrop.CodeIncompleteSignature: 400,
		outcrop.CodeInvalidSignature: 403, outcrop.CodeMissingToken: 403, outcrop.CodeUnrecognizedClient: 403, "Other": 500,
	}
	for code, status := range want {
		if got := bedrock.Status(code); got != status {
			t.Errorf("%s: %d, want %d", code, got, status)
		}
	}
}

// The sets are those of the API model.
func TestModelledLeavesEachOperationOnlyCodesItsClientsKnow(t *testing.T) {
	common := "AccessDeniedException ResourceNotFoundException ThrottlingException InternalServerException ServiceUnavailableException ValidationException"
	models := " ModelTimeoutException ModelNotReadyException ModelErrorException"
	known := map[outcrop.Operation]string{
		outcrop.OpConverse:          common + models,
		outcrop.OpConverseStream:    common + models,
		outcrop.OpInvokeModel:       common + models + " ServiceQuotaExceededException",
		outcrop.OpInvokeModelStream: common + models + " ServiceQuotaExceededException ModelStreamErrorException",
		outcrop.OpCountTokens:       common,
	}
	all := strings.Fields(common + models + " ServiceQuotaExceededException ModelStreamErrorException ConflictException")
	for op, set := range known {
		for _, code := range all {
			got := string(bedrock.Modelled(op, outcrop.Code(code)))
			if !strings.Contains(set, got) {
				t.Errorf("%s: %s becomes %s", op, code, got)
			}
			if strings.Contains(set, code) && got != code {
				t.Errorf("%s: %s becomes %s, which is not needed", op, code, got)
			}
		}
	}
	if got := bedrock.Modelled(outcrop.OpConverse, outcrop.CodeExpiredToken); got != outcrop.CodeExpiredToken {
		t.Errorf("ExpiredToken becomes %s", got)
	}
}

func TestErrorBody(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&outcrop.Error{Code: outcrop.CodeThrottling, Message: bedrock.TooManyTokens}, `{"message":"Too many tokens, please wait before trying again."}`},
		{&outcrop.Error{Code: outcrop.CodeThrottling}, `{"message":"Too many requests, please wait before trying again."}`},
		{&outcrop.Error{Code: outcrop.CodeModelError, Message: "no \"luck\"", Status: 502, Original: "html"}, `{"message":"no \"luck\"","originalStatusCode":502}`},
		{&outcrop.Error{Code: outcrop.CodeModelStream, Message: "cut", Status: 7, Original: "eof"}, `{"message":"cut","originalMessage":"eof"}`},
		{errors.New("the password is 123"), `{"message":"The system encountered an unexpected error during processing. Try your request again. (request id r-1)"}`},
		{&outcrop.Error{Code: outcrop.CodeValidation, Message: "m", Cause: errors.New("secret")}, `{"message":"m"}`},
	}
	for _, test := range tests {
		if got := string(bedrock.AppendErrorBody(nil, test.err, "r-1")); got != test.want {
			t.Errorf("%v:\ngot  %s\nwant %s", test.err, got, test.want)
		}
	}
	// Bedrock's own has this length.
	if n := len(bedrock.AppendErrorBody(nil, &outcrop.Error{Code: outcrop.CodeThrottling, Message: bedrock.TooManyTokens}, "")); n != 63 {
		t.Errorf("the captured 429 has 63 bytes, this one %d", n)
	}
}

func TestExceptionsAreNamedAsTheStreamsModelThem(t *testing.T) {
	want := map[outcrop.Code]string{
		outcrop.CodeInternal: "internalServerException", outcrop.CodeModelStream: "modelStreamErrorException",
		outcrop.CodeModelError: "modelStreamErrorException", outcrop.CodeModelTimeout: "modelStreamErrorException",
		outcrop.CodeValidation: "validationException", outcrop.CodeAccessDenied: "validationException",
		outcrop.CodeThrottling: "throttlingException", outcrop.CodeQuota: "throttlingException",
		outcrop.CodeUnavailable: "serviceUnavailableException", outcrop.CodeModelNotReady: "serviceUnavailableException",
		"Other": "internalServerException",
	}
	for code, name := range want {
		frame := bedrock.AppendException([]byte("before"), &outcrop.Error{Code: code, Message: "why"}, "r-1")[6:]
		m, n, err := eventstream.Decode(frame)
		if err != nil || n != len(frame) || m.MessageType != "exception" || m.ExceptionType != name || string(m.Payload) != `{"message":"why"}` {
			t.Errorf("%s: %+v %s %v", code, m, m.Payload, err)
		}
	}
	m, _, _ := eventstream.Decode(bedrock.AppendException(nil, errors.New("secret"), "r-1"))
	if m.ExceptionType != "internalServerException" || strings.Contains(string(m.Payload), "secret") || !strings.Contains(string(m.Payload), "r-1") {
		t.Errorf("%s %s", m.ExceptionType, m.Payload)
	}
}

func TestExceptionFramesComeBackAsErrors(t *testing.T) {
	frame := bedrock.AppendException(nil, &outcrop.Error{Code: outcrop.CodeModelStream, Message: "cut", Status: 500, Original: "eof"}, "r-1")
	m, _, err := eventstream.Decode(frame)
	if err != nil {
		t.Fatal(err)
	}
	var d bedrock.Decoder
	var e *outcrop.Error
	if err := d.Event(m, nil); !errors.As(err, &e) || e.Code != outcrop.CodeModelStream || e.Message != "cut" || e.Status != 500 || e.Original != "eof" {
		t.Errorf("%+v", e)
	}
	err = d.Event(eventstream.Message{MessageType: "error", ErrorCode: "InternalFailure", ErrorMessage: "boom"}, nil)
	if !errors.Is(err, outcrop.CodeModelError) {
		t.Errorf("an unmodelled error: %v", err)
	}
}

func TestFailureReadsAnEnginesHTTPErrors(t *testing.T) {
	tests := []struct {
		status     int
		kind, body string
		code       outcrop.Code
		message    string
	}{
		{429, "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", `{"message":"slow down"}`, outcrop.CodeThrottling, "slow down"},
		{400, "", `{"__type":"com.amazon.bedrock#ValidationException","Message":"bad"}`, outcrop.CodeValidation, "bad"},
		{424, "ModelErrorException", `{"message":"m"}`, outcrop.CodeModelError, "m"},
		{500, "InternalServerException", `{}`, outcrop.CodeInternal, bedrock.InternalFailure},
		{503, "", `<html>`, outcrop.CodeUnavailable, bedrock.ServiceUnavailable},
		{429, "", ``, outcrop.CodeThrottling, bedrock.TooManyRequests},
		{422, "SomethingNew", `{"message":"new"}`, outcrop.CodeValidation, "new"},
		{500, "", `{"code":7}`, outcrop.CodeModelError, bedrock.InternalFailure},
		{403, "UnrecognizedClientException", `{"message":"the security token is invalid"}`, outcrop.CodeUnavailable, bedrock.ServiceUnavailable},
		{403, "AccessDeniedException", `{"message":"arn:aws:iam::1:user/gateway may not"}`, outcrop.CodeUnavailable, bedrock.ServiceUnavailable},
		{401, "", `{}`, outcrop.CodeUnavailable, bedrock.ServiceUnavailable},
	}
	for _, test := range tests {
		e := bedrock.Failure(test.status, test.kind, []byte(test.body))
		if e.Code != test.code || e.Message != test.message || e.Status != test.status {
			t.Errorf("%d %s %s: %+v", test.status, test.kind, test.body, e)
		}
	}
	long, _ := json.Marshal(map[string]string{"message": strings.Repeat("ü", 5000)})
	if e := bedrock.Failure(400, "ValidationException", long); len(e.Message) > 1024 {
		t.Errorf("a message of %d bytes", len(e.Message))
	}
}

// All of an error is for the log, and engines quote keys and prompts.
func TestARefusalOfTheGatewaysCredentialsQuotesNothing(t *testing.T) {
	for _, kind := range []string{"", "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"} {
		e := bedrock.Failure(403, kind, []byte(`{"message":"bad key canary for canary"}`))
		if strings.Contains(e.Error(), "canary") || !strings.Contains(e.Error(), kind) {
			t.Errorf("%s: %v", kind, e)
		}
	}
}
