//go:build race

package simulation_test

// raceEnabled tells whether the tests look for data races, of which a world
// has none: it is one goroutine.
const raceEnabled = true
