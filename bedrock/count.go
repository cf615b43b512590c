package bedrock

import (
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// countMembers are those of a Converse request that CountTokens takes.
var countMembers = []string{"messages", "system", "toolConfig", "additionalModelRequestFields"}

// DecodeCountTokens reads the body of a CountTokens request. For the input
// invokeModel it returns the native body, which the caller owns and which is
// not nil; for the input converse it fills c as Decode does and returns nil.
// The error is an *outcrop.Error.
func DecodeCountTokens(body []byte, c *Converse) (native []byte, err error) {
	c.Reset()
	if err := checkShape(countTokensShape, body); err != nil {
		return nil, err
	}
	d := decoder{Scanner: &jsonscan.Scanner{B: body}, c: c}
	err = d.members(func(name string) error {
		if name != "input" {
			return d.skip()
		}
		return d.members(func(name string) (err error) {
			native, err = d.countInput(name, native)
			return err
		})
	})
	return native, err
}

func (d *decoder) countInput(name string, native []byte) ([]byte, error) {
	switch name {
	case "converse":
		err := d.members(func(name string) error {
			if !slices.Contains(countMembers, name) {
				return d.skip()
			}
			return d.request(name)
		})
		if err != nil {
			return nil, err
		}
		return nil, d.c.obey(d)
	case "invokeModel":
		err := d.members(func(name string) error {
			var text outcrop.Text
			if name != "body" {
				return d.skip()
			}
			if err := d.base64(&text); err != nil {
				return err
			}
			native = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
			n, err := base64.StdEncoding.Decode(native, text)
			native = native[:n]
			return err
		})
		return native, err
	}
	return native, d.skip()
}

// AppendCount appends the answer of CountTokens.
func AppendCount(dst []byte, inputTokens int) []byte {
	dst = strconv.AppendInt(append(dst, `{"inputTokens":`...), int64(inputTokens), 10)
	return append(dst, '}')
}
