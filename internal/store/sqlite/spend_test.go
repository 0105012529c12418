package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
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

// TestAPanicAdmitsNobodyOfItsTransaction: not those who were counted before it.
func TestAPanicAdmitsNobodyOfItsTransaction(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "t.db"))
	id, hash := storetest.AddToken(t, s, storetest.AddProject(t, s).ID)
	_, _, err := s.Spend(t.Context(), id, hash, storetest.Noon)
	require.NoError(t, err)
	due := time.Now().Add(time.Minute)
	known, unknown := &spendRequest{id: id, hash: hash, now: storetest.Noon, due: due}, &spendRequest{id: llmproxy.NewTokenID(due), now: storetest.Noon, due: due}
	read := s.spends.teller.read
	s.spends.teller.read = nil // the known one needs none
	require.Panics(t, func() { s.spends.run([]*spendRequest{known, unknown}) })
	s.spends.teller.read = read
	require.ErrorIs(t, known.err, llmproxy.ErrUnavailable)
	require.Zero(t, known.token)
	token, _, err := s.Spend(t.Context(), id, hash, storetest.Noon)
	require.NoError(t, err)
	require.EqualValues(t, 2, token.RequestCount)
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
