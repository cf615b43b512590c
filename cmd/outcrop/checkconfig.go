package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop/config"
)

func newCheckConfig() *cobra.Command {
	var effective, schema bool
	c := &cobra.Command{
		Use: "check-config [FILE]", Short: "Check a configuration file and report every mistake in it",
		Args: cobra.MaximumNArgs(1),
		Example: `  outcrop check-config outcrop.yaml
  outcrop check-config --print-effective        what holds, and where each value comes from
  outcrop check-config --schema                 the JSON schema, for editors`,
		RunE: func(c *cobra.Command, args []string) error {
			if schema {
				_, err := c.OutOrStdout().Write(config.Schema())
				return err
			}
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return checkConfig(c, file, effective)
		},
	}
	c.Flags().BoolVar(&effective, "print-effective", false, "print every value and its source")
	c.Flags().BoolVar(&schema, "schema", false, "print the JSON schema of the file")
	return c
}

func checkConfig(c *cobra.Command, file string, effective bool) error {
	cfg, err := loadConfig(file, nil, c.ErrOrStderr(), "the file cannot be used")
	if err != nil {
		return silent(exitFindings)
	}
	if effective {
		_, err := c.OutOrStdout().Write(cfg.Effective())
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "no problems, %d models in the file\n", len(cfg.Models))
	return nil
}
