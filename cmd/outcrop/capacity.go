package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/outcrop/outcrop/watchapi"
)

// viewer is the command that shows how full the server is.
type viewer struct {
	endpoint string
	json     bool
	watch    bool
	all      bool
	every    time.Duration
}

func newCapacity() *cobra.Command {
	v := &viewer{}
	c := &cobra.Command{
		Use: "capacity", Short: "Show how full engines, queues, units and limits are", Args: cobra.NoArgs,
		Long: "Show how full engines, queues, units and limits are. While no key exists, a caller on the server's machine sees\n" +
			"everything; with a key, it sees the pools and the units and uses of its own account.\n\n" +
			"At a terminal it is a table. In a pipe each line is one thing, with its kind in the first column and tabs between\n" +
			"plain values; docs/observing.md lists the columns.",
		Example: `  outcrop capacity
  outcrop capacity --watch
  outcrop capacity --json | jq '.pools[] | select(.classes[].waiting > 0) | .model'
  outcrop capacity | awk -F'\t' '$1 == "engine" && $4 != "serving"'`,
		RunE: func(c *cobra.Command, _ []string) error { return v.run(c) },
	}
	addEndpoint(c, &v.endpoint)
	f := c.Flags()
	f.BoolVar(&v.json, "json", false, "print JSON")
	f.BoolVar(&v.watch, "watch", false, "show it again and again: redraw at a terminal, one line of JSON each time in a pipe")
	f.BoolVar(&v.all, "all", false, "also the simulated models that nobody has asked for")
	f.DurationVar(&v.every, "every", time.Second, "time between two looks of --watch")
	return c
}

func (v *viewer) run(c *cobra.Command) error {
	server, err := newClient(v.endpoint)
	if err != nil {
		return err
	}
	if v.every <= 0 {
		return &exitError{exitUsage, fmt.Errorf("--every %s: want a time such as 1s", v.every)}
	}
	out := c.OutOrStdout()
	if v.watch {
		return v.follow(c.Context(), server, out, c.ErrOrStderr())
	}
	body, view, err := look(c.Context(), server)
	if err != nil {
		return err
	}
	if v.json {
		_, err = out.Write(body)
		return err
	}
	_, err = out.Write(v.picture(&view, isTerminal(out), colours(out)))
	return err
}

// look asks the server how full it is.
func look(ctx context.Context, server *client) (body []byte, view watchapi.View, err error) {
	if body, err = server.get(ctx, watchapi.CapacityPath); err != nil {
		return nil, view, err
	}
	if view, err = watchapi.Parse(body); err != nil {
		return nil, view, failed(fmt.Errorf("%s: %w", server.endpoint, err))
	}
	return body, view, nil
}

// picture is the view for people at a terminal, or for programs.
func (v *viewer) picture(view *watchapi.View, people, colour bool) []byte {
	shown, idle := *view, 0
	if !v.all {
		shown.Pools, idle = used(view.Pools)
	}
	var b bytes.Buffer
	if !people {
		lines(&b, &shown)
		return b.Bytes()
	}
	tables(&b, &shown, colour)
	if idle > 0 {
		fmt.Fprintf(&b, "\nNot shown: simulated models that nobody has asked for (%d). --all shows them.\n", idle)
	}
	return b.Bytes()
}

// used returns the pools but for simulated ones that nobody has asked for,
// and how many those are.
func used(pools []watchapi.Pool) (shown []watchapi.Pool, idle int) {
	for _, p := range pools {
		busy := !p.Simulated || p.Units.Sold > 0
		for _, c := range p.Classes {
			busy = busy || touched(&c)
		}
		if busy {
			shown = append(shown, p)
		} else {
			idle++
		}
	}
	return shown, idle
}

// touched reports whether anybody has asked for the class.
func touched(c *watchapi.Class) bool {
	return c.Waiting+c.Running+c.Finished+c.Refused+c.Aborted+c.Lost+c.Failed > 0
}

// Of a terminal: to its upper left, and what is below away; lines end at its
// edge, or go on below it.
const (
	home       = "\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
	noWrap     = "\x1b[?7l"
	wrap       = "\x1b[?7h"
)

// follow looks again and again until ctx ends. A server that is away for a
// while is waited for once it has answered.
func (v *viewer) follow(ctx context.Context, server *client, out, talk io.Writer) error {
	screen := isTerminal(out)
	if screen {
		fmt.Fprint(out, noWrap, home, clearBelow)
		defer fmt.Fprint(out, wrap)
	}
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	for answered := false; ; {
		body, view, err := look(ctx, server)
		switch {
		case ctx.Err() != nil:
			return silent(exitSignal)
		case err != nil && (!answered || !passes(err)):
			return err
		case err != nil:
			fmt.Fprintf(talk, "%v\n", err)
		case screen:
			draw(out, v.picture(&view, true, colours(out)), view.Time)
		default:
			if _, err := out.Write(body); err != nil {
				return failed(err)
			}
		}
		answered = answered || err == nil
		select {
		case <-ctx.Done():
			return silent(exitSignal)
		case <-tick.C:
		}
	}
}

// passes reports whether a failure may be over the next time.
func passes(err error) bool {
	var told *exitError
	return errors.As(err, &told) && told.code == exitFailed
}

// draw writes the picture over the last one, as much of it as the terminal
// has lines for.
func draw(out io.Writer, picture []byte, at time.Time) {
	_, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || height < 3 {
		height = 24
	}
	all := strings.Split(strings.TrimSuffix("outcrop capacity  "+at.Local().Format(time.TimeOnly)+"\n\n"+string(picture), "\n"), "\n")
	if len(all) >= height {
		all = append(all[:height-2], fmt.Sprintf("... %d more lines", len(all)-height+2))
	}
	fmt.Fprint(out, home, strings.Join(all, clearLine+"\n"), clearLine, "\n", clearBelow)
}

// colours reports whether out is to be painted.
func colours(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
