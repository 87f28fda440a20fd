package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/fault"
)

func healthcheckCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck URL",
		Short: "Ask a URL once, for health checks of containers that have no other client",
		Long: `Ask a URL once: exit status 0 if it answers with 200 within 5 seconds. A
region's /healthz and a worker's metrics are such URLs.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			req, err := http.NewRequestWithContext(c.Context(), http.MethodGet, args[0], nil)
			if err != nil {
				return &fault.Error{Kind: fault.Config, Op: "healthcheck: ask", Subject: args[0], Err: err, Advice: "write a URL such as http://127.0.0.1:9464/metrics"}
			}
			res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
			if err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					err = fmt.Errorf("it answers %s", res.Status)
				}
			}
			if err != nil {
				return &fault.Error{Kind: fault.Unavailable, Op: "healthcheck: ask", Subject: args[0], Err: err}
			}
			return nil
		},
	}
}
