// Command loadgen drives one target with the load of package load and prints
// what was measured as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/outcrop/outcrop/bench/load"
)

func main() {
	log.SetFlags(0)
	o := options()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := load.Run(ctx, o)
	if err != nil {
		log.Fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(r); err != nil {
		log.Fatal(err)
	}
}

func options() (o load.Options) {
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:8484", "host:port to drive")
	protocol := flag.String("protocol", string(load.Converse), "openai, anthropic, converse, invoke-openai or invoke-anthropic")
	flag.StringVar(&o.Model, "model", "meta.llama3-1-8b-instruct-v1:0", "model name or id")
	flag.BoolVar(&o.Stream, "stream", false, "ask for a stream")
	flag.IntVar(&o.Prompt, "prompt", 1024, "bytes of prompt")
	flag.StringVar(&o.Auth.Bearer, "bearer", "", "API key to send as a bearer token")
	flag.StringVar(&o.Auth.Access, "access", "", "access key id to sign with")
	flag.StringVar(&o.Auth.Secret, "secret", "", "secret access key to sign with")
	flag.StringVar(&o.Auth.Region, "region", "us-east-1", "region to sign for")
	flag.IntVar(&o.Conns, "c", 64, "connections: closed-loop workers, or the open loop's limit")
	flag.Float64Var(&o.Rate, "rate", 0, "open loop: requests a second, 0 for a closed loop")
	flag.DurationVar(&o.Duration, "d", 6*time.Second, "measured time")
	flag.DurationVar(&o.Warm, "warm", 2*time.Second, "time before measuring")
	flag.DurationVar(&o.Ramp, "ramp", 200*time.Millisecond, "spread of the workers' start")
	flag.DurationVar(&o.Timeout, "timeout", 30*time.Second, "limit for one request")
	flag.IntVar(&o.WantBytes, "want-bytes", -1, "content bytes of a right answer, -1 for any")
	flag.IntVar(&o.WantEvents, "want-events", -1, "content events of a right stream, -1 for any")
	pids := flag.String("pid", "", "processes to account: name=pid,…")
	flag.Parse()
	o.Protocol = load.Protocol(*protocol)
	o.Processes = processes(*pids)
	return o
}

func processes(list string) map[string]int {
	all := map[string]int{}
	for entry := range strings.SplitSeq(list, ",") {
		if entry == "" {
			continue
		}
		name, number, _ := strings.Cut(entry, "=")
		pid, err := strconv.Atoi(number)
		if err != nil {
			log.Fatalf("-pid: %q is not name=pid", entry)
		}
		all[name] = pid
	}
	return all
}
