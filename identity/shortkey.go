package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sigv4"
)

// A short-term API key is a presigned URL without its scheme, in base64. The
// values are those of AWS's own generators.
const (
	shortKeyHost    = "bedrock.amazonaws.com"
	shortKeyAction  = "Action=CallWithBearerToken"
	shortKeyVersion = "&Version=1" // appended after signing
	maxShortKey     = 8 << 10
	maxShortKeyLife = 12 * time.Hour
)

// shortKey authenticates by a short-term API key: whoever could sign it holds
// the access key in it.
func (a *Authenticator) shortKey(k *keys, token string, now time.Time) (*outcrop.Principal, error) {
	uri, err := openShortKey(token)
	if err != nil {
		return nil, badAPIKey(err)
	}
	head := &sigv4.Request{Method: "POST", URI: uri, Host: shortKeyHost}
	rules := a.rules(true)
	rules.MaxExpires = maxShortKeyLife
	p, err := a.signature(k, head, rules, nil, now)
	if err != nil {
		return nil, badAPIKey(err)
	}
	return p, nil
}

// openShortKey returns the request target that a short-term key is the
// signature of.
func openShortKey(token string) (uri string, err error) {
	if len(token) > maxShortKey {
		return "", errors.New("too long")
	}
	url, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(token, shortKeyPrefix))
	if err != nil {
		return "", errors.New("not base64")
	}
	query, ok := strings.CutPrefix(string(url), shortKeyHost+"/?")
	if !ok {
		return "", errors.New("for another host")
	}
	query, ok = strings.CutSuffix(query, shortKeyVersion)
	if !ok {
		return "", errors.New("without its version")
	}
	actions := 0
	for piece := range strings.SplitSeq(query, "&") {
		switch {
		case piece == shortKeyAction:
			actions++
		case strings.HasPrefix(piece, "Action"):
			return "", errors.New("for another action")
		}
	}
	if actions != 1 {
		return "", errors.New("without its action")
	}
	return "/?" + query, nil
}

// NewShortKey returns a short-term API key, made with an access key as AWS's
// generators make them. It is good for the time that is given, at most twelve
// hours.
func NewShortKey(s *sigv4.Signer, life time.Duration, now time.Time) Secret {
	r := &sigv4.Request{Method: "POST", URI: "/?" + shortKeyAction, Host: shortKeyHost}
	url := shortKeyHost + s.Presign(r, life, sha256.Sum256(nil), now) + shortKeyVersion
	return NewSecret(shortKeyPrefix + base64.StdEncoding.EncodeToString([]byte(url)))
}
