package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bench/child"
	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/capacity"
)

// Model is what the engines serve, on machines of step.H100Llama8B.
const Model = "meta.llama3-1-8b-instruct-v1:0"

// firstToken is the first-token time of an engine with nothing before it: a
// step. The network is a real one here.
const firstToken = 6800 * time.Microsecond

// headroom is how much more than its mean use each provisioned tenant has
// bought, so that what it sends stays within its units when it comes in
// bursts. All tenants together have then bought nearly all that the engines
// can read.
const headroom = 1.9

// A site is the running processes of one run.
type site struct {
	engines []*child.Server
	gateway *child.Server
	models  map[string]string // provisioned models by tenant
}

// Keys makes a data folder with a key for each tenant, each in an account of
// its own, and returns the keys.
func Keys(ctx context.Context, command, data string, s isolation.Setup) (map[string]string, error) {
	keys := map[string]string{}
	for k, n := range map[isolation.Kind]int{isolation.Provisioned: s.Units, isolation.OnDemand: s.Tenants, isolation.Aggressor: 1, isolation.Batch: 2} {
		for i, tenant := range k.Tenants(n) {
			account := fmt.Sprintf("%012d", 100_000_000_000+int(k)*1000+i)
			key, err := child.AddKey(ctx, command, data, "api-key", account)
			if err != nil {
				return nil, err
			}
			keys[tenant] = key.Bearer
		}
	}
	return keys, nil
}

// open starts the engines and the gateway in folder, with the keys of the data
// folder given, and buys the provisioned models.
func open(ctx context.Context, command, folder, data string, r Run, speed float64, keys map[string]string) (s *site, err error) {
	s = &site{models: map[string]string{}}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	own := filepath.Join(folder, "data")
	if err := os.CopyFS(own, os.DirFS(data)); err != nil {
		return s, err
	}
	if err := os.Chmod(own, 0o700); err != nil {
		return s, err
	}
	addrs, err := child.FreeAddrs(r.Setup.Engines + 1)
	if err != nil {
		return s, err
	}
	for i, addr := range addrs[1:] {
		e, err := child.Start(fmt.Sprintf("engine%d", i), addr, folder, command, "sim", "--addr", addr, "--model", Model, "--machine", "h100-8b",
			"--speed", fmt.Sprint(speed), "--first-token", firstToken.String(),
			"--noise", fmt.Sprint(r.Setup.Constants.Noise), "--seed", fmt.Sprint(i+1))
		if err != nil {
			return s, err
		}
		s.engines = append(s.engines, e)
	}
	file := filepath.Join(folder, "outcrop.yaml")
	if err := os.WriteFile(file, []byte(configuration(r, speed, addrs[1:])), 0o600); err != nil {
		return s, err
	}
	s.gateway, err = child.Start("gateway", addrs[0], folder, command, "serve", "--addr", addrs[0], "--data", own, "--config", file)
	if err != nil {
		return s, err
	}
	return s, s.buy(ctx, r.Setup, keys)
}

// configuration is the gateway's. What it knows of time is scaled to that of
// the engines.
func configuration(r Run, speed float64, engines []string) string {
	var b strings.Builder
	b.WriteString("region: us-east-1\nkeys: required\nlog: {format: json, level: info}\n" +
		"limits: {connections: 100k, connections_per_address: 100k}\n" +
		"provisioned: {headroom: 0%, survive: 0}\n")
	scaled := func(d time.Duration) time.Duration { return max(time.Millisecond, time.Duration(float64(d)/speed)) }
	c := r.Setup.Config
	fmt.Fprintf(&b, "scheduler:\n  policy: %s\n  static_cap: %d\n  low_cap: %.4g%%\n  clear: %d\n  guard: %s\n  queue_timeout: {default: %s, flex: %s}\n",
		r.Policy.policy, r.Setup.StaticCap, c.LowCap*100, c.Clear, scaled(c.GuardFor), scaled(c.Bound[outcrop.ClassDefault]), scaled(c.Bound[outcrop.ClassFlex]))
	in, out := isolation.Means(r.Setup.Lengths)
	perMinute := headroom * 60 * speed * r.Setup.Provisioned * float64(r.Setup.Engines) / float64(r.Setup.Units)
	fmt.Fprintf(&b, "models:\n  - id: %s\n    unit: {input_tokens_per_minute: %.0f, output_tokens_per_minute: %.0f}\n    engines:\n",
		Model, max(1, perMinute*in), max(1, perMinute*out))
	k := capacity.Of(r.Setup.Constants.Scaled(speed))
	for _, addr := range engines {
		fmt.Fprintf(&b, "      - kind: openai\n        url: http://%s\n        model: %s\n"+
			"        capacity: {prefill: %.0f, decode: %.0f, sequences: %d, cache: %d, budget: %d}\n"+
			"        timeouts: {first_token: 1h, idle: 10m}\n",
			addr, Model, k.PrefillRate, k.DecodeRate, k.MaxSeqs, k.KVTokens, k.StepBudget)
	}
	return b.String()
}

// buy creates a provisioned model for each provisioned tenant.
func (s *site) buy(ctx context.Context, setup isolation.Setup, keys map[string]string) error {
	if setup.Provisioned == 0 {
		return nil
	}
	for _, tenant := range isolation.Provisioned.Tenants(setup.Units) {
		arn, err := create(ctx, s.gateway.Addr, tenant, keys[tenant])
		if err != nil {
			return fmt.Errorf("provisioned throughput for %s: %w", tenant, err)
		}
		s.models[tenant] = arn
	}
	return nil
}

// create calls CreateProvisionedModelThroughput for one unit.
func create(ctx context.Context, gateway, name, bearer string) (arn string, err error) {
	body, _ := json.Marshal(map[string]any{"modelUnits": 1, "provisionedModelName": name, "modelId": Model})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+gateway+"/provisioned-model-throughput", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct{ ProvisionedModelArn string }
	if err := json.Unmarshal(said, &answer); err != nil || answer.ProvisionedModelArn == "" {
		return "", fmt.Errorf("status %d: %.300s", resp.StatusCode, said)
	}
	return answer.ProvisionedModelArn, nil
}

func (s *site) stop() {
	s.gateway.Stop()
	for _, e := range s.engines {
		e.Stop()
	}
}
