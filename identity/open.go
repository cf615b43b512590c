package identity

import (
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sigv4"
)

// OpenAccount is the account of all callers while there is no key.
const OpenAccount = "000000000000"

// admit lets any caller in whose credentials are well formed, under the key
// id that they name.
func (a *Authenticator) admit(r *Request, c credential) (*outcrop.Principal, error) {
	switch c {
	case credentialNone:
		return a.named("anonymous"), nil
	case credentialAPIKey, credentialShortKey:
		return a.named("api-key"), nil // the token itself is a secret
	case credentialPresigned:
		if !r.Presigned {
			return nil, notPresigned()
		}
	case credentialSignature:
	default:
		return nil, ambiguous()
	}
	s, err := sigv4.ParseUnverified(&r.Head)
	if err != nil {
		return nil, fromSigV4(err)
	}
	return a.named(plain(s.KeyID)), nil
}

// named returns the principal of the open account with the key id. The last
// one is kept, since in open mode one name is all there usually is.
func (a *Authenticator) named(id string) *outcrop.Principal {
	if p := a.guest.Load(); p != nil && p.KeyID == id {
		return p
	}
	id = strings.Clone(id)
	p := &outcrop.Principal{KeyID: id, Account: OpenAccount, ARN: "arn:aws:iam::" + OpenAccount + ":user/" + id}
	a.guest.Store(p)
	return p
}

// plain returns id if it may stand in logs, labels and ARNs as it is, and
// otherwise what of it may.
func plain(id string) string {
	const most = 64
	keep := func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			return c
		}
		return -1
	}
	id = strings.Map(keep, id)
	if id == "" {
		return "anonymous"
	}
	return id[:min(len(id), most)]
}
