package identity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/sigv4"
)

func toS3(change ...func(*sigv4.Signer)) *sigv4.Signer {
	return signer(append([]func(*sigv4.Signer){func(s *sigv4.Signer) { s.Service, s.Path = "s3", sigv4.PathAsSent }}, change...)...)
}

func s3Head() *sigv4.Request {
	return &sigv4.Request{Method: "PUT", URI: "/bucket/a%20key%2B", Host: "localhost:8484"}
}

func s3Signed(s *sigv4.Signer, content string, at time.Time) *sigv4.Request {
	r := s3Head()
	r.Fields = s.SignPayload(nil, r, content, at)
	return r
}

func TestWhoCallsS3(t *testing.T) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	presigned := s3Head()
	presigned.URI = toS3().Presign(presigned, time.Hour, sum, noon)
	streaming := "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	for name, c := range map[string]struct {
		request *sigv4.Request
		content string
		chunks  bool
	}{
		"hashed":            {s3Signed(toS3(), hash, noon), hash, false},
		"unsigned":          {s3Signed(toS3(), "UNSIGNED-PAYLOAD", noon), "UNSIGNED-PAYLOAD", false},
		"chunks":            {s3Signed(toS3(), streaming, noon), streaming, true},
		"chunks, a trailer": {s3Signed(toS3(), streaming+"-TRAILER", noon), streaming + "-TRAILER", true},
		"unsigned chunks":   {s3Signed(toS3(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER", noon), "STREAMING-UNSIGNED-PAYLOAD-TRAILER", false},
		"presigned":         {presigned, "", false},
		"a slow clock":      {s3Signed(toS3(), hash, noon.Add(-14*time.Minute)), hash, false},
	} {
		caller, err := keyed().AuthenticateS3(c.request, noon)
		if err != nil || caller.Principal == nil || caller.Principal.KeyID != keyID || caller.Content != c.content || (caller.Chunks != nil) != c.chunks {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
}

func TestWhoMayNotCallS3(t *testing.T) {
	expired := signingKey("AKIDEXPIRED")
	expired.Expires = noon
	session := s3Signed(toS3(func(s *sigv4.Signer) { s.Token = session }), "UNSIGNED-PAYLOAD", noon)
	noHash := s3Signed(toS3(), "UNSIGNED-PAYLOAD", noon)
	moved := s3Signed(toS3(), "UNSIGNED-PAYLOAD", noon)
	moved.URI = "/bucket/a%20key"
	for i, f := range noHash.Fields {
		if f.Name == "X-Amz-Content-Sha256" {
			noHash.Fields = append(noHash.Fields[:i:i], noHash.Fields[i+1:]...)
		}
	}
	for name, c := range map[string]struct {
		request *sigv4.Request
		code    outcrop.Code // empty: a *sigv4.Error
	}{
		"wrong secret":      {s3Signed(toS3(func(s *sigv4.Signer) { s.Secret = "wrong" }), "UNSIGNED-PAYLOAD", noon), outcrop.CodeInvalidSignature},
		"unknown key":       {s3Signed(toS3(func(s *sigv4.Signer) { s.KeyID = "AKIDOTHER" }), "UNSIGNED-PAYLOAD", noon), outcrop.CodeUnrecognizedClient},
		"a foreign token":   {session, outcrop.CodeUnrecognizedClient},
		"another path":      {moved, outcrop.CodeInvalidSignature},
		"expired key":       {s3Signed(toS3(func(s *sigv4.Signer) { s.KeyID = "AKIDEXPIRED" }), "UNSIGNED-PAYLOAD", noon), outcrop.CodeExpiredToken},
		"an API key":        {&sigv4.Request{Method: "GET", URI: "/b/k", Host: "h", Fields: []sigv4.Field{{Name: "Authorization", Value: "Bearer " + token}}}, outcrop.CodeIncompleteSignature},
		"for Bedrock":       {s3Signed(toS3(func(s *sigv4.Signer) { s.Service = "bedrock" }), "UNSIGNED-PAYLOAD", noon), ""},
		"another region":    {s3Signed(toS3(func(s *sigv4.Signer) { s.Region = "eu-west-1" }), "UNSIGNED-PAYLOAD", noon), ""},
		"a stopped clock":   {s3Signed(toS3(), "UNSIGNED-PAYLOAD", noon.Add(-16*time.Minute)), ""},
		"nothing of a body": {noHash, ""},
	} {
		caller, err := keyed(expired).AuthenticateS3(c.request, noon.Add(time.Second))
		var own *outcrop.Error
		var rule *sigv4.Error
		if caller.Principal != nil || c.code != "" && (!errors.As(err, &own) || own.Code != c.code) || c.code == "" && name != "nothing of a body" && !errors.As(err, &rule) || err == nil {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
}

func TestWithoutAKeyS3TakesAnyCredentials(t *testing.T) {
	a := identity.New(identity.Options{Region: region, Hosts: []string{"localhost"}})
	streaming := "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	caller, err := a.AuthenticateS3(s3Signed(toS3(func(s *sigv4.Signer) { s.KeyID, s.Secret, s.Region = "me", "anything", "mars-1" }), streaming, noon), noon.Add(time.Hour))
	if err != nil || caller.Principal.KeyID != "me" || caller.Principal.Account != identity.OpenAccount || caller.Content != streaming || caller.Chunks != nil {
		t.Errorf("%+v, %v", caller, err)
	}
	if caller, err := a.AuthenticateS3(s3Head(), noon); err != nil || caller.Principal == nil {
		t.Errorf("without credentials: %+v, %v", caller, err)
	}
	if _, err := a.AuthenticateS3(&sigv4.Request{Method: "GET", URI: "/b", Host: "evil.example"}, noon); !errors.Is(err, outcrop.CodeAccessDenied) {
		t.Errorf("by a foreign name: %v", err)
	}
}

func TestWithKeysOneWithoutCredentialsIsNobody(t *testing.T) {
	if caller, err := keyed().AuthenticateS3(s3Head(), noon); err != nil || caller.Principal != nil {
		t.Errorf("%+v, %v", caller, err)
	}
}
