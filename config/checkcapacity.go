package config

import "strconv"

// checkUnit wants input and output, or both together, or nothing.
func (b *binder) checkUnit(u *Unit, at string) {
	apart := u.InputTokensPerMinute > 0 || u.OutputTokensPerMinute > 0
	switch {
	case apart && u.TokensPerMinute > 0:
		b.reportAt(at+".tokens_per_minute", "stands beside input_tokens_per_minute or output_tokens_per_minute",
			"limit input and output apart, or both together")
	case u.InputTokensPerMinute > 0 && u.OutputTokensPerMinute == 0 && !b.wrong(at+".output_tokens_per_minute"):
		b.reportAt(at, "has input_tokens_per_minute but not output_tokens_per_minute", "")
	case u.OutputTokensPerMinute > 0 && u.InputTokensPerMinute == 0 && !b.wrong(at+".input_tokens_per_minute"):
		b.reportAt(at, "has output_tokens_per_minute but not input_tokens_per_minute", "")
	}
}

// checkOnDemand wants one rule for a scope, and each to say something.
func (b *binder) checkOnDemand(o *OnDemand) {
	seen := map[[2]string]int{}
	for i := range o.Limits {
		l, at := &o.Limits[i], "on_demand.limits["+strconv.Itoa(i)+"]"
		scope := [2]string{l.Account, l.Model}
		first, twice := seen[scope]
		switch {
		case twice:
			b.reportAt(at, "is for the same account and model as on_demand.limits["+strconv.Itoa(first)+"]", "put all limits of a scope into one entry")
		case l.RequestsPerMinute == 0 && l.TokensPerMinute == 0 && l.TokensPerDay == 0 && !b.hasWrong(at):
			b.reportAt(at, "limits nothing", "write requests_per_minute, tokens_per_minute or tokens_per_day")
		}
		seen[scope] = i
	}
}

// checkReserved wants one capacity of an account for a model.
func (b *binder) checkReserved(list []Reserved) {
	seen := map[[2]string]int{}
	for i := range list {
		scope := [2]string{list[i].Account, list[i].Model}
		if first, twice := seen[scope]; twice && scope[0] != "" && scope[1] != "" {
			b.reportAt("reserved["+strconv.Itoa(i)+"]", "is for the same account and model as reserved["+strconv.Itoa(first)+"]", "")
		}
		seen[scope] = i
	}
}
