package outcrop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/outcrop/outcrop"
)

func TestACodeIsTheClassOfItsErrors(t *testing.T) {
	err := error(&outcrop.Error{Code: outcrop.CodeThrottling, Message: "slow down", Cause: io.ErrUnexpectedEOF})
	wrapped := fmt.Errorf("engine a: %w", err)
	for _, target := range []error{outcrop.CodeThrottling, io.ErrUnexpectedEOF, err} {
		if !errors.Is(wrapped, target) {
			t.Errorf("the error is not %v", target)
		}
	}
	for _, target := range []error{outcrop.CodeUnavailable, io.EOF, context.Canceled} {
		if errors.Is(wrapped, target) {
			t.Errorf("the error is %v", target)
		}
	}
}

func TestErrorsAsFindsErrorAndCode(t *testing.T) {
	wrapped := fmt.Errorf("engine a: %w", &outcrop.Error{Code: outcrop.CodeModelError, Status: 503, Original: "no memory"})
	var e *outcrop.Error
	if !errors.As(wrapped, &e) || e.Status != 503 || e.Original != "no memory" {
		t.Errorf("found %+v", e)
	}
	var code outcrop.Code
	if !errors.As(wrapped, &code) || code != outcrop.CodeModelError {
		t.Errorf("found %q", code)
	}
}

func TestErrorTextsAreForTheLog(t *testing.T) {
	cases := map[string]error{
		"ThrottlingException":                                                    outcrop.CodeThrottling,
		"ValidationException: The text is blank.":                                outcrop.Invalid("The text is blank."),
		"ServiceUnavailableException: Try again.: dial: unexpected EOF":          &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "Try again.", Cause: fmt.Errorf("dial: %w", io.ErrUnexpectedEOF)},
		"ModelErrorException: outer: ValidationException: the engine's own word": &outcrop.Error{Code: outcrop.CodeModelError, Message: "outer", Cause: outcrop.Invalid("the engine's own word")},
	}
	for want, err := range cases {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err.Error(), want)
		}
	}
}

func TestErrorWithoutCauseUnwrapsToItsCodeAlone(t *testing.T) {
	list := outcrop.Invalid("x").Unwrap()
	if len(list) != 1 || list[0] != error(outcrop.CodeValidation) {
		t.Errorf("unwraps to %v", list)
	}
}
