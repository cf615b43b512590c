package outcrop

// A Price says what a million tokens of a model cost on demand, by kind, and
// what share of that other ways of service cost, in percent. It is immutable
// once loaded.
type Price struct {
	Input, Output, CacheRead, CacheWrite NanoDollars
	Batch, Flex, Priority                int
}
