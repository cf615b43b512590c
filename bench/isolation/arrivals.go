package isolation

import (
	"math"
	"math/rand/v2"
	"time"
)

// A Source is an open-loop stream of the requests of one tenant: it sends at
// its times, whatever becomes of what it sent. It is for one goroutine.
type Source struct {
	Kind    Kind
	Tenant  string
	rate    float64 // requests a second
	cv      float64 // of the times between them; 1 is Poisson
	lengths Lengths
	r       *rand.Rand
	next    time.Duration
}

func newSource(k Kind, tenant string, rate, cv float64, l Lengths, seed uint64, number int) *Source {
	s := &Source{Kind: k, Tenant: tenant, rate: rate, cv: cv, lengths: l}
	s.r = rand.New(rand.NewPCG(seed, uint64(number)))
	s.advance()
	return s
}

// At is when the next request is to be sent, from the beginning of the run.
func (s *Source) At() time.Duration { return s.next }

// Take returns the lengths of the next request and goes on to the one after
// it.
func (s *Source) Take() (prompt, output int) {
	prompt, output = s.lengths.Draw(s.r)
	s.advance()
	return prompt, output
}

// advance draws the time of the next request.
func (s *Source) advance() {
	gap := s.r.ExpFloat64()
	if s.cv != 1 {
		shape := 1 / (s.cv * s.cv)
		gap = gamma(s.r, shape) / shape
	}
	s.next += time.Duration(gap / s.rate * float64(time.Second))
}

// Sources are the streams of the setup but for its backlog. The same setup and
// seed always have the same requests.
func (s Setup) Sources() (all []*Source) {
	n := float64(s.Engines)
	add := func(k Kind, rate float64, tenants int) {
		for i, tenant := range k.Tenants(tenants) {
			if rate > 0 {
				all = append(all, newSource(k, tenant, rate/float64(tenants), s.CV, s.Lengths, s.Seed, int(k)*100+i))
			}
		}
	}
	add(Provisioned, s.Provisioned*n, s.Units)
	add(OnDemand, s.OnDemand*n, s.Tenants)
	add(Aggressor, s.Aggressor*n, 1)
	return all
}

// Backlog returns the lengths of the requests of the backlog; its times mean
// nothing.
func (s Setup) Backlog() *Source { return newSource(Batch, "job", 1, 1, s.Lengths, s.Seed, 1000) }

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
