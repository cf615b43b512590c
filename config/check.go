package config

import (
	"net"
	"net/netip"
	"reflect"
	"strconv"
)

// resolveSecrets finds the values of all secrets.
func (b *binder) resolveSecrets(v reflect.Value, path string, read func(string) ([]byte, error), env map[string]string, base string) {
	resolve := func(s *Secret, at string) {
		if s.IsSet() {
			if what, help := s.resolve(read, env, base); what != "" {
				b.reportAt(at, what, help)
			}
		}
	}
	for _, f := range fieldsOf(v.Type()) {
		inner, at := v.Field(f.index), join(path, f.name)
		switch t := inner.Type(); {
		case t == secretType:
			resolve(inner.Addr().Interface().(*Secret), at)
		case t.Kind() == reflect.Map:
			headers := inner.Interface().(map[string]HeaderValue)
			for _, name := range sortedKeys(headers) {
				h := headers[name]
				resolve(&h.Secret, join(at, name))
				headers[name] = h
			}
		case isGroup(t):
			b.resolveSecrets(inner, at, read, env, base)
		case t.Kind() == reflect.Slice && isGroup(t.Elem()):
			for i := range inner.Len() {
				b.resolveSecrets(inner.Index(i), at+"["+strconv.Itoa(i)+"]", read, env, base)
			}
		}
	}
}

// check reports what is wrong between keys that are right by themselves.
func (b *binder) check(c *Config, read func(string) ([]byte, error)) {
	b.checkTLS(c, read)
	if c.Keys == "open" && !b.wrong("keys") && !b.wrong("listen") && !IsLoopback(c.Listen) {
		b.reportAt("keys", "open lets anybody in, and listen is "+strconv.Quote(c.Listen)+", which is more than this machine",
			"write keys: required and make one with `outcrop keys add`, or listen: 127.0.0.1:8484")
	}
	for i := range c.Sim.Faults {
		b.checkFault(&c.Sim.Faults[i], "sim.faults["+strconv.Itoa(i)+"]")
	}
	ids := map[string]int{}
	for i := range c.Models {
		m, at := &c.Models[i], "models["+strconv.Itoa(i)+"]"
		if first, twice := ids[m.ID]; twice && m.ID != "" {
			b.reportAt(at+".id", "is also the id of models["+strconv.Itoa(first)+"]", "list all engines of a model below one id")
		} else {
			ids[m.ID] = i
		}
		b.checkModel(m, at)
	}
	b.checkOnDemand(&c.OnDemand)
	b.checkReserved(c.Reserved)
	b.checkS3(&c.S3)
	if c.Builtin == "none" && len(c.Models) == 0 && !b.wrong("models") {
		b.reportAt("builtin", "none leaves nothing to serve, since there are no models", "")
	}
}

// wrong reports whether a problem is known for the key, so that no second one
// should be made of it.
func (b *binder) wrong(path string) bool {
	for _, p := range b.problems {
		if p.Path == path {
			return true
		}
	}
	return false
}

// hasWrong reports whether a problem is known for a key right below path.
func (b *binder) hasWrong(path string) bool {
	for _, p := range b.problems {
		if parent(p.Path) == path {
			return true
		}
	}
	return false
}

// hasUnknown reports whether an unknown key stands right below path.
func (b *binder) hasUnknown(path string) bool {
	for _, p := range b.problems {
		if p.What == unknownKey && parent(p.Path) == path {
			return true
		}
	}
	return false
}

// IsLoopback reports whether an address to listen on can be reached from this
// machine alone.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (b *binder) checkTLS(c *Config, read func(string) ([]byte, error)) {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") && !b.wrong("tls.cert") && !b.wrong("tls.key") {
		have, lack := "tls.cert", "tls.key"
		if c.TLS.Cert == "" {
			have, lack = lack, have
		}
		b.reportAt(have, "needs "+lack+" beside it", "")
	}
	for _, f := range []struct{ path, file string }{{"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}} {
		if f.file == "" {
			continue
		}
		if _, err := read(f.file); err != nil {
			b.reportAt(f.path, "cannot read the file: "+reason(err), "")
		}
	}
}

