// Package gateway wires a configuration into a server that can be started:
// it holds the one chain that every invocation goes through, the listener,
// and what reloading and stopping mean.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/h1server"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/objects"
	"github.com/outcrop/outcrop/quota"
	"github.com/outcrop/outcrop/runtimeapi"
	"github.com/outcrop/outcrop/s3store"
	"github.com/outcrop/outcrop/store"
)

// HeaderTimeout bounds how long a request head may take where no
// configuration says otherwise.
const HeaderTimeout = 5 * time.Second

// A Server is a wired Outcrop. New, Listen and Run are called once, in this
// order; Reload may be called at any time in between.
type Server struct {
	config   *config.Config
	log      *meter.Log
	logger   *slog.Logger
	state    *store.Store
	unlock   func() error
	who      *identity.Authenticator
	limiter  *quota.Limiter
	saved    []byte // state of the limits, as it is on the disk
	engines  atomic.Pointer[fleet]
	control  *controlapi.API
	s3       *s3store.Store // nil if there is none
	objects  *objects.Store
	batch    *batch.Runner
	door     *door
	http     *h1server.Server
	listener net.Listener
	open     bool           // anybody may call
	keys     []identity.Key // in force; like keysSeen of Run's goroutine alone
	keysSeen int64          // version of the state when they were read
	draining atomic.Bool
}

// New opens the server's state and wires everything that cfg describes. The
// caller must Close the result. Errors say what the operator can do.
func New(cfg *config.Config, log *meter.Log) (*Server, error) {
	s := &Server{config: cfg, log: log, logger: log.Logger()}
	if err := s.openState(); err != nil {
		return nil, err
	}
	if err := s.wire(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) wire() error {
	if err := s.identify(); err != nil {
		return err
	}
	if err := s.limit(); err != nil {
		return err
	}
	if err := s.engage(s.config); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	book, why := meter.NewBook(s.log, registry), explain.NewBook(explain.Config{})
	if err := s.openBatch(registry); err != nil {
		return err
	}
	if err := s.openControl(); err != nil {
		return err
	}
	s.limiter.ForgetUnits()
	s.door = &door{
		bodies: newBodies(s.config.Limits), patience: s.config.Limits.WriteTimeout, who: s.who, book: book,
		runtime: runtimeapi.New(s, book, runtimeapi.Options{
			Region: s.config.Region, Strict: s.strict, Explain: why}),
		control: s.control, s3: s.openS3(registry),
	}
	s.door.watch = s.watch(registry, why)
	s.http = s.newHTTP(s.door)
	return nil
}

// strict reports whether the running configuration asks for AWS's strictness.
func (s *Server) strict() bool { return s.engines.Load().config.Compat == "strict" }

func (s *Server) ready() error {
	if s.draining.Load() {
		return errors.New("draining")
	}
	return nil
}

// newHTTP returns the server of all connections: invocations over HTTP/1.1
// take the short way, and everything else goes through net/http.
func (s *Server) newHTTP(handler http.Handler) *h1server.Server {
	limits := s.config.Limits
	return &h1server.Server{
		Takes: "POST /model/", Handler: handler, Rest: s.newRest(handler),
		MaxHead: int(limits.Headers), MaxBody: int64(limits.Body),
		HeadTimeout: limits.HeaderTimeout, IdleTimeout: limits.IdleTimeout, WriteTimeout: limits.WriteTimeout,
	}
}

func (s *Server) newRest(handler http.Handler) *http.Server {
	limits := s.config.Limits
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: shallow(handler), Protocols: protocols,
		ReadHeaderTimeout: limits.HeaderTimeout, IdleTimeout: limits.IdleTimeout, MaxHeaderBytes: int(limits.Headers),
		DisableGeneralOptionsHandler: true, // OPTIONS * is refused like every target that is no path
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: limits.StreamsPerConnection, WriteByteTimeout: limits.WriteTimeout},
		ErrorLog:                     slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// Listen opens the server's address. In open mode, where anybody may call, it
// refuses every address but loopback.
func (s *Server) Listen(ctx context.Context) error {
	if s.open && !IsLoopback(s.config.Listen) {
		return fmt.Errorf("refusing to listen on %s: no key is configured, so anybody who reaches the address could use the engines.\n"+
			"  make a key first: outcrop keys add --data %s\n  or listen on loopback: --addr 127.0.0.1:8484", s.config.Listen, s.config.Data)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.config.Listen, err)
	}
	limits := s.config.Limits
	s.listener = bound(l, limits.Connections, limits.ConnectionsPerAddress)
	if s.config.TLS.Cert == "" {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(s.config.TLS.Cert, s.config.TLS.Key)
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("cannot use the certificate: %w", err)
	}
	s.listener = tls.NewListener(s.listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	return nil
}

// Run serves until ctx ends; then it takes no new requests and gives those in
// flight the configured time to end. It returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context) error {
	if err := s.startBatch(ctx); err != nil {
		return err
	}
	defer s.batch.Halt()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { s.log.Run(running) })
	background.Go(func() { s.keepLimits(running) })
	background.Go(func() { s.door.rest(running) })
	defer func() { stop(); background.Wait() }()
	go s.watchKeys(ctx)

	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.drain()
	return nil
}

// recordTime is what requests that were cut off have to be recorded.
const recordTime = time.Second

func (s *Server) drain() {
	s.draining.Store(true)
	s.batch.Halt()
	limit := s.engines.Load().config.Limits.DrainTimeout
	s.logger.Info("stopping", "drain_timeout", limit)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.logger.Warn("requests were cut off at the end of the drain time")
		_ = s.http.Close()
		s.door.empty(recordTime)
	}
}

// Reload replaces the running configuration by cfg, all or nothing. Requests
// in flight end on the old one. It returns what changed.
func (s *Server) Reload(cfg *config.Config) ([]string, error) {
	running := s.engines.Load()
	changes := config.Diff(running.config, cfg)
	if problems := config.NeedRestart(changes); len(problems) > 0 {
		return nil, errors.New(problems.String())
	}
	if err := s.engage(cfg); err != nil {
		return nil, err
	}
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	return texts, nil
}

// engage has the engines of cfg serve in the place of those that do, all or
// nothing. Requests in flight end on the old ones.
func (s *Server) engage(cfg *config.Config) error {
	running := s.engines.Load()
	next, err := newFleet(cfg, around{s.limiter, s.bought}, running)
	if err != nil {
		return err
	}
	if err := next.adopt(); err != nil {
		return err
	}
	s.limiter.Configure(settings(cfg, next.catalog.Cards()))
	s.engines.Store(next)
	if running != nil {
		running.retire(next)
	}
	for _, page := range next.pages.shared() {
		s.logger.Warn("a page of metrics is not read, since several engines have it; metrics_url says where each has its own", "page", page)
	}
	return nil
}

// Close releases the server's state. It may be called without Run.
func (s *Server) Close() error {
	if s.listener != nil {
		_ = s.listener.Close() // Run has closed it already, if it ran
	}
	if fleet := s.engines.Load(); fleet != nil {
		fleet.retire(nil)
	}
	if s.control != nil {
		s.control.Close()
	}
	errs := []error{s.closeBatch(), s.closeS3()}
	if s.state != nil {
		errs = append(errs, s.state.Close())
	}
	if s.unlock != nil {
		errs = append(errs, s.unlock())
	}
	return errors.Join(errs...)
}
