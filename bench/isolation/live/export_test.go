package live

// Configuration is the gateway's configuration file, for the tests.
var Configuration = configuration

// Body is the body of a request with so many tokens, for the tests.
func Body(prompt, output int) []byte {
	return newText(20_000).body(123, due{prompt: prompt, output: output})
}

// Schedule is what a plan sends, for the tests.
func Schedule(p *Plan, yield func(seed uint64, tenant string, at int64, prompt, output int)) {
	p.schedule(func(d due) bool {
		yield(d.seed, d.tenant, int64(d.at), d.prompt, d.output)
		return true
	})
}
