//go:build !race

package upstream_test

const raced = false
