package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestASpendThatPanicsHoldsUpNoOther breaks the spender's statement for one spend.
func TestASpendThatPanicsHoldsUpNoOther(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "t.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	now := time.Now()
	id := llmproxy.NewTokenID(now)
	read := s.spends.teller.read
	s.spends.teller.read = nil
	require.Panics(t, func() { _, _, _ = s.Spend(t.Context(), id, llmproxy.TokenHash{}, now) })
	s.spends.teller.read = read
	_, _, err = s.Spend(t.Context(), id, llmproxy.TokenHash{}, now)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

// TestACrowdIsSpentInPartsInTheOrderOfItsComing: the first of many goes on to its upstream before the last is counted.
func TestACrowdIsSpentInPartsInTheOrderOfItsComing(t *testing.T) {
	crowd := make([]*spendRequest, 2*spendTogether+3)
	for i := range crowd {
		crowd[i] = &spendRequest{now: time.UnixMilli(int64(i))}
	}
	p := &spender{waiting: append([]*spendRequest(nil), crowd...)}
	var taken []*spendRequest
	for _, want := range []int{spendTogether, spendTogether, 3, 0} {
		part := p.take()
		require.Len(t, part, want)
		taken = append(taken, part...)
		p.giveBack(part)
	}
	require.Equal(t, crowd, taken)
}
