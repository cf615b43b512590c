package sigv4

import (
	"strings"
	"time"
)

// check holds the signature against the rules that need no secret.
func (s *Signature) check(r *Request, rules *Rules, now time.Time) error {
	if s.Presigned && !rules.Presigned {
		return refused("Presigned requests are not accepted here.")
	}
	if err := s.checkScope(rules); err != nil {
		return err
	}
	if err := s.checkTime(rules, now); err != nil {
		return err
	}
	if err := s.checkSigned(r, rules); err != nil {
		return err
	}
	return s.checkPayload(rules)
}

func (s *Signature) checkScope(rules *Rules) error {
	switch {
	case s.term != terminator:
		return refused("Credential should be scoped with a valid terminator: '" + terminator + "'.")
	case s.Scope.Day != s.stamp[:8]:
		return refused("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
			s.Scope.Day + "' != '" + s.stamp[:8] + "', from '" + s.stamp + "'.")
	case s.Scope.Service == "" || rules.Service != "" && s.Scope.Service != rules.Service:
		return refused("Credential should be scoped to correct service: '" + rules.Service + "'.")
	case s.Scope.Region == "" || rules.Region != "" && s.Scope.Region != rules.Region:
		return refused("Credential should be scoped to a valid region: '" + rules.Region + "'.")
	}
	return nil
}

func (s *Signature) checkTime(rules *Rules, now time.Time) error {
	skew := rules.Skew
	if skew == 0 {
		skew = DefaultSkew
	}
	now = now.UTC().Truncate(time.Second)
	if s.Time.After(now.Add(skew)) {
		return expired("Signature not yet current: " + s.stamp + " is still later than " +
			now.Add(skew).Format(Layout) + " (" + now.Format(Layout) + " + " + minutes(skew) + ".)")
	}
	if s.Presigned {
		return s.checkLifetime(rules, now)
	}
	if s.Time.Before(now.Add(-skew)) {
		return expired("Signature expired: " + s.stamp + " is now earlier than " +
			now.Add(-skew).Format(Layout) + " (" + now.Format(Layout) + " - " + minutes(skew) + ".)")
	}
	return nil
}

func (s *Signature) checkLifetime(rules *Rules, now time.Time) error {
	most := rules.MaxExpires
	if most == 0 {
		most = MaxExpires
	}
	n, ok := digits(s.lifetime)
	life := time.Duration(n) * time.Second
	if !ok || n < 1 || life > MaxExpires || s.lifetime[0] == '0' {
		return refused("X-Amz-Expires must be a number between 1 and 604800 seconds.")
	}
	if life > most {
		return refused("X-Amz-Expires must be at most " + most.String() + " here.")
	}
	s.Expires = s.Time.Add(life)
	if s.Expires.Before(now) {
		return expired("Signature expired: " + s.Expires.Format(Layout) + " is now earlier than " + now.Format(Layout) + ".")
	}
	return nil
}

func minutes(d time.Duration) string {
	return strings.TrimSuffix(d.String(), "m0s") + " min"
}

// checkSigned holds the list of signed headers against the headers.
func (s *Signature) checkSigned(r *Request, rules *Rules) error {
	count, last, host := 0, "", false
	for name := range strings.SplitSeq(s.signed, ";") {
		count++
		if count > maxSigned || name <= last || !headerName(name) {
			return incomplete("'SignedHeaders' must be header names in lower case, sorted, each once.")
		}
		last = name
		host = host || name == "host" || name == ":authority"
	}
	if !host || r.Host == "" {
		return refused("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for _, f := range r.Fields {
		if (isAmz(f.Name) || rules.mustSign(f.Name)) && !listed(s.signed, f.Name) {
			return refused("'" + strings.ToLower(f.Name) + "' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	return nil
}

func (r *Rules) mustSign(name string) bool {
	n := len(r.SignedPrefix)
	return n > 0 && len(name) >= n && sameName(name[:n], r.SignedPrefix)
}

// headerName reports whether s can be the name of a header, in lower case.
func headerName(s string) bool {
	s = strings.TrimPrefix(s, ":")
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c >= 'A' && c <= 'Z' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// listed reports whether the list of signed headers holds the name.
func listed(signed, name string) bool {
	for len(signed) >= len(name) {
		if sameName(signed[:len(name)], name) && (len(signed) == len(name) || signed[len(name)] == ';') {
			return true
		}
		_, signed, _ = strings.Cut(signed, ";")
	}
	return false
}

func (s *Signature) checkPayload(rules *Rules) error {
	const form = "The value of 'X-Amz-Content-Sha256' must be the body's SHA-256 in lower-case hexadecimal digits."
	switch {
	case s.contentHash == unsigned, s.contentHash == "" && s.Presigned && rules.Path == PathAsSent:
		if !rules.UnsignedPayload {
			return refused(unsigned + " is not accepted here. " + form)
		}
		s.Payload = PayloadUnsigned
	case strings.HasPrefix(s.contentHash, streaming):
		if !rules.StreamingPayload {
			return refused("A streaming signature is not accepted here. " + form)
		}
		s.Payload = PayloadStreaming
	case s.contentHash == "":
	case len(s.contentHash) != 64 || strings.Trim(s.contentHash, "0123456789abcdef") != "":
		return refused(form)
	}
	return nil
}