func (b *binder) checkModel(m *Model, at string) {
	if m.Context > 0 && m.MaxOutput > m.Context {
		b.reportAt(at+".max_output", "is more than context, which counts the answer too", "")
	}
	b.checkUnit(&m.Unit, at+".unit")
	simulated, known, names := 0, 0, map[string]bool{}
	for j := range m.Engines {
		e, where := &m.Engines[j], at+".engines["+strconv.Itoa(j)+"]"
		if e.Kind == KindSim {
			simulated++
		}
		if e.Kind != "" {
			known++
		}
		if names[e.Name] {
			b.reportAt(where+".name", "is also the name of another engine of this model", "")
		}
		names[e.Name] = true
		b.checkEngine(e, where)
	}
	if simulated > 0 && simulated < known {
		b.reportAt(at+".engines", "mixes simulated engines with real ones, so callers would get invented answers among the true ones",
			"give the simulated engine a model of its own")
	}
}

func (b *binder) checkEngine(e *Engine, at string) {
	if b.wrong(at + ".kind") {
		return
	}
	// A misspelt url makes a wrong guess at the kind, and that would make
	// nonsense of the other keys.
	guessed := b.origins[at+".kind"].label != "" && b.hasUnknown(at)
	for _, f := range fieldsOf(engineType) {
		if _, set := b.origins[at+"."+f.name]; set && !f.belongsTo(e.Kind) && !guessed {
			b.reportAt(at+"."+f.name, "is not a key of engines of kind "+string(e.Kind), "kinds that have it: "+list(f.kinds))
		}
	}
	for i := range e.Faults {
		if b.origins[at+".faults"].label == "" {
			b.checkFault(&e.Faults[i], at+".faults["+strconv.Itoa(i)+"]")
		}
	}
	switch e.Kind {
	case KindOpenAI:
		b.needs(e.URL, at, "url", "write the engine's address: http://127.0.0.1:8000")
		b.needs(e.Model, at, "model", "write the name that the engine lists at /v1/models")
	case KindAnthropic:
		b.needs(e.Model, at, "model", "write the name that the engine knows, such as claude-sonnet-4-5")
	case KindBedrock:
		b.checkCredentials(e, at)
	}
}

func (b *binder) needs(value, at, key, help string) {
	if value == "" && !b.wrong(at+"."+key) {
		b.reportAt(at, "has no "+key, help)
	}
}

func (b *binder) checkCredentials(e *Engine, at string) {
	signed, bearer := e.AccessKey.IsSet() || e.SecretKey.IsSet(), e.Bearer.IsSet()
	for _, key := range []string{"access_key", "secret_key", "session_token", "bearer"} {
		if b.wrong(at + "." + key) {
			return
		}
	}
	switch {
	case signed && bearer:
		b.reportAt(at+".bearer", "stands beside access_key and secret_key", "keep one way to authenticate")
	case e.AccessKey.IsSet() != e.SecretKey.IsSet():
		b.reportAt(at, "has one of access_key and secret_key but not the other", "")
	case e.SessionToken.IsSet() && !signed:
		b.reportAt(at+".session_token", "stands without access_key and secret_key", "")
	case !signed && !bearer:
		b.reportAt(at, "has no credentials",
			"write access_key and secret_key, or bearer, each as { file: /path/to/file } or { env: NAME }")
	}
}

// checkFault reports settings that a fault of its kind lacks or ignores.
func (b *binder) checkFault(f *Fault, at string) {
	if f.Kind == "" {
		return
	}
	for _, part := range []struct {
		key    string
		set    bool
		wanted bool
	}{
		{"code", f.Code != "", f.Kind == "error"},
		{"delay", f.Delay != 0, f.Kind == "delay" || f.Kind == "slow"},
		{"tokens", f.Tokens != 0, f.Kind == "cut"},
	} {
		switch {
		case b.wrong(at + "." + part.key):
		case part.set && !part.wanted:
			b.reportAt(at+"."+part.key, "means nothing for kind "+f.Kind, "")
		case !part.set && part.wanted && part.key != "tokens":
			b.reportAt(at, "has no "+part.key+", which kind "+f.Kind+" needs", "")
		}
	}
}

func list(words []string) string {
	s := ""
	for i, w := range words {
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}
