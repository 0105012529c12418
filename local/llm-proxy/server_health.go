package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newServerHealthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the running server how it is",
		Long: `Asks the running server how it is and prints its answer. The exit code is 0 if
it is well, 1 if it is degraded, 4 if it does not answer.`,
		Args: noArgs,
		RunE: serverHealth,
	}
	addSettings(cmd, "data-dir", "db", "pid-file")
	return cmd
}

// healthTimeout is how long a server may take to say how it is.
const healthTimeout = 5 * time.Second

func serverHealth(cmd *cobra.Command, _ []string) error {
	_, running, err := theServer(cmd)
	if err != nil {
		return err
	}
	h, err := running.health(cmd.Context(), running.URL)
	if err != nil {
		return &exitError{exitUnreachable, err}
	}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(h); err != nil {
		return err
	}
	if h.Status == healthOK {
		return nil
	}
	// Why is told on the loopback listener only.
	why := "its log says why"
	if running.MetricsURL != "" {
		if inside, err := running.health(cmd.Context(), running.MetricsURL); err == nil && len(inside.Reasons) > 0 {
			why = strings.Join(inside.Reasons, "; ")
		}
	}
	return fmt.Errorf("the server is %s: %s", h.Status, why)
}

// health asks the server at one of its origins.
func (r *runningServer) health(ctx context.Context, origin string) (health, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/health", nil)
	if err != nil {
		return health{}, err
	}
	client := &http.Client{Timeout: healthTimeout, Transport: r.transport()}
	res, err := client.Do(req)
	if err != nil {
		return health{}, err
	}
	defer res.Body.Close()
	var h health
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil || h.Status == "" {
		return health{}, fmt.Errorf("%s answered %s with something that is not ours", req.URL, res.Status)
	}
	return h, nil
}

// transport reaches this server and no other.
func (r *runningServer) transport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: true, //nolint:gosec // its certificate is for the name that clients use: it is told by its fingerprint instead
			VerifyConnection:   r.verify,
		},
	}
}

// verify accepts the certificate that the server said is its own.
func (r *runningServer) verify(state tls.ConnectionState) error {
	if fingerprint(state.PeerCertificates[0].Raw) != r.Certificate {
		return errors.New("whoever answers there has another certificate than the server")
	}
	return nil
}
