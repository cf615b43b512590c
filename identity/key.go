package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"time"

	"github.com/outcrop/outcrop"
)

// A Kind says what the holder of a Key proves it with.
type Kind uint8

// The kinds of keys.
const (
	// KindSigV4 is an access key: a pair of id and secret that signs
	// requests. Verifying needs the secret itself.
	KindSigV4 Kind = iota + 1
	// KindBearer is a Bedrock API key, which is sent whole with each
	// request. Verifying needs its hash alone.
	KindBearer
)

// String returns the kind's name on the command line and in the store.
func (k Kind) String() string {
	switch k {
	case KindSigV4:
		return "access-key"
	case KindBearer:
		return "api-key"
	}
	return ""
}

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (k Kind, ok bool) {
	for k := KindSigV4; k <= KindBearer; k++ {
		if k.String() == s {
			return k, true
		}
	}
	return 0, false
}

// A Key lets its holder call.
type Key struct {
	Principal outcrop.Principal
	Kind      Kind
	Name      string // for people; may be empty
	// Secret is the secret access key of a KindSigV4.
	Secret Secret
	// Token is the session token that requests signed with a KindSigV4 have
	// to carry; empty if they must carry none.
	Token Secret
	// Hash is the SHA-256 of a KindBearer. A plain hash is enough, since API
	// keys are random and long.
	Hash    [sha256.Size]byte
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: not revoked
}

// Active reports whether the key opens anything at the time now.
func (k *Key) Active(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

const (
	accessKeyPrefix = "AKIA"
	apiKeyPrefix    = "ABSK"
	base32Digits    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	lowerDigits     = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// NewAccessKey returns a new access key id and its secret, in AWS's form: 20
// and 40 characters.
func NewAccessKey() (id string, secret Secret) {
	return accessKeyPrefix + randomText(16, base32Digits), NewSecret(randomBase64(30))
}

// NewAPIKey returns a new API key of the account, in the form of AWS's
// long-term keys, and its id, which may be shown.
func NewAPIKey(account string) (id string, token Secret) {
	id = "BedrockAPIKey-" + randomText(8, lowerDigits)
	inside := id + "-at-" + account + ":" + randomBase64(33)
	return id, NewSecret(apiKeyPrefix + base64.StdEncoding.EncodeToString([]byte(inside)))
}

// HashToken returns what is kept of an API key.
func HashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

func randomBase64(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

func randomText(n int, digits string) string {
	b := make([]byte, n)
	for i := range b {
		at, err := rand.Int(rand.Reader, big.NewInt(int64(len(digits))))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		b[i] = digits[at.Int64()]
	}
	return string(b)
}
