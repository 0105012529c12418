package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// finding is what one check found.
type finding struct {
	Check  string        `json:"check"`
	Status findingStatus `json:"status"`
	Detail string        `json:"detail"`
	Fix    string        `json:"fix,omitempty"` // what to do; only where something is to be done
}

type findingStatus string

const (
	statusOK   findingStatus = "ok"
	statusWarn findingStatus = "warn" // it works, and may not for long
	statusFail findingStatus = "fail" // it does not work
	statusSkip findingStatus = "skip" // it was not looked at; the detail says why
)

func newDoctorCommand() *cobra.Command {
	var asJSON, offline bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this installation and say how to mend it",
		Long: `Looks at what a server of these settings needs: folder, keys, database, address,
providers, events, disk and clock. Each line is ok, warn, fail or skip, and has
the way to mend it below. It changes nothing and may run beside a server. The
exit code is 1 if anything fails.

Give it the settings that the server has, by flags or environment. Providers are
asked whether they answer, without any key; --offline leaves that out.`,
		Example: `llm-proxy doctor
llm-proxy doctor --offline --json | jq '.checks[] | select(.status == "fail")'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			d := &doctor{settings: &s, offline: offline, now: time.Now}
			d.examine(cmd.Context())
			if err := d.print(cmd.OutOrStdout(), asJSON); err != nil {
				return err
			}
			return d.verdict()
		},
	}
	addSettings(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, `print {"ok","checks":[{"check","status","detail","fix"}]}`)
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the providers")
	return cmd
}

// doctor looks at one installation.
type doctor struct {
	settings *settings
	offline  bool
	now      func() time.Time

	running  *runningServer    // nil: none runs over this data folder
	keys     *keyFile          // nil: they cannot be read
	current  bool              // the database is whole and its tables are those of this program
	used     map[string]string // providers that projects have, each with the name of one
	findings []finding
}

// checkTimeout is how long one check may take, but for reading the whole database.
const checkTimeout = 10 * time.Second

// examine runs all checks, in the order in which one builds on another.
func (d *doctor) examine(ctx context.Context) {
	d.used = map[string]string{}
	if running, err := findServer(d.settings.PIDFile); err == nil {
		d.running = &running
	}
	for _, check := range []func(context.Context){
		d.checkDataFolder, d.checkKeyFile, d.checkOperators, d.checkDatabase, d.checkProviderKeys,
		d.checkServer, d.checkCertificate, d.checkProviders, d.checkClock,
		d.checkSpool, d.checkDeadLetters, d.checkEventLog, d.checkDisk,
	} {
		if ctx.Err() != nil {
			return
		}
		check(ctx)
	}
}

func (d *doctor) add(status findingStatus, check, fix, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Status: status, Detail: printable(fmt.Sprintf(format, args...)), Fix: fix})
}

func (d *doctor) ok(check, format string, args ...any) { d.add(statusOK, check, "", format, args...) }

func (d *doctor) skip(check, format string, args ...any) {
	d.add(statusSkip, check, "", format, args...)
}

func (d *doctor) warn(check, fix, format string, args ...any) {
	d.add(statusWarn, check, fix, format, args...)
}

func (d *doctor) fail(check, fix, format string, args ...any) {
	d.add(statusFail, check, fix, format, args...)
}

// count is how many findings have the status.
func (d *doctor) count(status findingStatus) (n int) {
	for _, f := range d.findings {
		if f.Status == status {
			n++
		}
	}
	return n
}

// verdict is the error of an installation that something is wrong with.
func (d *doctor) verdict() error {
	switch n := d.count(statusFail); n {
	case 0:
		return nil
	case 1:
		return errors.New("one check failed")
	default:
		return fmt.Errorf("%d checks failed", n)
	}
}

func (d *doctor) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{d.count(statusFail) == 0, d.findings})
	}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%-4s  %-22s %s\n", f.Status, f.Check, strings.ReplaceAll(f.Detail, "\n", "\n"+strings.Repeat(" ", 29)))
		if f.Fix != "" {
			fmt.Fprintf(&b, "%29sfix: %s\n", "", f.Fix)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
