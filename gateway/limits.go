package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// settings are the limits that c sets for the models that it serves.
func settings(c *config.Config, models []*outcrop.Card) quota.Settings {
	s := quota.Settings{
		Ledger: ledger.Config{Parity: c.Quota == "bedrock-parity", Rules: rules(&c.OnDemand, models)},
		Window: c.Provisioned.Window,
		// To the limiter, 0 is its default and less is none.
		MaxWait: cmp.Or(c.Provisioned.MaxWait, -1),
	}
	for _, r := range c.Reserved {
		s.Reserved = append(s.Reserved, quota.Reserved{Account: r.Account, Model: r.Model,
			InputTokensPerMinute: int64(r.InputTokensPerMinute), OutputTokensPerMinute: int64(r.OutputTokensPerMinute)})
	}
	return s
}

// rules are the limits on demand. Those of AWS are by model, and an entry of
// the file for the same model replaces them.
func rules(o *config.OnDemand, models []*outcrop.Card) []ledger.Rule {
	rules := []ledger.Rule{{Limits: ledger.Limits{Burst: o.Burst}}}
	if o.Defaults == "aws" {
		for _, card := range models {
			rules = append(rules, ledger.Rule{Model: card.ID, Limits: ledger.AWSLimits(card.ID)})
		}
	}
	for _, l := range o.Limits {
		rules = append(rules, ledger.Rule{Account: l.Account, Model: l.Model, Limits: ledger.Limits{
			RequestsPerMinute: int64(l.RequestsPerMinute), TokensPerMinute: outcrop.QuotaTokens(l.TokensPerMinute),
			TokensPerDay: outcrop.QuotaTokens(l.TokensPerDay), Burst: o.Burst,
		}})
	}
	return rules
}

// bought returns the provisioned throughput with the ARN, as it is now.
func (s *Server) bought(arn string) (outcrop.Provisioned, bool) {
	p, ok := s.control.Unit(arn)
	return p, ok && p.Serves()
}

// unit is a provisioned throughput with what its units carry now.
func (s *Server) unit(arn string) (quota.Unit, bool) {
	p, ok := s.bought(arn)
	if !ok {
		return quota.Unit{}, false
	}
	return quota.Unit{Provisioned: p, Rates: bucket.Rates(s.engines.Load().unit(p.Model))}, true
}

// limit opens the limits, where the last run left them.
func (s *Server) limit() error {
	saved, err := s.state.Limits()
	if err != nil {
		return fmt.Errorf("cannot read the state of the limits: %w", err)
	}
	c := quota.Config{Settings: settings(s.config, catalogOf(s.config).Cards()), Units: s.unit}
	if saved != nil {
		c.Restore = &ledger.Snapshot{}
		if err := json.Unmarshal(saved, c.Restore); err != nil {
			return fmt.Errorf("cannot read the state of the limits: %w", err)
		}
	}
	if s.limiter, err = quota.New(c); err != nil {
		return fmt.Errorf("cannot restore the limits: %w", err)
	}
	s.saved = saved
	return nil
}

// saveEvery is how much of what was used may be forgotten by a crash.
const saveEvery = 2 * time.Second

// keepLimits saves the state of the limits from time to time, if it has
// changed, and when ctx ends.
func (s *Server) keepLimits(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if err := s.saveLimits(); err != nil {
			s.logger.Error("the state of the limits was not saved", "reason", err.Error())
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// saveLimits is called by one goroutine at a time.
func (s *Server) saveLimits() error {
	snapshot := s.limiter.Snapshot()
	snapshot.Ended = nil // no word about those comes to another process
	state, err := json.Marshal(snapshot)
	if err != nil || bytes.Equal(state, s.saved) {
		return err
	}
	if err := s.state.SaveLimits(state); err != nil {
		return err
	}
	s.saved = state
	return nil
}
