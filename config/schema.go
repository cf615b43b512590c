package config

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema returns the JSON schema (draft 2020-12) of the configuration file.
// It knows the keys, their kinds, words and units; rules between keys are
// Load's alone. The test of this package writes it with -update.
func Schema() []byte { return append([]byte(nil), schema...) }
