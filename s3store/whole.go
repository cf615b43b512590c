package s3store

import (
	"io"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
)

// wholeBodies keeps a body that breaks off from becoming an object: fasthttp
// tells of a connection that ends before the announced length as if the body
// had ended well.
func wholeBodies(c fiber.Ctx) error {
	length := c.Request().Header.ContentLength()
	if body := c.Request().BodyStream(); body != nil && length > 0 {
		utils.ContextKeyBodyReader.Set(c, io.Reader(&whole{body: body, left: int64(length)}))
	}
	return c.Next()
}

// errBrokenOff is the answer to a body that breaks off. Of the errors that it
// could be of, io.ErrUnexpectedEOF would be taken for the end, and others for a
// fault of the store.
var errBrokenOff = s3err.GetAPIError(s3err.ErrIncompleteBody)

// A whole ends with io.EOF only once all of it was read.
type whole struct {
	body io.Reader
	left int64
}

// Read implements io.Reader.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.left -= int64(n)
	if err == nil || err == io.EOF && w.left <= 0 {
		return n, err
	}
	return n, errBrokenOff
}
