package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	_ "net/http/pprof" // served by --pprof alone, on an address of its own
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/meter"
)

// serve is the command that runs the server.
type serve struct {
	file   string
	folder string // working directory at the start, which relative paths are of
	pprof  string
	out    io.Writer
	err    io.Writer
	flags  map[string]string
}

func newServe() *cobra.Command {
	s := &serve{}
	c := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		Example: `  outcrop serve                                   the simulator answers for every built-in model
  outcrop serve --config outcrop.yaml             your engines answer
  outcrop serve --addr :8484 --tls-cert c.pem --tls-key k.pem --config outcrop.yaml`,
		RunE: func(c *cobra.Command, _ []string) error {
			s.out, s.err, s.flags = c.OutOrStdout(), c.ErrOrStderr(), setFlags(c)
			return s.run(c.Context())
		},
	}
	c.Flags().StringVar(&s.file, "config", "", "configuration file; without it outcrop.yaml in this folder, if there is one")
	c.Flags().String("addr", "", "address to listen on (default 127.0.0.1:8484)")
	c.Flags().String("data", "", "folder of the server's state (default outcrop-data)")
	c.Flags().String("tls-cert", "", "PEM file with the certificate, for HTTPS")
	c.Flags().String("tls-key", "", "PEM file with the certificate's key")
	c.Flags().StringVar(&s.pprof, "pprof", "", "address for Go's profiler, loopback only; off without it")
	return c
}

// setFlags returns the configuration flags that were given.
func setFlags(c *cobra.Command) map[string]string {
	set := map[string]string{}
	for _, name := range []string{"addr", "data", "tls-cert", "tls-key"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			set[name] = f.Value.String()
		}
	}
	return set
}

func (s *serve) run(ctx context.Context) error {
	var err error
	if s.folder, err = os.Getwd(); err != nil {
		return failed(err)
	}
	cfg, err := s.load("nothing was started")
	if err != nil {
		return err
	}
	keepHeap()
	log := meter.NewLog(s.err, logFormat(cfg.Log.Format, s.err), logLevel(cfg.Log.Level))
	server, err := gateway.New(cfg, log)
	if err != nil {
		return failed(err)
	}
	defer server.Close()
	if err := server.Listen(ctx); err != nil {
		return failed(err)
	}
	if err := s.profile(ctx); err != nil {
		return failed(err)
	}
	reloads, stop := s.reloads(server, log.Logger())
	defer stop()
	fmt.Fprint(s.out, welcome(server))
	go reloads(ctx)
	if err := server.Run(ctx); err != nil {
		return failed(err)
	}
	return nil
}

// reloads returns the loop that loads the configuration again at each SIGHUP.
func (s *serve) reloads(server *gateway.Server, log *slog.Logger) (loop func(context.Context), stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	loop = func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			}
			s.reload(server, log)
		}
	}
	return loop, func() { signal.Stop(hangups) }
}

func (s *serve) reload(server *gateway.Server, log *slog.Logger) {
	cfg, err := s.load("kept the running configuration")
	if err != nil {
		log.Error("reload refused: the configuration has problems")
		return
	}
	changes, err := server.Reload(cfg)
	if err != nil {
		log.Error("reload refused: kept the running configuration", "reason", err.Error())
		return
	}
	log.Info("configuration reloaded", "changes", changes)
}

// load is loadConfig with paths that stay true when the working directory
// changes, as the built-in S3 makes it.
func (s *serve) load(outcome string) (*config.Config, error) {
	cfg, err := loadConfigOf(s.folder, s.file, s.flags, s.err, outcome)
	if err != nil {
		return nil, err
	}
	return cfg.In(s.folder), nil
}

// profile serves Go's profiler on an address of its own, if one was given.
func (s *serve) profile(ctx context.Context) error {
	if s.pprof == "" {
		return nil
	}
	if !gateway.IsLoopback(s.pprof) {
		return fmt.Errorf("--pprof %s: the profiler listens on loopback only", s.pprof)
	}
	server := &http.Server{Addr: s.pprof, Handler: http.DefaultServeMux, ReadHeaderTimeout: gateway.HeaderTimeout}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.ListenAndServe() }()
	return nil
}

// loadConfig loads the configuration and prints every problem of it; outcome
// says what follows from them.
func loadConfig(file string, flags map[string]string, problemsTo io.Writer, outcome string) (*config.Config, error) {
	return loadConfigOf("", file, flags, problemsTo, outcome)
}

// loadConfigOf is loadConfig for paths that are relative to folder; if that is
// empty, to the working directory.
func loadConfigOf(folder, file string, flags map[string]string, problemsTo io.Writer, outcome string) (*config.Config, error) {
	inFolder := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	if file == "" {
		if _, err := os.Stat(inFolder(defaultConfig)); err == nil {
			file = defaultConfig
		}
	}
	read := func(path string) ([]byte, error) { return config.ReadFile(inFolder(path)) }
	cfg, problems := config.Source{Path: file, Env: os.Environ(), Flags: flags, Read: read}.Load()
	if len(problems) > 0 {
		fmt.Fprint(problemsTo, problems.Text(outcome))
		return nil, silent(exitFailed)
	}
	if len(cfg.Warnings) > 0 {
		fmt.Fprintln(problemsTo, cfg.Warnings)
	}
	return cfg, nil
}

// defaultConfig is the file that is used when none is named.
const defaultConfig = "outcrop.yaml"

// welcome says where the server is and what to paste to use it.
func welcome(s *gateway.Server) string {
	id, secret, note := "outcrop", "outcrop", ""
	if !s.Open() {
		id, secret, note = "...", "...", "   # outcrop keys add"
	}
	text := "outcrop " + version + " is ready on " + s.URL() + "  (" + s.Summary() + ")\n\n" +
		"  export AWS_ENDPOINT_URL=" + s.URL() + "\n" +
		"  export AWS_ACCESS_KEY_ID=" + id + " AWS_SECRET_ACCESS_KEY=" + secret + note + "\n" +
		"  export AWS_REGION=" + s.Region() + " AWS_DEFAULT_REGION=" + s.Region() + "\n" // the AWS CLI v1 reads the latter
	return text + "  aws bedrock-runtime converse --model-id " + s.ExampleModel() +
		" \\\n      --messages '[{\"role\":\"user\",\"content\":[{\"text\":\"Hello, how are you?\"}]}]'\n\n"
}

func logFormat(name string, out io.Writer) meter.Format {
	switch {
	case name == "json":
		return meter.JSON
	case name == "text":
		return meter.Text
	case !isTerminal(out):
		return meter.JSON
	case os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb":
		return meter.Text
	}
	return meter.Colour
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func logLevel(name string) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(name)) // the configuration allows only known names
	return level
}
