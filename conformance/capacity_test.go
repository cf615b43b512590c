package conformance_test

import "testing"

// smallCapacity has a limit, a unit and a reserved capacity that a call or two
// fill for minutes, and an engine that carries three units:
// .7 x 1/(3000/20000 + 600/8000).
const smallCapacity = `keys: open
log: {format: json, level: warn}
sim: {speed: 200}
provisioned: {max_wait: 0s}
on_demand:
  limits: [{model: "amazon.nova-lite-v1:0", requests_per_minute: 2}]
reserved:
  - {account: "000000000000", model: "amazon.nova-pro-v1:0", input_tokens_per_minute: 3, output_tokens_per_minute: 3000}
models:
  - {id: "amazon.nova-lite-v1:0", engines: [{kind: sim}]}
  - {id: "amazon.nova-pro-v1:0", engines: [{kind: sim}]}
  - id: ` + haiku + `
    unit: {input_tokens_per_minute: 3, output_tokens_per_minute: 3000}
    engines: [{kind: sim}]
  - id: anthropic.claude-3-sonnet-20240229-v1:0
    engines: [{kind: sim, capacity: {prefill: 20000, decode: 100, output: 8000, sequences: 256}}]
`

func TestBoto3MeetsLimitsAndUnits(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, smallCapacity)
	suite(t, s.withExtras(t), t.TempDir(), python, script("capacity.py"))
}
