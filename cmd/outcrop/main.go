// Command outcrop is your own Bedrock region: a server that speaks Amazon
// Bedrock's API and answers from your own engines.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set at release time.
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes the command line and returns the exit code. It is main for
// tests: it touches nothing of the process but what it is given.
func run(ctx context.Context, args []string, in io.Reader, out, diagnostics io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(diagnostics)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var told *exitError
	if errors.As(err, &told) {
		if told.cause != nil {
			fmt.Fprintf(diagnostics, "error: %v\n", told.cause)
		}
		return told.code
	}
	fmt.Fprintf(diagnostics, "error: %v\n", err)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "outcrop",
		Short: "Your own Bedrock region: Amazon Bedrock's API on your own engines",
		Example: `  outcrop serve                        start on 127.0.0.1:8484, answering from the simulator
  outcrop init && outcrop serve        find the engines on this machine and serve them
  outcrop keys add --name search-prod  make a key for a caller`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.AddCommand(newServe(), newInit(), newCheckConfig(), newKeys(), newCapacity(), newExplain(), newBatch(), newCalibrate(), newSim(), newAWSExtras(), newVersion())
	return root
}

// Help leads with what to type.
const (
	helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`
	usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of all {{.Parent.Name}} commands:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  outcrop version",
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "outcrop", version) },
	}
}
