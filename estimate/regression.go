package estimate

// terms is the most coefficients that a regression fits.
const terms = 3

// A regression fits y = w·x by recursive least squares with forgetting
// (Haykin, Adaptive Filter Theory, chapter on RLS). What it was given at first
// counts as a prior and fades as samples come.
type regression struct {
	w      [terms]float64
	p      [terms][terms]float64 // covariance of w over that of the noise
	prior  [terms]float64        // diagonal of p at first: no coefficient becomes less certain
	spread float64               // mean absolute error
	count  int
}

const (
	// forgetting is the weight that a sample loses to each one after it: the
	// last hundred count.
	forgetting = 0.99
	// outlier is how many times the usual error an error counts at most.
	outlier = 3
	// trusted is how many samples it takes to know what is usual.
	trusted = 10
)

func newRegression(w, certainty [terms]float64) regression {
	r := regression{w: w, prior: certainty}
	for i, v := range certainty {
		r.p[i][i] = v
	}
	return r
}

func (r *regression) predict(x [terms]float64) float64 {
	y := 0.0
	for i := range x {
		y += r.w[i] * x[i]
	}
	return y
}

// add learns one sample.
func (r *regression) add(x [terms]float64, y float64) {
	miss := r.bounded(y - r.predict(x))
	var px [terms]float64
	for i := range px {
		for k := range x {
			px[i] += r.p[i][k] * x[k]
		}
	}
	scale := forgetting
	for i := range x {
		scale += x[i] * px[i]
	}
	for i := range px {
		r.w[i] += px[i] / scale * miss
		for k := range px {
			r.p[i][k] = (r.p[i][k] - px[i]*px[k]/scale) / forgetting
		}
	}
	r.settle()
}

// bounded keeps single wild samples from turning the fit over. A lasting change
// makes itself the usual within some tens of samples.
func (r *regression) bounded(miss float64) float64 {
	size := max(miss, -miss)
	r.count++
	if r.count <= trusted {
		r.spread += (size - r.spread) / float64(r.count)
		return miss
	}
	most := outlier * r.spread
	r.spread += (min(size, 2*most+1e-9) - r.spread) / 20
	return min(max(miss, -most), most)
}

// settle keeps the covariance symmetric and within the prior, which samples
// that are all alike would let grow without end.
func (r *regression) settle() {
	for i := range terms {
		for k := range i {
			mean := (r.p[i][k] + r.p[k][i]) / 2
			r.p[i][k], r.p[k][i] = mean, mean
		}
	}
	for i := range terms {
		if r.p[i][i] <= r.prior[i] {
			continue
		}
		for k := range terms {
			if k != i {
				r.p[i][k], r.p[k][i] = 0, 0
			}
		}
		r.p[i][i] = r.prior[i]
	}
}
