package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/watchapi"
)

func newExplain() *cobra.Command {
	var endpoint string
	var asJSON bool
	c := &cobra.Command{
		Use: "explain REQUEST-ID", Short: "Say why a request was served, delayed or refused as it was", Args: cobra.ExactArgs(1),
		Long: "Say why a request was served, delayed or refused as it was: what it asked for, which limits it met, how long it\n" +
			"waited for what, and which engine served it. The id is that of the x-amzn-RequestId header, which SDKs show in\n" +
			"their errors and ResponseMetadata, and of the server's log. A caller sees the requests of its own account.",
		Example: `  outcrop explain 7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d
  outcrop explain --json 7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d
  outcrop explain --endpoint https://bedrock.example:8484 7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d`,
		RunE: func(c *cobra.Command, args []string) error { return runExplain(c, endpoint, args[0], asJSON) },
	}
	addEndpoint(c, &endpoint)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func runExplain(c *cobra.Command, endpoint, id string, asJSON bool) error {
	server, err := newClient(endpoint)
	if err != nil {
		return err
	}
	body, err := server.get(c.Context(), watchapi.ExplainPath+url.PathEscape(id))
	if err != nil {
		return err
	}
	record, err := explain.Parse(body)
	if err != nil {
		return failed(err)
	}
	if asJSON {
		_, err = c.OutOrStdout().Write(body)
		return err
	}
	return record.Write(c.OutOrStdout())
}
