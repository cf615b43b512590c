package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
)

// setKinds decides the kind of each engine that does not name it.
func (b *binder) setKinds(c *Config) {
	for i := range c.Models {
		for j := range c.Models[i].Engines {
			e, at := &c.Models[i].Engines[j], enginePath(i, j)
			if _, named := b.origins[at+".kind"]; named {
				continue
			}
			e.Kind = KindSim
			if _, hasURL := b.origins[at+".url"]; hasURL {
				e.Kind = KindOpenAI
			}
			b.origins[at+".kind"] = origin{label: "default"}
		}
	}
}

func enginePath(i, j int) string {
	return "models[" + strconv.Itoa(i) + "].engines[" + strconv.Itoa(j) + "]"
}

// setDefaults gives each key without a value its default.
func (b *binder) setDefaults(v reflect.Value, path string, kind Kind) {
	if v.Type() == engineType {
		kind = v.Interface().(Engine).Kind
	}
	for _, f := range fieldsOf(v.Type()) {
		inner, at := v.Field(f.index), join(path, f.name)
		if kind != "" && !f.belongsTo(kind) {
			continue
		}
		_, set := b.origins[at]
		switch {
		case isGroup(inner.Type()):
			b.setDefaults(inner, at, kind)
		case inner.Kind() == reflect.Slice && isGroup(inner.Type().Elem()):
			for i := range inner.Len() {
				b.setDefaults(inner.Index(i), at+"["+strconv.Itoa(i)+"]", kind)
			}
		case f.hasDef && !set:
			if what, _ := setScalar(inner, &f, f.def); what != "" {
				panic("config: default of " + at + " " + what)
			}
			b.origins[at] = origin{label: "default"}
		}
	}
}

// setDerived fills in what follows from other keys.
func (b *binder) setDerived(c *Config) {
	base := filepath.Dir(c.file)
	for path, p := range map[string]*string{"data": &c.Data, "tls.cert": &c.TLS.Cert, "tls.key": &c.TLS.Key} {
		if b.origins[path].line > 0 && *p != "" {
			*p = under(base, *p)
		}
	}
	for i := range c.Models {
		used := names{}
		for _, e := range c.Models[i].Engines {
			used[e.Name] = 1
		}
		for j := range c.Models[i].Engines {
			b.deriveEngine(c, &c.Models[i], &c.Models[i].Engines[j], enginePath(i, j), used)
		}
	}
}

func (b *binder) deriveEngine(c *Config, m *Model, e *Engine, at string, used names) {
	switch e.Kind {
	case KindSim:
		b.inherit(at, "speed", func() { e.Speed = c.Sim.Speed })
		b.inherit(at, "seed", func() { e.Seed = c.Sim.Seed })
		b.inherit(at, "replies", func() { e.Replies = c.Sim.Replies })
		b.inherit(at, "faults", func() { e.Faults = c.Sim.Faults })
	case KindBedrock:
		b.derive(at+".region", func() { e.Region = c.Region })
		b.derive(at+".model", func() { e.Model = m.ID })
		b.derive(at+".url", func() { e.URL = "https://bedrock-runtime." + e.Region + ".amazonaws.com" })
	case KindAnthropic:
		b.derive(at+".url", func() { e.URL = "https://api.anthropic.com" })
	}
	b.derive(at+".name", func() { e.Name = used.free(engineName(e)) })
}

// derive calls fill, unless the key has a value already.
func (b *binder) derive(path string, fill func()) {
	if _, set := b.origins[path]; !set {
		fill()
		b.origins[path] = origin{label: "derived"}
	}
}

// inherit is derive for a key of an engine that a key of sim stands in for.
func (b *binder) inherit(at, key string, fill func()) {
	path := at + "." + key
	if _, set := b.origins[path]; !set {
		fill()
		b.origins[path] = origin{label: "sim." + key}
	}
}

func engineName(e *Engine) string {
	u, err := url.Parse(e.URL)
	switch {
	case e.Kind == KindSim || err != nil || u.Host == "":
		return string(e.Kind)
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// names are those in use, each with the last number given out behind it.
type names map[string]int

// free returns name, with a number behind it if it is in use, and takes it.
func (n names) free(name string) string {
	if _, used := n[name]; !used {
		n[name] = 1
		return name
	}
	for {
		n[name]++
		numbered := fmt.Sprintf("%s#%d", name, n[name])
		if _, used := n[numbered]; !used {
			n[numbered] = 1
			return numbered
		}
	}
}
