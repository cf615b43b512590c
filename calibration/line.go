package calibration

import (
	"math"
	"slices"
)

// A point is one measured value y at x and z.
type point struct{ x, z, y float64 }

// A line is y = base + slope·max(x, knee) + context·z.
type line struct{ base, slope, knee, context float64 }

func (l line) at(x, z float64) float64 {
	return l.base + l.slope*max(x, l.knee) + l.context*z
}

// residual tells how far l is from the points.
func (l line) residual(points []point) Residual {
	r := Residual{Samples: len(points)}
	for _, p := range points {
		miss := math.Abs(l.at(p.x, p.z)/p.y - 1)
		r.Typical += miss * miss
		r.Worst = max(r.Worst, miss)
	}
	r.Typical = math.Sqrt(r.Typical / float64(len(points)))
	return r
}

// loss is what fits make as small as they can: the sum of the squares of the
// relative errors, so that short times count as much as long ones.
func (l line) loss(points []point) float64 {
	sum := 0.0
	for _, p := range points {
		miss := l.at(p.x, p.z)/p.y - 1
		sum += miss * miss
	}
	return sum
}

// fit returns the line of the least loss that has no negative slope. It has a
// knee only where that takes a fifth of the loss away: with noise there is
// always one that is a little better.
func fit(points []point) line {
	best := straight(points)
	most := best.loss(points) * 0.8
	xs := values(points)
	for i := 0; i+2 < len(xs); i++ {
		l, ok := bent(points, xs[i], xs[i+1])
		if !ok {
			continue
		}
		if loss := l.loss(points); loss < most {
			best, most = l, loss
		}
	}
	return best
}

// robust is fit without the points that are far off the others: at most one in
// ten, each of which must be to blame for three quarters of the loss, and only
// as long as the typical error is 3 % or more. One hiccup of the machine would otherwise turn the line over.
func robust(points []point) (l line, kept []point) {
	l, kept = fit(points), points
	for range len(points) / 10 {
		const fine, blame = 0.03, 0.25
		if l.residual(kept).Typical < fine {
			break
		}
		best, most, at := l, l.loss(kept)*blame, -1
		for i := range kept {
			rest := slices.Delete(slices.Clone(kept), i, i+1)
			without := fit(rest)
			if loss := without.loss(rest); loss < most {
				best, most, at = without, loss, i
			}
		}
		if at < 0 {
			break
		}
		l, kept = best, slices.Delete(slices.Clone(kept), at, at+1)
	}
	return l, kept
}

// values returns the distinct x of the points, in order.
func values(points []point) []float64 {
	xs := make([]float64, len(points))
	for i, p := range points {
		xs[i] = p.x
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

func distinct(points []point) int { return len(values(points)) }

// straight fits a line without a knee. A term whose coefficient would be
// negative, or that the points do not tell, is left out.
func straight(points []point) line {
	one := func(point) float64 { return 1 }
	x := func(p point) float64 { return p.x }
	z := func(p point) float64 { return p.z }
	if w, ok := solve(points, one, x, z); ok && w[1] >= 0 && w[2] >= 0 {
		return line{base: w[0], slope: w[1], context: w[2]}
	}
	if w, ok := solve(points, one, x); ok && w[1] >= 0 {
		return line{base: w[0], slope: w[1]}
	}
	if w, ok := solve(points, one, z); ok && w[1] >= 0 {
		return line{base: w[0], context: w[1]}
	}
	w, _ := solve(points, one)
	return line{base: w[0]}
}

// bent fits a line whose knee lies between two neighbouring x. First it fits a
// level up to the lower and a slope from the higher on: the knee is where they
// meet. Then the line with that knee. So that the slope is not made of the
// knee itself and a single point, the knee must stay clear of the higher x by
// a tenth of the distance; it may be as much below the lower one instead.
func bent(points []point, low, high float64) (l line, ok bool) {
	level := func(p point) float64 { return indicator(p.x <= low) }
	base := func(p point) float64 { return indicator(p.x >= high) }
	slope := func(p point) float64 { return p.x * indicator(p.x >= high) }
	context := func(p point) float64 { return p.z }
	w, ok := solve(points, level, base, slope, context)
	if !ok {
		w, ok = solve(points, level, base, slope)
	}
	if !ok || w[2] <= 0 {
		return l, false
	}
	knee, clear := (w[0]-w[1])/w[2], (high-low)/10
	if knee < low-clear || knee > high-clear {
		return l, false
	}
	knee = max(knee, low)
	bend := make([]point, len(points))
	for i, p := range points {
		bend[i] = point{x: max(p.x, knee), z: p.z, y: p.y}
	}
	l = straight(bend)
	l.knee = knee
	return l, l.slope > 0
}

func indicator(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// solve returns the weights of the terms with the least squares of relative
// errors; ok is false if the points do not determine them.
func solve(points []point, terms ...func(point) float64) (w []float64, ok bool) {
	n := len(terms)
	rows := make([][]float64, len(points))
	scale := make([]float64, n)
	for i, p := range points {
		rows[i] = make([]float64, n)
		for k, term := range terms {
			rows[i][k] = term(p) / p.y
			scale[k] = max(scale[k], math.Abs(rows[i][k]))
		}
	}
	if slices.Min(scale) == 0 {
		return nil, false
	}
	normal := make([][]float64, n) // and the right side in the last column
	for k := range normal {
		normal[k] = make([]float64, n+1)
		for _, row := range rows {
			for j := range n {
				normal[k][j] += row[k] / scale[k] * row[j] / scale[j]
			}
			normal[k][n] += row[k] / scale[k]
		}
	}
	if w, ok = eliminate(normal); !ok {
		return nil, false
	}
	for k := range w {
		w[k] /= scale[k]
	}
	return w, true
}

// eliminate solves a system of linear equations (Gauss, with pivots); ok is
// false if it is singular, or so nearly that the result would be noise.
func eliminate(m [][]float64) (w []float64, ok bool) {
	const singular = 1e-10
	n := len(m)
	for k := range n {
		pivot := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i][k]) > math.Abs(m[pivot][k]) {
				pivot = i
			}
		}
		m[k], m[pivot] = m[pivot], m[k]
		if math.Abs(m[k][k]) < singular {
			return nil, false
		}
		for i := k + 1; i < n; i++ {
			f := m[i][k] / m[k][k]
			for j := k; j <= n; j++ {
				m[i][j] -= f * m[k][j]
			}
		}
	}
	w = make([]float64, n)
	for k := n - 1; k >= 0; k-- {
		w[k] = m[k][n]
		for j := k + 1; j < n; j++ {
			w[k] -= m[k][j] * w[j]
		}
		w[k] /= m[k][k]
	}
	return w, true
}
