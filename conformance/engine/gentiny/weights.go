package main

import (
	"math"
	"math/rand/v2"
)

// A ggmlType is how weights are stored.
type ggmlType uint32

// The types of weights, by their numbers in GGUF.
const (
	f32 ggmlType = 0
	f16 ggmlType = 1
	q8  ggmlType = 8 // blocks of 32: a half-precision scale and 32 bytes
)

// A role says what is special about a tensor's values.
type role int

const (
	plain     role = iota
	ones           // norms
	embedding      // column 0 holds the constant
	output         // column 0 holds the logit biases
	residual       // row 0 writes dimension 0 of the residual stream: zero
)

type tensor struct {
	name          string
	columns, rows int // rows 0: a vector
	weights       ggmlType
	deviation     float64
	role          role
}

// size is the number of bytes that the tensor's data takes.
func (t tensor) size() uint64 {
	n := uint64(t.columns) * uint64(max(t.rows, 1))
	return map[ggmlType]uint64{f32: 4 * n, f16: 2 * n, q8: n / 32 * 34}[t.weights]
}

func (s spec) tensors() []tensor {
	in, wide := 1/math.Sqrt(float64(s.dim)), 1/math.Sqrt(float64(s.ff))
	narrow := s.dim / s.heads * s.kv
	all := []tensor{
		{"token_embd.weight", s.dim, s.vocab, s.weights, 1, embedding},
		{"output_norm.weight", s.dim, 0, f32, 0, ones},
		{"output.weight", s.dim, s.vocab, s.weights, 2 * in, output},
	}
	for i := range s.layers {
		all = append(all,
			tensor{block(i, "attn_norm"), s.dim, 0, f32, 0, ones},
			tensor{block(i, "attn_q"), s.dim, s.dim, s.weights, in, plain},
			tensor{block(i, "attn_k"), s.dim, narrow, s.weights, in, plain},
			tensor{block(i, "attn_v"), s.dim, narrow, s.weights, in, plain},
			tensor{block(i, "attn_output"), s.dim, s.dim, s.weights, in, residual},
			tensor{block(i, "ffn_norm"), s.dim, 0, f32, 0, ones},
			tensor{block(i, "ffn_gate"), s.dim, s.ff, s.weights, in, plain},
			tensor{block(i, "ffn_up"), s.dim, s.ff, s.weights, in, plain},
			tensor{block(i, "ffn_down"), s.ff, s.dim, s.weights, wide, residual})
	}
	return all
}

// constant is what dimension 0 of the residual stream holds, in units of a
// normal embedding entry.
const constant float32 = 4

// weights writes the data of all tensors.
func (w *writer) weights(s spec, v vocabulary, tensors []tensor) {
	rng := rand.New(rand.NewPCG(s.seed, 0))
	row := make([]float32, max(s.dim, s.ff))
	for _, t := range tensors {
		for r := range max(t.rows, 1) {
			x := row[:t.columns]
			for c := range x {
				x[c] = float32(rng.NormFloat64() * t.deviation)
			}
			s.shape(t, r, x, v)
			w.row(t.weights, x)
		}
		w.align()
	}
}

// shape gives row r of the tensor what is special about it.
func (s spec) shape(t tensor, r int, x []float32, v vocabulary) {
	switch {
	case t.role == ones:
		for c := range x {
			x[c] = 1
		}
	case t.role == embedding:
		x[0] = constant
	case t.role == output:
		x[0] = 0
		if r == int(endToken) && s.end > -1e8 {
			x[0] = float32(s.end) / constant
		} else if !v.text[r] {
			x[0] = -60
		}
	case t.role == residual && r == 0:
		clear(x)
	}
}

// row writes one row of weights.
func (w *writer) row(t ggmlType, x []float32) {
	switch t {
	case f32:
		w.put(x)
	case f16:
		h := make([]uint16, len(x))
		for c := range x {
			h[c] = half(x[c])
		}
		w.put(h)
	case q8:
		for b := 0; b < len(x); b += 32 {
			w.quantized(x[b : b+32])
		}
	}
}

func (w *writer) quantized(x []float32) {
	largest := float32(0)
	for _, y := range x {
		largest = max(largest, float32(math.Abs(float64(y))))
	}
	scale := largest / 127
	q := make([]int8, len(x))
	for c := range q {
		if scale > 0 {
			q[c] = int8(math.RoundToEven(float64(x[c] / scale)))
		}
	}
	w.put(half(scale), q)
}

// half is f in half precision; subnormals become zero, for weights this small
// do not matter.
func half(f float32) uint16 {
	b := math.Float32bits(f)
	sign, exponent, mantissa := uint16(b>>16&0x8000), int(b>>23&0xff)-112, b&0x7fffff
	switch {
	case exponent <= 0:
		return sign
	case exponent >= 31:
		return sign | 0x7c00
	}
	return sign | uint16(exponent<<10) + uint16((mantissa+0x1000)>>13)
}
