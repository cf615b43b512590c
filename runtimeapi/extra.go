package runtimeapi

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/jsonscan"
)

// fitsExtra checks those of additionalModelRequestFields that would get around
// the limits of the card: engines take them as the length and the number of
// answers. What else is wrong with them is for whoever sends them on to say.
func fitsExtra(extra outcrop.JSON, limit int) error {
	s := jsonscan.Scanner{B: extra}
	if !s.Eat('{') {
		return nil
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return nil
		}
		s.Space()
		from := s.I
		if !s.Skip() {
			return nil
		}
		if err := fitsField(outcrop.Text(key).String(), extra[from:s.I], limit); err != nil {
			return err
		}
	}
}

// fitsField checks one field. Some engines do not regard the case of names.
func fitsField(name string, value []byte, limit int) error {
	amount, ok := amountOf(value)
	if !ok {
		return nil
	}
	switch name = strings.ToLower(strings.ToUpper(name)); name {
	case "max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict":
		if limit > 0 && amount > float64(limit) {
			return outcrop.Invalid(bedrock.MaxTokensExceeded(limit))
		}
		if amount < 1 { // to some engines this means no limit
			return outcrop.Invalid("The additional field " + name + " must be at least 1.")
		}
	case "n", "best_of":
		if amount != 1 {
			return outcrop.Invalid("The additional field " + name + " must be 1, since an answer has one message. Remove it and try again.")
		}
	}
	return nil
}

// amountOf reads a number, also one in a string, which some engines take for
// one; ok is false if it is neither.
func amountOf(value []byte) (amount float64, ok bool) {
	text := string(value)
	if len(value) > 1 && value[0] == '"' {
		text = strings.TrimSpace(outcrop.Text(bytes.Trim(value, `"`)).String())
	}
	amount, err := strconv.ParseFloat(text, 64) // infinite if it is out of range
	return amount, (err == nil || math.IsInf(amount, 0)) && !math.IsNaN(amount)
}
