// Command mock is a cheap engine for measuring gateways: it speaks OpenAI's
// chat completions and Anthropic's messages.
//
// It speaks just enough HTTP/1.1 to be a well-behaved keep-alive server and
// spends as little CPU as it can, so that on a small machine the time goes to
// the gateway under test:
//
//	POST …/chat/completions   unary, or SSE when the body has "stream":true
//	POST …/messages           the same in Anthropic's dialect
//	GET  …/models             one model per name given with -models
//	GET  /stats               counters, as JSON
//
// The shape of an answer comes from the flags and can be overridden for one
// request through the model name, as dash-separated settings anywhere in it:
//
//	t<ms> time to the first event     g<ms> gap between events
//	n<count> content events           s<bytes> bytes of content in all
//
// for example "mock-t100-g20-n64-s4096". In a stream with a gap every content
// event begins with "@" and 16 hex digits: the wall clock in nanoseconds when
// the event was written. A load generator on the same machine subtracts that
// from its own clock and has the delay the gateway added to that event.
package main

import (
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9100", "listen address")
	base := settings{}
	flag.DurationVar(&base.first, "ttft", 0, "time to the first event")
	flag.DurationVar(&base.gap, "gap", 0, "gap between content events")
	flag.IntVar(&base.events, "n", 64, "content events in a stream")
	flag.IntVar(&base.size, "size", 1024, "bytes of content in an answer")
	names := flag.String("models", "mock", "comma-separated names for /models")
	flag.Parse()

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() { <-stop; listener.Close() }()
	log.Printf("mock: listening on %s", listener.Addr())
	e := &engine{base: base, models: strings.Split(*names, ","), shapes: map[string]*shape{}}
	for {
		c, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			log.Print(err)
			time.Sleep(10 * time.Millisecond)
		default:
			go e.serve(c)
		}
	}
}
