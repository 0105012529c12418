package llmproxy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLargestGroupsComeFirstAndOfEqualOnesTheFirst(t *testing.T) {
	row := func(model string, requests int64, cost Cost) UsageRow {
		return UsageRow{UsageGroup: UsageGroup{Model: model}, Tally: Tally{Requests: requests, Cost: cost}}
	}
	rows := []UsageRow{row("d", 2, Cost{1, 1_000_001}), row("b", 3, Cost{2, 0}), row("a", 2, Cost{0, 7}), row("c", 2, Cost{})}
	names := func(by Size, most int) (names string) {
		for _, group := range LargestOf(rows, by, most) {
			names += group.Model
		}
		return names
	}
	require.Equal(t, "bacd", names(SizeRequests, 9))
	require.Equal(t, "ba", names(SizeRequests, 2))
	require.Equal(t, "dbac", names(SizeCost, 4), "a million of the small part are one of the large")
	require.Equal(t, "abcd", names(SizeErrors, 4), "nobody has any")
	require.Empty(t, names(SizeTotal, 0))
}
