package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

func newManageDestinationCommand(f *manageFlags) *cobra.Command {
	return group("destination", "Where events go: how that goes, test, redrive", newDestinationList(f), newDestinationTest(f), newDestinationRedrive(f))
}

func newDestinationList(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List where events go, and how that goes", Args: noArgs,
		Long: `Lists where events go: what waits there, how old the oldest of it is, what was
delivered, tried again and given up since that is counted, how many dead letters there
are now, and the last error. What is unknown is a dash, and not 0.

ok         takes events, or none has come yet
failing    the last try failed; events are kept and tried again
elsewhere  another process delivers, and that one knows how it goes
stopped    nobody delivers; events are kept`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := f.open(cmd)
			if err != nil {
				return err
			}
			body, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.ListDestinations(ctx) })
			if err != nil {
				return err
			}
			if api.json {
				return printRaw(cmd.OutOrStdout(), body)
			}
			var all []client.Destination
			if err := json.Unmarshal(body, &all); err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i := range all {
				rows[i] = destinationRow(&all[i])
			}
			return table(cmd.OutOrStdout(), []string{"NAME", "KIND", "STATE", "BACKLOG", "OLDEST", "DELIVERED", "RETRIED", "GIVEN UP", "DEAD LETTERS", "LAST DELIVERY", "LAST ERROR"}, rows)
		},
	}
}

func destinationRow(d *client.Destination) []string {
	oldest := "-"
	if d.OldestAgeMs != nil {
		oldest = (time.Duration(*d.OldestAgeMs) * time.Millisecond).Round(time.Second).String()
	}
	letters := shownNumber(d.DeadLetters)
	if d.Redriving {
		letters += ", being sent again"
	}
	last := shownTime(d.LastDelivery)
	if last == "" {
		last = "-"
	}
	return []string{d.Name, shownText(d.Kind), string(d.State), shownNumber(d.Backlog), oldest, shownNumber(d.Delivered), shownNumber(d.Retried), shownNumber(d.Dead), letters, last, shownText(d.LastError)}
}

func newDestinationTest(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "Send a destination a test event", Args: oneArg("NAME"), ValidArgsFunction: f.completeDestinations,
		Long: `Sends a destination one event the way that it gets all others. The event is marked
("test":true, model llm-proxy-test), belongs to no project and counts nowhere. Exit
code 1 if the destination did not take it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := f.open(cmd)
			if err != nil {
				return err
			}
			body, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.TestDestination(ctx, args[0]) })
			if err != nil {
				return err
			}
			var test client.DestinationTest
			if err := json.Unmarshal(body, &test); err != nil {
				return err
			}
			if api.json {
				err = printRaw(cmd.OutOrStdout(), body)
			} else {
				why := ""
				if test.Error != nil {
					why = *test.Error
				}
				err = sheet(cmd.OutOrStdout(), [][2]string{{"event", test.EventID.String()}, {"result", string(test.Result)}, {"after", shownMillis(test.DurationMs)}, {"error", why}})
			}
			if test.Result == llmproxy.TestRefused || test.Result == llmproxy.TestFailed {
				err = errors.Join(err, fmt.Errorf("%s did not take the test event", args[0]))
			}
			return err
		},
	}
}

// shownMillis is a duration; nil is empty.
func shownMillis(ms *int64) string {
	if ms == nil {
		return ""
	}
	return fmt.Sprintf("%d ms", *ms)
}

func newDestinationRedrive(f *manageFlags) *cobra.Command {
	return &cobra.Command{
		Use: "redrive NAME", Short: "Send a destination its dead letters again", Args: oneArg("NAME"), ValidArgsFunction: f.completeDestinations,
		Long: `Begins to send a destination its dead letters again, and does not wait for the end:
manage destination list tells how it goes. Those that are refused again are dead
letters again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := f.open(cmd)
			if err != nil {
				return err
			}
			body, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.RedriveDestination(ctx, args[0]) })
			if err != nil {
				return err
			}
			if api.json {
				return printRaw(cmd.OutOrStdout(), body)
			}
			var redrive client.Redrive
			if err := json.Unmarshal(body, &redrive); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d dead letters of %s are being sent again\n", redrive.DeadLetters, shown(args[0]))
			return nil
		},
	}
}

// completeDestinations offers the names of destinations. What does not answer offers none.
func (f *manageFlags) completeDestinations(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if cmd.Context() == nil {
		cmd.SetContext(context.Background())
	}
	api, err := f.open(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	body, _, err := api.call(func(ctx context.Context) (*http.Response, error) { return api.ListDestinations(ctx) })
	var all []client.Destination
	if err != nil || json.Unmarshal(body, &all) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = cobra.CompletionWithDesc(shown(all[i].Name), string(all[i].State))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
