package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/store"
)

// keys are the commands that work on the keys in the data folder, whether a
// server runs on it or not.
type keys struct {
	file string
	data string
	json bool
}

func newKeys() *cobra.Command {
	k := &keys{}
	c := &cobra.Command{Use: "keys", Short: "Make, list and revoke the keys of callers", Args: cobra.NoArgs,
		Example: `  outcrop keys add --name search-prod --account 111111111111
  outcrop keys add --kind api-key --models 'amazon.*' --actions bedrock:InvokeModel
  outcrop keys revoke AKIA...`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.PersistentFlags().StringVar(&k.file, "config", "", "configuration file that names the data folder")
	c.PersistentFlags().StringVar(&k.data, "data", "", "folder of the server's state")
	c.PersistentFlags().BoolVar(&k.json, "json", false, "print JSON")
	c.AddCommand(k.add(), k.list(), k.revoke())
	return c
}

// open opens the store that the flags, the environment or the file name.
func (k *keys) open(c *cobra.Command) (*store.Store, *config.Config, error) {
	flags := map[string]string{}
	if k.data != "" {
		flags["data"] = k.data
	}
	cfg, err := loadConfig(k.file, flags, c.ErrOrStderr(), "nothing was done")
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(c.Context(), store.Options{Dir: cfg.Data, KEK: cfg.KEK})
	if err != nil {
		return nil, nil, failed(err)
	}
	return s, cfg, nil
}

// keyRequest is what keys add asks for.
type keyRequest struct {
	kind, name, account, arn string
	actions, models          []string
	expires                  time.Duration
}

func (k *keys) add() *cobra.Command {
	var q keyRequest
	c := &cobra.Command{Use: "add", Short: "Make a key; its secret is shown once", Args: cobra.NoArgs,
		Example: `  outcrop keys add --name search-prod
  outcrop keys add --kind api-key --models 'amazon.*' --expires 720h
  eval "$(outcrop keys add)"`,
		RunE: func(c *cobra.Command, _ []string) error { return k.runAdd(c, q) }}
	f := c.Flags()
	f.StringVar(&q.kind, "kind", "access-key", "access-key (signs requests) or api-key (AWS_BEARER_TOKEN_BEDROCK)")
	f.StringVar(&q.name, "name", "", "name for people")
	f.StringVar(&q.account, "account", "", "account id of the holder, 12 digits (default: the server's)")
	f.StringVar(&q.arn, "arn", "", "ARN of the holder (default: an IAM user of the account)")
	f.StringSliceVar(&q.actions, "actions", nil, "IAM actions that the holder may perform, '*' allowed (default: all)")
	f.StringSliceVar(&q.models, "models", nil, "model ids that the holder may use, '*' allowed (default: all)")
	f.DurationVar(&q.expires, "expires", 0, "life of the key, for example 720h (default: for ever)")
	return c
}

func (k *keys) runAdd(c *cobra.Command, q keyRequest) error {
	s, cfg, err := k.open(c)
	if err != nil {
		return err
	}
	defer s.Close()
	if q.account == "" {
		q.account = cfg.Account
	}
	key, secret, err := makeKey(q, time.Now())
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := s.AddKey(c.Context(), key); err != nil {
		return failed(err)
	}
	return k.show(c.OutOrStdout(), c.ErrOrStderr(), key, secret)
}

// makeKey makes the key that q asks for, and its secret.
func makeKey(q keyRequest, now time.Time) (identity.Key, identity.Secret, error) {
	kind, ok := identity.ParseKind(q.kind)
	if !ok {
		return identity.Key{}, identity.Secret{}, fmt.Errorf("--kind %s: want access-key or api-key", q.kind)
	}
	if len(q.account) != 12 || strings.Trim(q.account, "0123456789") != "" {
		return identity.Key{}, identity.Secret{}, fmt.Errorf("--account %s: want 12 digits", q.account)
	}
	if q.expires < 0 {
		return identity.Key{}, identity.Secret{}, fmt.Errorf("--expires %s: is in the past", q.expires)
	}
	key := identity.Key{Kind: kind, Name: q.name, Created: now}
	if q.expires > 0 {
		key.Expires = now.Add(q.expires)
	}
	var id string
	var secret identity.Secret
	if kind == identity.KindSigV4 {
		id, secret = identity.NewAccessKey()
		key.Secret = secret
	} else {
		id, secret = identity.NewAPIKey(q.account)
		key.Hash = identity.HashToken(secret.Reveal())
	}
	if q.arn == "" {
		q.arn = "arn:aws:iam::" + q.account + ":user/" + id
	}
	key.Principal = outcrop.Principal{KeyID: id, Account: q.account, ARN: q.arn, Actions: q.actions, Models: q.models}
	return key, secret, nil
}

// show prints a new key: the lines to paste on stdout, the talk on stderr.
func (k *keys) show(out, talk io.Writer, key identity.Key, secret identity.Secret) error {
	if k.json {
		return printJSON(out, struct {
			keyView
			Secret string `json:"secret"`
		}{view(key), secret.Reveal()})
	}
	fmt.Fprintln(talk, "The secret is shown this once and cannot be shown again.")
	if key.Kind == identity.KindBearer {
		fmt.Fprintf(out, "export AWS_BEARER_TOKEN_BEDROCK=%s\n", secret.Reveal())
		return nil
	}
	fmt.Fprintf(out, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n", key.Principal.KeyID, secret.Reveal())
	return nil
}

func (k *keys) list() *cobra.Command {
	return &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the keys, without secrets", Args: cobra.NoArgs,
		Example: `  outcrop keys list
  outcrop keys list --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, _, err := k.open(c)
			if err != nil {
				return err
			}
			defer s.Close()
			all, err := s.ListKeys(c.Context())
			if err != nil {
				return failed(err)
			}
			return k.print(c.OutOrStdout(), all)
		}}
}

// keyView is a key as it is listed. Its JSON is stable.
type keyView struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Name    string   `json:"name,omitempty"`
	Account string   `json:"account"`
	ARN     string   `json:"arn"`
	Actions []string `json:"actions,omitempty"`
	Models  []string `json:"models,omitempty"`
	Created string   `json:"created"`
	Expires string   `json:"expires,omitempty"`
	Revoked string   `json:"revoked,omitempty"`
}

func view(k identity.Key) keyView {
	return keyView{ID: k.Principal.KeyID, Kind: k.Kind.String(), Name: k.Name, Account: k.Principal.Account, ARN: k.Principal.ARN,
		Actions: k.Principal.Actions, Models: k.Principal.Models,
		Created: stamp(k.Created), Expires: stamp(k.Expires), Revoked: stamp(k.Revoked)}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (k *keys) print(out io.Writer, all []identity.Key) error {
	views := make([]keyView, len(all))
	for i, key := range all {
		views[i] = view(key)
	}
	if k.json {
		return printJSON(out, views)
	}
	var table io.Writer = out
	if isTerminal(out) {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		defer w.Flush()
		table = w
		fmt.Fprintln(table, "ID\tKIND\tNAME\tACCOUNT\tMODELS\tACTIONS\tCREATED\tEXPIRES\tSTATE")
	}
	for _, v := range views {
		state := "active"
		if v.Revoked != "" {
			state = "revoked " + v.Revoked
		}
		fmt.Fprintln(table, row(v.ID, v.Kind, v.Name, v.Account, orAll(v.Models), orAll(v.Actions), v.Created, v.Expires, state))
	}
	return nil
}

// row joins cells by tabs; what could break the table or the terminal in them
// is escaped.
func row(cells ...string) string {
	for i, cell := range cells {
		cells[i] = string(outcrop.Quote(cell))
	}
	return strings.Join(cells, "\t")
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "*"
	}
	return strings.Join(list, ",")
}

func (k *keys) revoke() *cobra.Command {
	return &cobra.Command{Use: "revoke KEY-ID...", Aliases: []string{"rm"}, Short: "Revoke keys for good", Args: cobra.MinimumNArgs(1),
		Example: "  outcrop keys revoke AKIAIOSFODNN7EXAMPLE",
		RunE: func(c *cobra.Command, ids []string) error {
			s, _, err := k.open(c)
			if err != nil {
				return err
			}
			defer s.Close()
			return revokeAll(c.Context(), s, ids, c.ErrOrStderr())
		}}
}

func revokeAll(ctx context.Context, s *store.Store, ids []string, talk io.Writer) error {
	for _, id := range ids {
		err := s.RevokeKey(ctx, id, time.Now())
		if errors.Is(err, store.ErrKeyNotFound) {
			return notFound(err)
		}
		if err != nil {
			return failed(err)
		}
		fmt.Fprintln(talk, "revoked", id, "- a running server refuses it within a second")
	}
	return nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return failed(err)
	}
	return nil
}
