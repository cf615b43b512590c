package isolation

import (
	"math"
	"strconv"
)

// A Figure is a number that may be infinite, for what never came, or NaN, for
// what there is none of. JSON has "never" and null for these.
type Figure float64

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	switch v := float64(f); {
	case math.IsNaN(v):
		return []byte("null"), nil
	case math.IsInf(v, 0):
		return []byte(`"never"`), nil
	default:
		return strconv.AppendFloat(nil, v, 'g', 6, 64), nil
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Figure) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*f = Figure(math.NaN())
	case `"never"`:
		*f = Figure(math.Inf(1))
	default:
		v, err := strconv.ParseFloat(string(b), 64)
		*f = Figure(v)
		return err
	}
	return nil
}
