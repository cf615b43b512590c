package sigv4

import (
	"encoding/hex"
	"strings"
)

// Limits on what is read at all; real requests stay far below.
const (
	maxURI    = 16 << 10
	maxFields = 256
	maxSigned = 100
	maxKeyID  = 128
)

// The parameters of a presigned URL; Token is the only one that may be absent.
const (
	queryAlgorithm  = "X-Amz-Algorithm"
	queryCredential = "X-Amz-Credential"
	queryDate       = "X-Amz-Date"
	queryExpires    = "X-Amz-Expires"
	querySigned     = "X-Amz-SignedHeaders"
	querySignature  = "X-Amz-Signature"
	queryToken      = "X-Amz-Security-Token"
)

// head is what the header fields say about credentials.
type head struct {
	authorization, date, token, contentHash string
	hasAuthorization                        bool
}

// read finds the credentials and checks their form.
func read(r *Request) (Signature, error) {
	if err := checkTarget(r.URI); err != nil {
		return Signature{}, err
	}
	h, err := readHead(r.Fields)
	if err != nil {
		return Signature{}, err
	}
	_, query, _ := strings.Cut(r.URI, "?")
	inQuery, err := readQuery(query)
	if err != nil {
		return Signature{}, err
	}
	switch {
	case h.hasAuthorization && inQuery.any:
		return Signature{}, incomplete("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified.")
	case h.hasAuthorization:
		return h.signature()
	case inQuery.any:
		return inQuery.signature(&h)
	}
	return Signature{}, &Error{FaultMissing, "Missing Authentication Token"}
}

// checkTarget refuses the absolute form, which would replace the Host, and
// bytes that no target holds.
func checkTarget(uri string) error {
	if uri == "" || uri[0] != '/' || len(uri) > maxURI {
		return incomplete("The request target must be a path of at most 16384 bytes.")
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c == 0x7f || c == '#' {
			return incomplete("The request target holds a character that is not allowed there.")
		}
	}
	return nil
}

// readHead picks the fields that count and refuses doubled ones.
func readHead(fields []Field) (head, error) {
	var h head
	if len(fields) > maxFields {
		return h, incomplete("The request has too many header fields.")
	}
	for i, f := range fields {
		if !once(f.Name) {
			continue
		}
		if seen(fields[:i], f.Name) || sameName(f.Name, "host") {
			return h, incomplete("The header '" + strings.ToLower(f.Name) + "' must not occur twice.")
		}
		switch {
		case sameName(f.Name, "authorization"):
			h.authorization, h.hasAuthorization = trim(f.Value), true
		case sameName(f.Name, "x-amz-date"):
			h.date = trim(f.Value)
		case sameName(f.Name, "x-amz-security-token"):
			h.token = trim(f.Value)
		case sameName(f.Name, "x-amz-content-sha256"):
			h.contentHash = trim(f.Value)
		}
	}
	return h, nil
}

// once reports whether a header of that name may occur only once.
func once(name string) bool {
	for _, known := range [...]string{"host", "authorization", "content-type", "content-length"} {
		if sameName(name, known) {
			return true
		}
	}
	return isAmz(name)
}

func isAmz(name string) bool { return len(name) >= 6 && sameName(name[:6], "x-amz-") }

func seen(fields []Field, name string) bool {
	for _, f := range fields {
		if sameName(f.Name, name) {
			return true
		}
	}
	return false
}

// signature reads the Authorization header.
func (h *head) signature() (Signature, error) {
	rest, ok := strings.CutPrefix(h.authorization, Algorithm+" ")
	if !ok {
		return Signature{}, incomplete("The Authorization header must start with '" + Algorithm + "' or 'Bearer'.")
	}
	var credential, signed, mac string
	for more := true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		name, value, found := strings.Cut(strings.Trim(part, " "), "=")
		into := slot(name, &credential, &signed, &mac)
		if !found || into == nil || *into != "" || value == "" {
			return Signature{}, incomplete("The Authorization header must hold 'Credential', 'SignedHeaders' and 'Signature', each once, as key=value pairs.")
		}
		*into = value
	}
	if err := h.complete(credential, signed, mac); err != nil {
		return Signature{}, err
	}
	s := Signature{Token: h.token, stamp: h.date, signed: signed, contentHash: h.contentHash}
	return s.fill(credential, mac)
}

// slot returns where the value of the parameter belongs; nil if there is none
// of that name.
func slot(name string, credential, signed, mac *string) *string {
	switch name {
	case "Credential":
		return credential
	case "SignedHeaders":
		return signed
	case "Signature":
		return mac
	}
	return nil
}

