package outcrop

import "strings"

// A Principal is who calls: the holder of a key. Principals are immutable and
// shared between requests.
type Principal struct {
	KeyID   string // access key id, or the public id of an API key
	Account string // 12 digits
	ARN     string
	// Actions and Models limit what the key may do. An entry is an action
	// such as "bedrock:InvokeModel", or a model id; '*' in it stands for any
	// run of characters. An empty list allows everything.
	Actions []string
	Models  []string
}

// MayDo reports whether the principal may perform the IAM action, for
// example "bedrock:InvokeModel".
func (p *Principal) MayDo(action string) bool { return allowed(p.Actions, action) }

// MayUse reports whether the principal may use the model with the card id.
func (p *Principal) MayUse(model string) bool { return allowed(p.Models, model) }

func allowed(patterns []string, s string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if Match(p, s) {
			return true
		}
	}
	return false
}

// Match reports whether s matches pattern, in which '*' stands for any run of
// characters and every other character for itself.
func Match(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for {
		next, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(s, rest)
		}
		i := strings.Index(s, next)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(next):], more
	}
}
