package llmproxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnOrderComparesNumbersAsNumbersAndNamesWithoutCase(t *testing.T) {
	at := time.UnixMilli(1_000)
	small := Token{ID: TokenID{UUID: UUID{15: 1}}, Name: "anton", RequestCount: 9, ExpiresAt: at}
	large := Token{ID: TokenID{UUID: UUID{15: 2}}, Name: "Berta", RequestCount: 10, ExpiresAt: at.Add(time.Hour), LastUsedAt: at}
	for _, by := range []TokenOrder{OrderName, OrderExpiry, OrderRequests, OrderLastUsed} {
		require.Negative(t, by.Compare(by.KeyOf(&small), small.ID, by.KeyOf(&large), large.ID), by)
		down := "-" + by
		require.Equal(t, by.KeyOf(&small), down.KeyOf(&small))
		require.Positive(t, down.Compare(down.KeyOf(&small), small.ID, down.KeyOf(&large), large.ID), down)
		require.Negative(t, by.Compare(by.KeyOf(&small), small.ID, by.KeyOf(&small), large.ID), "the same: by id")
	}
	require.Empty(t, TokenOrder("").KeyOf(&small), "the newest first needs nothing but the id")
}
