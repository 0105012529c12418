package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/manage/client"
)

func TestWhatIsUnknownOfADestinationIsADashAndNotZero(t *testing.T) {
	none, some, age := int64(0), int64(13), int64(210_000)
	kind := "webhook"
	require.Equal(t, []string{"hook", "webhook", "ok", "0", "-", "13", "0", "0", "0", "-", "-"},
		destinationRow(&client.Destination{Name: "hook", Kind: &kind, State: "ok", Backlog: &none, Delivered: &some, Retried: &none, Dead: &none, DeadLetters: &none}))
	require.Equal(t, []string{"hook", "webhook", "ok", "13", "3m30s", "-", "-", "-", "0", "-", "-"},
		destinationRow(&client.Destination{Name: "hook", Kind: &kind, State: "ok", Backlog: &some, OldestAgeMs: &age, DeadLetters: &none}))
}
