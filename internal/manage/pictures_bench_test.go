package manage_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// BenchmarkDaysForPictures records two days of requests of each token in the database that LLM_PROXY_PICTURES_DB names, the last an hour
// ago: what is asked for a picture is of one moment, and a chart of an hour says little (make screenshots).
func BenchmarkDaysForPictures(b *testing.B) {
	path := os.Getenv("LLM_PROXY_PICTURES_DB")
	if path == "" {
		b.Skip("SKIPPED: LLM_PROXY_PICTURES_DB names no database; make screenshots does")
	}
	store, err := sqlite.Open(b.Context(), sqlite.Config{Path: path})
	require.NoError(b, err)
	defer func() { require.NoError(b, store.Close()) }()
	tokens, more, err := store.Tokens(b.Context(), llmproxy.TokenFilter{}, llmproxy.Page{})
	require.NoError(b, err)
	require.False(b, more)
	require.NotEmpty(b, tokens)
	prices := price.Embedded()
	random := rand.New(rand.NewPCG(7, 7))
	var events []*llmproxy.Event
	last := time.Now().Add(-time.Hour)
	for at := last.Add(-48 * time.Hour); at.Before(last); at = at.Add(pauseAt(at, random)) {
		token := tokens[random.IntN(len(tokens))]
		input, output := 200+random.Int64N(2000), 40+random.Int64N(400)
		total := input + output
		e := &llmproxy.Event{
			ID: llmproxy.NewEventID(at), Time: at.Truncate(time.Millisecond), ProjectID: token.ProjectID, TokenID: token.ID, Provider: "openai", Method: "POST",
			Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete, Stream: random.IntN(3) == 0,
			Model:  []string{"gpt-4o", "gpt-4o-mini", "gpt-4o-mini", "gpt-4.1"}[random.IntN(4)],
			Timing: llmproxy.Timing{Total: time.Duration(700+random.IntN(4000)) * time.Millisecond, Auth: time.Millisecond, FirstByte: time.Duration(250+random.IntN(400)) * time.Millisecond},
			Usage:  &llmproxy.Usage{Input: &input, Output: &output, Total: &total, Source: llmproxy.SourceUpstream},
		}
		if random.IntN(60) == 0 {
			e.Status, e.Outcome, e.Usage = 503, llmproxy.UpstreamError, nil
		}
		prices.Fill(e)
		events = append(events, e)
	}
	require.NoError(b, store.Record(b.Context(), events))
}

// pauseAt is how long nobody asks after that moment: seconds at noon, minutes at night.
func pauseAt(at time.Time, random *rand.Rand) time.Duration {
	day := (1 - math.Cos(2*math.Pi*float64(at.Hour())/24)) / 2 // 0 at midnight, 1 at noon
	return time.Duration((0.5 + random.Float64()) * float64(time.Minute) / (0.1 + day))
}
