// Package awschunked reads bodies in S3's aws-chunked encoding, in which each
// chunk carries a signature and fields may follow the last one.
//
// Source of the encoding: "Signature Calculations for the Authorization
// Header: Transferring Payload in Multiple Chunks" in the Amazon S3 API
// Reference.
package awschunked

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
)

// Errors of a Reader, beside those of the body that it reads.
var (
	// ErrMalformed: the body is not in the encoding, or not as long as was
	// declared.
	ErrMalformed = errors.New("awschunked: the body is malformed")
	// ErrSignature: the signature of a chunk or of the trailer is wrong.
	ErrSignature = errors.New("awschunked: a signature does not match")
)

// Bounds on what has no place in memory; what clients send stays far below.
const (
	maxLine   = 2 << 10
	maxFields = 16
	buffer    = 64 << 10
)

const signatureField = "x-amz-trailer-signature"

// Signatures verify those of one body, in order.
type Signatures interface {
	Chunk(signature string, hash [sha256.Size]byte) bool
	Trailer(signature string, hash [sha256.Size]byte) bool
}

// Options say how a body is encoded and what is to become of it.
type Options struct {
	// Signatures verify the chunks; nil reads over their signatures.
	Signatures Signatures
	// Length is that of the data, as the head declares it.
	Length int64
	// Trailer says that fields follow the last chunk. The Reader then gives
	// chunks again, without signatures but with the fields; otherwise it
	// gives the data alone.
	Trailer bool
}

// A Reader decodes a body. Its last byte, or for a trailer the end, comes only
// after the last signature was verified: whoever has read Length bytes, or up
// to io.EOF, has read what the sender signed. It is for one goroutine.
type Reader struct {
	from    *bufio.Reader
	o       Options
	hash    hash.Hash
	sig     string // of the chunk that is being read
	left    int64  // of this chunk
	got     int64  // of all chunks
	held    []byte // the last byte of the data
	pending []byte // framing that waits to be read
	err     error
}

// NewReader returns a Reader of body.
func NewReader(body io.Reader, o Options) *Reader {
	return &Reader{from: bufio.NewReaderSize(body, buffer), o: o, hash: sha256.New()}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case len(r.pending) > 0:
			n := copy(p, r.pending)
			r.pending = r.pending[n:]
			return n, nil
		case r.err != nil:
			return 0, r.err
		case r.left > 0:
			if n := r.data(p); n > 0 {
				return n, nil
			}
		default:
			r.fail(r.next())
		}
	}
}

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// data reads of the chunk. The last byte of the whole is held back.
func (r *Reader) data(p []byte) int {
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.from.Read(p)
	r.hash.Write(p[:n])
	r.left -= int64(n)
	r.got += int64(n)
	if n > 0 && r.got == r.o.Length && !r.o.Trailer {
		n--
		r.held = []byte{p[n]}
	}
	switch {
	case err == io.EOF:
		r.fail(fmt.Errorf("%w: it ends within a chunk", ErrMalformed))
	case err != nil:
		r.fail(err)
	case r.left == 0:
		r.fail(r.endChunk())
	}
	return n
}

func (r *Reader) endChunk() error {
	if line, err := r.line(); err != nil || line != "" {
		return orMalformed(err, "a chunk is longer than it says")
	}
	if r.o.Trailer {
		r.pending = append(r.pending, "\r\n"...)
	}
	return r.verify()
}

func (r *Reader) verify() error {
	defer r.hash.Reset()
	if r.o.Signatures == nil {
		return nil
	}
	if !r.o.Signatures.Chunk(r.sig, [sha256.Size]byte(r.hash.Sum(nil))) {
		return ErrSignature
	}
	return nil
}

// next reads the head of a chunk, and all that follows the last one.
func (r *Reader) next() error {
	line, err := r.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(size, 16, 63)
	if err != nil || n < 0 || size[0] == '+' || n > r.o.Length-r.got {
		return fmt.Errorf("%w: a chunk has no proper size", ErrMalformed)
	}
	r.sig, r.left = strings.TrimPrefix(extension, "chunk-signature="), n
	if r.o.Trailer && n > 0 {
		r.pending = append(strconv.AppendInt(r.pending, n, 16), "\r\n"...)
	}
	if n > 0 {
		return nil
	}
	return r.end()
}

func (r *Reader) end() error {
	if r.got != r.o.Length {
		return fmt.Errorf("%w: it is shorter than was declared", ErrMalformed)
	}
	if err := r.verify(); err != nil {
		return err
	}
	if err := r.trailer(); err != nil {
		return err
	}
	if _, err := r.from.ReadByte(); err != io.EOF {
		return orMalformed(err, "something follows its end")
	}
	r.pending = append(r.pending, r.held...)
	return io.EOF
}

// trailer reads the lines behind the last chunk. There are two readings of
// AWS's page: with and without an empty line between the fields and their
// signature.
func (r *Reader) trailer() error {
	var fields bytes.Buffer
	signature, out := "", []byte("0\r\n")
	for count := 0; ; count++ {
		line, err := r.line()
		if err != nil {
			return err
		}
		name, value, found := strings.Cut(line, ":")
		switch {
		case line == "" && (signature != "" || r.o.Signatures == nil && r.atEnd() || !r.o.Trailer):
			return r.endTrailer(signature, fields.Bytes(), append(out, "\r\n"...))
		case line == "":
		case !found || !r.o.Trailer || signature != "" || count > maxFields:
			return fmt.Errorf("%w: its trailer cannot be read", ErrMalformed)
		case strings.EqualFold(name, signatureField):
			signature = strings.TrimSpace(value)
		default:
			fields.WriteString(strings.ToLower(name) + ":" + strings.TrimSpace(value) + "\n")
			out = append(out, name+":"+strings.TrimSpace(value)+"\r\n"...)
		}
		if line == "" && count > maxFields {
			return fmt.Errorf("%w: its trailer has no end", ErrMalformed)
		}
	}
}

func (r *Reader) endTrailer(signature string, fields, out []byte) error {
	if !r.o.Trailer {
		return nil
	}
	if r.o.Signatures != nil && !r.o.Signatures.Trailer(signature, sha256.Sum256(fields)) {
		return ErrSignature
	}
	r.pending = append(r.pending, out...)
	return nil
}

// atEnd reports whether nothing more comes.
func (r *Reader) atEnd() bool {
	_, err := r.from.Peek(1)
	return err == io.EOF
}

// line reads a line without its end.
func (r *Reader) line() (string, error) {
	line, err := r.from.ReadSlice('\n')
	switch {
	case err == io.EOF, errors.Is(err, bufio.ErrBufferFull), err == nil && len(line) > maxLine:
		return "", fmt.Errorf("%w: it ends within a line, or a line is too long", ErrMalformed)
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

func orMalformed(err error, what string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrMalformed, what)
}
