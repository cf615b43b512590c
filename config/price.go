package config

import (
	"math"

	"github.com/outcrop/outcrop"
)

// A Price is what a million tokens cost on demand, in US dollars, and what share
// of that other ways of service cost.
type Price struct {
	// A million tokens of input.
	Input Dollars `yaml:"input" since:"0.2"`
	// A million tokens of output.
	Output Dollars `yaml:"output" since:"0.2"`
	// A million tokens of input that are read from a prompt cache; as much as other input without it.
	CacheRead Dollars `yaml:"cache_read" since:"0.2"`
	// A million tokens of input that are written to a prompt cache; as much as other input without it.
	CacheWrite Dollars `yaml:"cache_write" since:"0.2"`
	// Share of the price in batch jobs.
	Batch Percent `yaml:"batch" default:"50%" since:"0.2"`
	// Share of the price in service tier flex.
	Flex Percent `yaml:"flex" default:"50%" since:"0.2"`
	// What service tier priority costs beyond the price.
	PrioritySurcharge Percent `yaml:"priority_surcharge" default:"75%" since:"0.2"`
}

// card returns the price as cards have it, nil if the file says nothing.
func (p *Price) card() *outcrop.Price {
	if p.Input == 0 && p.Output == 0 {
		return nil
	}
	or := func(d Dollars) outcrop.NanoDollars {
		if d == 0 {
			return outcrop.NanoDollars(p.Input)
		}
		return outcrop.NanoDollars(d)
	}
	return &outcrop.Price{
		Input: outcrop.NanoDollars(p.Input), Output: outcrop.NanoDollars(p.Output), CacheRead: or(p.CacheRead), CacheWrite: or(p.CacheWrite),
		Batch: p.Batch.whole(), Flex: p.Flex.whole(), Priority: 100 + p.PrioritySurcharge.whole(),
	}
}

// whole is the share in whole percent.
func (p Percent) whole() int { return int(math.Round(float64(p) * 100)) }
