//go:build race

package upstream_test

// The race detector makes sync.Pool forget at random.
const raced = true
