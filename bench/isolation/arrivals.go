package isolation

import (
	"math"
	"math/rand/v2"
	"time"
)

// A source is an open-loop stream of requests: it sends at its times, whatever
// becomes of what it sent.
type source struct {
	kind    Kind
	tenant  string
	rate    float64 // requests a second
	cv      float64 // of the times between them; 1 is Poisson
	lengths Lengths
	r       *rand.Rand
	next    time.Duration
}

func newSource(k Kind, tenant string, rate, cv float64, l Lengths, seed uint64, number int) *source {
	s := &source{kind: k, tenant: tenant, rate: rate, cv: cv, lengths: l}
	s.r = rand.New(rand.NewPCG(seed, uint64(number)))
	s.advance()
	return s
}

// advance draws the time of the next request.
func (s *source) advance() {
	gap := s.r.ExpFloat64()
	if s.cv != 1 {
		shape := 1 / (s.cv * s.cv)
		gap = gamma(s.r, shape) / shape
	}
	s.next += time.Duration(gap / s.rate * float64(time.Second))
}

// gamma draws from the gamma distribution with scale 1, by the method of
// Marsaglia and Tsang (2000).
func gamma(r *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(r, shape+1) * math.Pow(1-r.Float64(), 1/shape)
	}
	d := shape - 1./3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := math.Pow(1+c*x, 3)
		if v > 0 && math.Log(1-r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
