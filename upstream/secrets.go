package upstream

import (
	"bytes"
	"slices"
	"strings"

	"github.com/outcrop/outcrop"
)

// minSecret is how long a text must be to be hidden: what is shorter protects
// nothing, and is part of too many words.
const minSecret = 4

// secrets are the texts that an engine was told and that its words must not
// tell on: some engines quote the key that they refuse.
type secrets struct{ all []string }

// add adds the secrets, and of a scheme with credentials, such as
// "Bearer KEY", the credentials alone.
func (s *secrets) add(texts ...Secret) {
	for _, t := range texts {
		whole := strings.TrimSpace(string(t))
		for _, text := range []string{whole, whole[strings.LastIndexByte(whole, ' ')+1:]} {
			if len(text) >= minSecret && !slices.Contains(s.all, text) {
				s.all = append(s.all, text)
			}
		}
	}
	slices.SortFunc(s.all, func(a, b string) int { return len(b) - len(a) }) // a part must not spoil the whole
}

// mask returns words with stars in place of secrets.
func (s *secrets) mask(words string) string {
	for _, secret := range s.all {
		words = strings.ReplaceAll(words, secret, stars)
	}
	return words
}

// maskBody does so in an answer as it was sent, before anything of it is cut.
func (s *secrets) maskBody(body []byte) []byte {
	for _, secret := range s.all {
		if bytes.Contains(body, []byte(secret)) {
			body = bytes.ReplaceAll(body, []byte(secret), []byte(stars))
		}
	}
	return body
}

// maskError masks what e says in an engine's words.
func (s *secrets) maskError(e *outcrop.Error) *outcrop.Error {
	masked := *e
	masked.Message, masked.Original = s.mask(e.Message), s.mask(e.Original)
	return &masked
}
