//go:build race

package conformance_test

// raceEnabled tells whether the tests, and with them the server under test,
// look for data races.
const raceEnabled = true
