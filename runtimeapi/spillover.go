package runtimeapi

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

// The names by which a request says where it goes when it is over its unit.
// The header has two meanings: on the answer it says where the request went.
const (
	spillHeader = "X-Outcrop-Spillover"
	spillEntry  = "outcrop:spillover" // of requestMetadata
)

// readSpillHeader takes over what the header says, of any operation.
func (x *exchange) readSpillHeader() error {
	if x.call.Header.Spillover == "" {
		return nil
	}
	return x.setSpill(x.call.Header.Spillover, spillHeader)
}

// readSpillEntry takes over what requestMetadata says.
func (x *exchange) readSpillEntry() error {
	for i := range x.request.Metadata {
		if m := &x.request.Metadata[i]; m.Key == spillEntry {
			return x.setSpill(m.Value, "requestMetadata."+spillEntry)
		}
	}
	return nil
}

// readRelayedSpillEntry is readSpillEntry for a body that is not decoded.
func (x *exchange) readRelayedSpillEntry() error {
	value, ok := bedrock.RequestMetadata(x.call.Body, spillEntry)
	if !ok {
		return nil
	}
	return x.setSpill(value, "requestMetadata."+spillEntry)
}

// setSpill takes over what a member says, unless another one has said so
// before: the header is read first and wins.
func (x *exchange) setSpill(value, member string) error {
	spill := outcrop.Spill(value)
	if !spill.Valid() {
		return outOfEnum(value, member, "[none, default, priority, flex]")
	}
	if x.request.Spill == "" {
		x.request.Spill = spill
	}
	return nil
}

// spilledField tells the caller of a whole answer that the request spilled,
// and to which class.
func (x *exchange) spilledField() {
	if x.receipt.Spilled {
		x.fields = append(x.fields, Field{spillHeader, x.receipt.Class.String()})
	}
}
