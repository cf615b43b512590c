// Package s3store is the built-in S3 server: buckets and objects as folders
// and files below one folder. It is versitygw, run in this process, and
// reached over a socket that is no network's; what stands in front of it has
// authenticated the caller and signs as the caller's account.
package s3store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/versity/versitygw/backend/posix"
	vgw "github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

// Options set up a Store.
type Options struct {
	// Dir is the folder of the buckets, an absolute path. It and a folder
	// beside it are made when the store opens.
	Dir string
	// Region is the one that the store plays.
	Region string
}

const (
	// maxRequests is how many requests run at a time; more are told to slow
	// down.
	maxRequests = 1024
	// copyLimit is the largest object that one copy takes, as on S3.
	copyLimit = 5 << 30
	// openTime is what the store has to begin to listen, and answerTime what
	// it has to answer once it has a whole request: a copy of the largest
	// object takes minutes.
	openTime   = 10 * time.Second
	answerTime = 15 * time.Minute
	idleTime   = 90 * time.Second
)

// opened says that a Store of this process is open. There can be one, since
// its paths are relative to the working directory, which is the process's.
var opened atomic.Bool

// A Store is a built-in S3 server. It opens at the first request, so that who
// does not use it pays nothing. It is safe for concurrent use.
//
// While it is open the working directory of the process is the folder of the
// buckets: whoever uses a Store works with absolute paths.
type Store struct {
	options   Options
	secret    [sha256.Size]byte // of this process, for all accounts
	transport *http.Transport

	mu      sync.Mutex
	closed  bool
	socket  string // empty until it is open
	server  *vgw.S3ApiServer
	backend *posix.Posix
	ended   chan error
	back    string // working directory before
}

// New returns a Store that opens when it is used. The caller must Close it.
func New(o Options) *Store {
	s := &Store{options: o}
	_, _ = rand.Read(s.secret[:]) // never fails
	s.transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) },
		MaxIdleConnsPerHost: 64, IdleConnTimeout: idleTime, DisableCompression: true,
		ResponseHeaderTimeout: answerTime, MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize: 32 << 10, ReadBufferSize: 32 << 10,
	}
	return s
}

// Transport reaches the store, whatever host a request names. Requests must
// be signed with the access key of an account; see Secret.
func (s *Store) Transport() http.RoundTripper { return s.transport }

// Secret returns the secret access key of the account, whose access key id is
// the account's own. Both open nothing but this Store, for as long as it
// lives.
func (s *Store) Secret(account string) string {
	m := hmac.New(sha256.New, s.secret[:])
	m.Write([]byte(account))
	return hex.EncodeToString(m.Sum(nil))
}

func (s *Store) dial(ctx context.Context) (net.Conn, error) {
	socket, err := s.open()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// A conn lets the server answer early. It refuses an object without reading
// all of it, and closes; that would be an error of writing, which would hide
// the answer that waits to be read.
type conn struct {
	net.Conn
	deaf atomic.Bool // the server reads no more
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if c.deaf.Load() {
		return len(b), nil
	}
	n, err := c.Conn.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		c.deaf.Store(true)
		return len(b), nil
	}
	return n, err
}

// open returns the socket that the store listens on. What failed is tried
// again at the next request.
func (s *Store) open() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return "", errors.New("the S3 store is closed")
	case s.socket != "":
		return s.socket, nil
	}
	if !opened.CompareAndSwap(false, true) {
		return "", errors.New("another S3 store of this process is open")
	}
	socket, err := s.start()
	if err != nil {
		s.stop()
		opened.Store(false)
		return "", fmt.Errorf("cannot open the S3 store in %s: %w", s.options.Dir, err)
	}
	s.socket = socket
	return socket, nil
}

func (s *Store) start() (string, error) {
	if !filepath.IsAbs(s.options.Dir) {
		return "", errors.New("its path is not absolute")
	}
	metadata, err := prepare(s.options.Dir)
	if err != nil {
		return "", err
	}
	if s.back, err = os.Getwd(); err != nil {
		return "", err
	}
	o := posix.PosixOpts{CopyObjectThreshold: copyLimit}
	o.SetNewDirPerm(0o700)
	o.SetNewFilePerm(0o600)
	if s.backend, err = posix.New(s.options.Dir, metadata, o); err != nil {
		return "", err
	}
	listening := make(chan struct{})
	s.server, err = vgw.New(s.backend, middlewares.RootUserConfig{Access: "root", Secret: s.Secret("root")}, s.options.Region,
		accounts{s}, nil, nil, nil, nil, vgw.WithQuiet(), vgw.WithKeepAlive(), vgw.WithDisableACL(), vgw.WithMiddleware("/", wholeBodies),
		vgw.WithConcurrencyLimiter(4*maxRequests, maxRequests), vgw.WithOnListen(func() { close(listening) }))
	if err != nil {
		return "", err
	}
	socket, err := socketName()
	if err != nil {
		return "", err
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.server.ServeMultiPort([]string{socket}) }()
	select {
	case <-listening:
		return socket, nil
	case err := <-s.ended:
		s.ended <- err
		return "", err
	case <-time.After(openTime):
		return "", errors.New("it does not begin to listen")
	}
}

// Close ends the store; requests in flight have some seconds to end.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.transport.CloseIdleConnections()
	if s.socket == "" {
		return nil
	}
	err := s.stop()
	s.socket = ""
	opened.Store(false)
	return err
}

// stop ends what start began.
func (s *Store) stop() error {
	var errs []error
	if s.ended != nil {
		errs = append(errs, s.server.ShutDown())
		<-s.ended // that its listener was closed
		s.ended = nil
	}
	if s.backend != nil {
		s.backend.Shutdown()
		s.backend = nil
	}
	if filepath.IsAbs(s.socket) {
		_ = os.RemoveAll(filepath.Dir(s.socket))
	}
	if s.back != "" {
		_ = os.Chdir(s.back) // it may be gone
		s.back = ""
	}
	return errors.Join(errs...)
}
