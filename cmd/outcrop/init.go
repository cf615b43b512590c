package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop/probe"
)

func newInit() *cobra.Command {
	return &cobra.Command{
		Use: "init [FILE]", Short: "Look for engines on this machine and write a configuration file", Args: cobra.MaximumNArgs(1),
		Long: "Look for engines on the usual local ports (Ollama 11434, vLLM 8000, llama.cpp 8080, LM Studio 1234, SGLang 30000)\n" +
			"and write a configuration file that serves them, outcrop.yaml by default. An existing file is left alone.",
		Example: `  outcrop init && outcrop serve
  outcrop init my-gpus.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			file := defaultConfig
			if len(args) == 1 {
				file = args[0]
			}
			return initialize(c, file)
		},
	}
}

func initialize(c *cobra.Command, file string) error {
	talk := c.ErrOrStderr()
	engines := probe.Local(c.Context())
	for _, e := range engines {
		fmt.Fprintf(talk, "found  %s\n", e)
	}
	if len(engines) == 0 {
		fmt.Fprintln(talk, "found  no engine on the usual local ports; the simulated one will answer")
	}
	content := probe.Config(engines)
	if err := probe.Save(file, content); err != nil {
		return failed(err)
	}
	fmt.Fprintf(talk, "wrote  %s (%d lines)\nnext   outcrop serve --config %s\n", file, bytes.Count(content, []byte("\n")), file)
	return nil
}