func (h *head) complete(credential, signed, mac string) error {
	var missing []string
	need := func(value, message string) {
		if value == "" {
			missing = append(missing, message)
		}
	}
	need(credential, "Authorization header requires 'Credential' parameter.")
	need(mac, "Authorization header requires 'Signature' parameter.")
	need(signed, "Authorization header requires 'SignedHeaders' parameter.")
	need(h.date, "Authorization header requires existence of an 'X-Amz-Date' header.")
	if len(missing) > 0 {
		return incomplete(strings.Join(missing, " "))
	}
	return nil
}

// fill takes the credential and the signature apart.
func (s *Signature) fill(credential, mac string) (Signature, error) {
	const form = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
	keyID, scope, ok := strings.Cut(credential, "/")
	if !ok || keyID == "" || len(keyID) > maxKeyID || strings.Count(scope, "/") != 3 || !visible(credential) {
		return Signature{}, incomplete(form)
	}
	rest := scope
	s.KeyID, s.scope = keyID, scope
	s.Scope.Day, rest, _ = strings.Cut(rest, "/")
	s.Scope.Region, rest, _ = strings.Cut(rest, "/")
	s.Scope.Service, s.term, _ = strings.Cut(rest, "/")
	if len(mac) != 2*len(s.mac) || strings.ToLower(mac) != mac {
		return Signature{}, incomplete("'Signature' must be 64 lower-case hexadecimal digits.")
	}
	if _, err := hex.Decode(s.mac[:], []byte(mac)); err != nil {
		return Signature{}, incomplete("'Signature' must be 64 lower-case hexadecimal digits.")
	}
	if s.Time, ok = parseTime(s.stamp); !ok {
		return Signature{}, incomplete("Date must be in ISO-8601 'basic format', as in '20110909T233600Z'.")
	}
	return *s, nil
}

// visible reports whether s holds nothing but visible ASCII.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// presigned is what a query says about credentials.
type presigned struct {
	any                                                      bool
	algorithm, credential, date, expires, signed, mac, token string
}

// readQuery checks the form of the whole query and picks the parameters of a
// presigned URL.
func readQuery(query string) (presigned, error) {
	var p presigned
	if query == "" {
		return p, nil
	}
	for piece := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(piece, "=")
		if name == "" || !escaped(name) || !escaped(value) {
			return p, incomplete("The query string is malformed.")
		}
		name = unescape(name)
		if !isAmz(name) || !authParameter(name) {
			continue
		}
		p.any = true
		into := p.place(name)
		if into == nil || *into != "" || value == "" {
			return p, incomplete("The query parameter '" + name + "' is malformed or occurs twice.")
		}
		*into = unescape(value)
	}
	return p, nil
}

// authParameter reports whether name, in any case, is one of a presigned
// URL's.
func authParameter(name string) bool {
	for _, known := range [...]string{queryAlgorithm, queryCredential, queryDate, queryExpires, querySigned, querySignature, queryToken} {
		if sameName(name, known) {
			return true
		}
	}
	return false
}

func (p *presigned) place(name string) *string {
	switch name {
	case queryAlgorithm:
		return &p.algorithm
	case queryCredential:
		return &p.credential
	case queryDate:
		return &p.date
	case queryExpires:
		return &p.expires
	case querySigned:
		return &p.signed
	case querySignature:
		return &p.mac
	case queryToken:
		return &p.token
	}
	return nil
}

func (p *presigned) signature(h *head) (Signature, error) {
	for _, part := range [...]struct{ name, value string }{
		{queryAlgorithm, p.algorithm}, {queryCredential, p.credential}, {querySignature, p.mac},
		{querySigned, p.signed}, {queryDate, p.date}, {queryExpires, p.expires},
	} {
		if part.value == "" {
			return Signature{}, incomplete("AWS query-string parameters must include '" + part.name + "'.")
		}
	}
	if p.algorithm != Algorithm {
		return Signature{}, incomplete("X-Amz-Algorithm must be '" + Algorithm + "'.")
	}
	if h.date != "" || h.token != "" {
		return Signature{}, incomplete("A presigned request carries its date and its security token in the query alone.")
	}
	s := Signature{Token: p.token, Presigned: true, stamp: p.date, signed: p.signed, lifetime: p.expires, contentHash: h.contentHash}
	return s.fill(p.credential, p.mac)
}
