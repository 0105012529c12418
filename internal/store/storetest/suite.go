// Package storetest is the suite that every store passes. An engine is put under it by a function that opens a new, empty store.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Store is all that the features ask of storage together.
type Store interface {
	Spend(ctx context.Context, id llmproxy.TokenID, hash llmproxy.TokenHash, now time.Time) (llmproxy.Token, llmproxy.Project, error)

	CreateProject(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry) error
	CreateProjectOnce(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry, once llmproxy.Once) (llmproxy.ProjectID, error)
	Project(ctx context.Context, id llmproxy.ProjectID) (llmproxy.Project, error)
	Projects(ctx context.Context, f llmproxy.ProjectFilter, page llmproxy.Page) ([]llmproxy.Project, bool, error)
	UpdateProject(ctx context.Context, id llmproxy.ProjectID, change func(*llmproxy.Project) (llmproxy.AuditEntry, error)) (llmproxy.Project, error)
	RevokeProjectTokens(ctx context.Context, id llmproxy.ProjectID, now time.Time, entry llmproxy.AuditEntry) (int64, error)

	CreateToken(ctx context.Context, g llmproxy.Gate, entry llmproxy.AuditEntry) error
	Token(ctx context.Context, id llmproxy.TokenID) (llmproxy.Token, error)
	Tokens(ctx context.Context, f llmproxy.TokenFilter, page llmproxy.Page) ([]llmproxy.Token, bool, error)
	UpdateTokens(ctx context.Context, ids []llmproxy.TokenID, change func(*llmproxy.Gate) (llmproxy.AuditEntry, error)) ([]llmproxy.Token, error)

	AppendAudit(ctx context.Context, entry llmproxy.AuditEntry) error
	Audit(ctx context.Context, f llmproxy.AuditFilter, page llmproxy.Page) ([]llmproxy.AuditEntry, bool, error)

	CreateSession(ctx context.Context, s llmproxy.Session, entry llmproxy.AuditEntry) error
	Session(ctx context.Context, hash llmproxy.SessionHash) (llmproxy.Session, error)
	ExtendSession(ctx context.Context, s llmproxy.Session) error
	EndSession(ctx context.Context, hash llmproxy.SessionHash, entry llmproxy.AuditEntry) error
	CountSignIn(ctx context.Context, attempt llmproxy.SignIn) (time.Duration, error)
	ForgiveSignIn(ctx context.Context, attempt llmproxy.SignIn) error
}

// Engine is what the suite runs on.
type Engine struct {
	// Open opens a new, empty store and closes it when the test ends.
	Open func(t *testing.T) Store
	// Again opens a further handle on the database of a store that Open returned, as another process would.
	Again func(t *testing.T, s Store) Store
	// Rounds of each race; 0 is 3.
	Rounds int
}

// Run runs the suite.
func Run(t *testing.T, engine Engine) {
	if engine.Rounds == 0 {
		engine.Rounds = 3
	}
	for name, test := range map[string]func(*testing.T, Engine){
		"a spend counts and returns the token with its project": testSpend,
		"a refused spend says why and counts nothing":           testRefusals,
		"a cap is exact under parallel spends":                  testExactCap,
		"an hourly limit is exact and begins anew each hour":    testHourly,
		"a late spend empties no window":                        testLate,
		"a change holds for the next spend":                     testChanges,
		"a rotation keeps id and counter":                       testRotation,
		"a bulk revoke ends what was minted before":             testBulkRevoke,
		"a deleted project's tokens are revoked":                testDeletion,
		"updates never touch counters":                          testUpdatesAndSpends,
		"a batch is all or none":                                testBatch,
		"ninety tokens are one batch, each with its entry":      testLargeBatch,
		"audit stands with the change or not at all":            testAudit,
		"concurrent changes all count":                          testConcurrentUpdates,
		"a creation under a key happens once":                   testOnce,
		"projects are listed by page and filter":                testProjectList,
		"tokens are listed by page and filter":                  testTokenList,
		"tokens are found by what they are and how they begin":  testTokenSearch,
		"the audit of a token is its own":                       testAuditOfAToken,
		"texts come back as they went in":                       testTexts,
		"a session holds until it is ended, for all at once":    testSessions,
		"a session and its entry stand together":                testSessionEntries,
		"an ended session is not extended":                      testExtendEnded,
		"attempts to sign in count exactly, whoever comes":      testSignIns,
		"attempts no longer count when their time is over":      testSignInsPass,
		"an attempt that succeeds is taken back":                testSignInsForgiven,
	} {
		t.Run(name, func(t *testing.T) { test(t, engine) })
	}
}

// Noon is a moment in the middle of nothing: 30 minutes into an hour.
var Noon = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

// Entry is an audit entry for a change.
func Entry(action string, at time.Time) llmproxy.AuditEntry {
	return llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(at)}, Time: at, Action: action, Outcome: llmproxy.AuditDone, Actor: llmproxy.Actor{Name: "token"}}
}

// AddProject stores a project that is ready for tokens.
func AddProject(t testing.TB, s Store, change ...func(*llmproxy.Project)) llmproxy.Project {
	t.Helper()
	p := llmproxy.Project{
		ID: llmproxy.NewProjectID(Noon), Name: "demo", Provider: "openai", Active: true, CreatedAt: Noon, UpdatedAt: Noon, SealedKey: "v1.fake.sealed",
		Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference}, Revision: 1,
	}
	for _, c := range change {
		c(&p)
	}
	require.NoError(t, s.CreateProject(context.Background(), p, Entry("project.create", Noon)))
	return p
}

// AddToken stores a token of the project and returns it with the hash of its secret.
func AddToken(t testing.TB, s Store, p llmproxy.ProjectID, change ...func(*llmproxy.Gate)) (llmproxy.TokenID, llmproxy.TokenHash) {
	t.Helper()
	id := llmproxy.NewTokenID(Noon)
	g := llmproxy.Gate{
		Token: llmproxy.Token{ID: id, ProjectID: p, CreatedAt: Noon, ExpiresAt: Noon.Add(240 * time.Hour), Active: true, Revision: 1},
		Hash:  llmproxy.HashTokenSecret(llmproxy.NewTokenSecret(id).Reveal()),
	}
	for _, c := range change {
		c(&g)
	}
	require.NoError(t, s.CreateToken(context.Background(), g, Entry("token.create", Noon)))
	return id, g.Hash
}

func spend(s Store, id llmproxy.TokenID, hash llmproxy.TokenHash, at time.Time) error {
	_, _, err := s.Spend(context.Background(), id, hash, at)
	return err
}

func testSpend(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s, func(p *llmproxy.Project) {
		p.Capture, p.Endpoints = llmproxy.CaptureMetadata, []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored}
	})
	id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) {
		g.MaxRequests, g.RequestsPerHour, g.RequestHeadersDrop = 10, 5, []string{"X-Private"}
	})
	for n := int64(1); n <= 3; n++ {
		token, project, err := s.Spend(context.Background(), id, hash, Noon)
		require.NoError(t, err)
		require.Equal(t, id, token.ID)
		require.Equal(t, p.ID, token.ProjectID)
		require.Equal(t, n, token.RequestCount)
		require.Equal(t, []string{"X-Private"}, token.RequestHeadersDrop)
		require.True(t, token.Active)
		require.Equal(t, llmproxy.Project{ID: p.ID, Provider: "openai", Active: true, SealedKey: "v1.fake.sealed", Capture: llmproxy.CaptureMetadata, Endpoints: p.Endpoints}, project)
	}
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(3), token.RequestCount)
	require.Equal(t, Noon, token.LastUsedAt)

	_, project, err := s.Spend(context.Background(), id, hash, Noon)
	require.NoError(t, err)
	project.Endpoints[0] = "scribbled"
	_, project, err = s.Spend(context.Background(), id, hash, Noon)
	require.NoError(t, err)
	require.Equal(t, llmproxy.GroupStored, project.Endpoints[1])
}

func testRefusals(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s)
	asleep := AddProject(t, s, func(p *llmproxy.Project) { p.Active = false })
	cases := []struct {
		name    string
		project llmproxy.ProjectID
		change  func(*llmproxy.Gate)
		at      time.Time
		want    error
	}{
		{"revoked", p.ID, func(g *llmproxy.Gate) { g.Active, g.RevokedAt = false, Noon }, Noon, llmproxy.ErrRevoked},
		{"expires now", p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon }, Noon, llmproxy.ErrExpired},
		{"a millisecond left", p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon.Add(time.Millisecond) }, Noon, nil},
		{"the clock stepped back", p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon }, Noon.Add(-5 * time.Minute), nil},
		{"project asleep", asleep.ID, func(*llmproxy.Gate) {}, Noon, llmproxy.ErrProjectInactive},
		{"revoked in a project asleep", asleep.ID, func(g *llmproxy.Gate) { g.Active = false }, Noon, llmproxy.ErrRevoked},
	}
	for _, c := range cases {
		id, hash := AddToken(t, s, c.project, c.change)
		token, _, err := s.Spend(context.Background(), id, hash, c.at)
		require.ErrorIs(t, err, c.want, c.name)
		require.Equal(t, id, token.ID, "%s: a known token is returned beside the error", c.name)
		require.Equal(t, c.project, token.ProjectID, c.name)
		if c.want != nil && !errors.Is(c.want, llmproxy.ErrProjectInactive) {
			stored, err := s.Token(context.Background(), id)
			require.NoError(t, err)
			require.Zero(t, stored.RequestCount, "%s: nothing is counted", c.name)
		}
	}

	unknown := llmproxy.NewTokenID(Noon)
	token, project, err := s.Spend(context.Background(), unknown, llmproxy.TokenHash{}, Noon)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.Zero(t, token)
	require.Zero(t, project)
	id, _ := AddToken(t, s, p.ID)
	for _, hash := range []llmproxy.TokenHash{{}, {1}} {
		token, _, err = s.Spend(context.Background(), id, hash, Noon)
		require.ErrorIs(t, err, llmproxy.ErrNotFound, "another secret of a known token")
		require.Zero(t, token, "tells nothing")
	}
}

// race runs n spends at once and returns how many were admitted. Every other error must be refusal.
func race(t *testing.T, n int, spendOne func(i int) error, refusal error) int {
	t.Helper()
	var admitted, odd atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			switch err := spendOne(i); {
			case err == nil:
				admitted.Add(1)
			case !errors.Is(err, refusal):
				odd.Add(1)
				t.Errorf("a spend ended with %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	require.Zero(t, odd.Load())
	return int(admitted.Load())
}

func testExactCap(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	p := AddProject(t, s)
	for round := range engine.Rounds {
		id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.MaxRequests = 50 })
		admitted := race(t, 300, func(i int) error {
			if i%2 == 0 {
				return spend(s, id, hash, Noon)
			}
			return spend(other, id, hash, Noon)
		}, llmproxy.ErrExhausted)
		require.Equal(t, 50, admitted, "round %d", round)
		token, err := s.Token(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, int64(50), token.RequestCount)
	}
}

// hourlyFull matches a full window.
type hourlyFull struct{}

func (hourlyFull) Error() string { return "hourly limit" }

func testHourly(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.RequestsPerHour = 20 })
	for hour := range engine.Rounds {
		at := Noon.Add(time.Duration(hour) * time.Hour)
		admitted := race(t, 100, func(int) error {
			err := spend(s, id, hash, at)
			var full *llmproxy.RateLimitError
			if errors.As(err, &full) {
				if full.RetryAfter != 30*time.Minute {
					return fmt.Errorf("wait %s", full.RetryAfter)
				}
				return hourlyFull{}
			}
			return err
		}, hourlyFull{})
		require.Equal(t, 20, admitted, "hour %d", hour)
	}
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(20*engine.Rounds), token.RequestCount)
}

// testLate: at the full hour requests overtake each other, and clocks differ. However they mix, two hours admit no more than two hours'
// worth.
func testLate(t *testing.T, engine Engine) {
	s := engine.Open(t)
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.RequestsPerHour = 3 })
	next := Noon.Add(30 * time.Minute)
	late := next.Add(-time.Millisecond)
	admitted := 0
	for range 10 {
		for _, at := range []time.Time{late, next} {
			err := spend(s, id, hash, at)
			var full *llmproxy.RateLimitError
			if errors.As(err, &full) {
				require.Positive(t, full.RetryAfter)
				continue
			}
			require.NoError(t, err)
			admitted++
		}
	}
	require.LessOrEqual(t, admitted, 6)
	require.GreaterOrEqual(t, admitted, 3)
	token, err := s.Token(context.Background(), id)
	require.NoError(t, err)
	require.Equal(t, int64(admitted), token.RequestCount)
	require.NoError(t, spend(s, id, hash, next.Add(time.Hour)), "the hour after begins anew")
}

func testChanges(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID)
	require.NoError(t, spend(other, id, hash, Noon))

	update := func(change func(*llmproxy.Gate)) {
		_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
			change(g)
			return Entry("token.update", Noon), nil
		})
		require.NoError(t, err)
	}
	project := func(change func(*llmproxy.Project)) {
		_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
			change(p)
			return Entry("project.update", Noon), nil
		})
		require.NoError(t, err)
	}
	project(func(p *llmproxy.Project) { p.Active = false })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrProjectInactive)
	project(func(p *llmproxy.Project) { p.Active, p.SealedKey = true, "v1.fake.other" })
	_, got, err := other.Spend(ctx, id, hash, Noon)
	require.NoError(t, err)
	require.Equal(t, "v1.fake.other", got.SealedKey, "the new key")
	update(func(g *llmproxy.Gate) { g.ExpiresAt = Noon })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrExpired)
	update(func(g *llmproxy.Gate) { g.ExpiresAt = Noon.Add(time.Hour); g.MaxRequests = 2 })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrExhausted)
	update(func(g *llmproxy.Gate) { g.MaxRequests = 0 })
	require.NoError(t, spend(other, id, hash, Noon))
	update(func(g *llmproxy.Gate) { g.Active, g.RevokedAt = false, Noon })
	require.ErrorIs(t, spend(other, id, hash, Noon), llmproxy.ErrRevoked)
}

func testRotation(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	id, old := AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.MaxRequests = 50 })
	fresh := llmproxy.HashTokenSecret("fresh")
	var rotated sync.Once
	admitted := race(t, 200, func(i int) error {
		if i == 100 {
			rotated.Do(func() {
				_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
					g.PreviousHash, g.PreviousUntil, g.Hash = g.Hash, Noon.Add(time.Minute), fresh
					return Entry("token.rotate", Noon), nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		_, _, err := s.Spend(ctx, id, old, Noon)
		return err
	}, llmproxy.ErrExhausted)
	require.Equal(t, 50, admitted, "old and new secret share one counter, also while it rotates")

	_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.MaxRequests = 0
		return Entry("token.update", Noon), nil
	})
	require.NoError(t, err)
	require.NoError(t, spend(s, id, fresh, Noon))
	require.NoError(t, spend(s, id, old, Noon.Add(time.Minute-time.Millisecond)), "within its grace")
	require.ErrorIs(t, spend(s, id, old, Noon.Add(time.Minute)), llmproxy.ErrNotFound, "after it")
}

func testBulkRevoke(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p, neighbour := AddProject(t, s), AddProject(t, s)
	var ids []llmproxy.TokenID
	var hashes []llmproxy.TokenHash
	for range 5 {
		id, hash := AddToken(t, s, p.ID)
		ids, hashes = append(ids, id), append(hashes, hash)
	}
	AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.ExpiresAt = Noon })
	AddToken(t, s, p.ID, func(g *llmproxy.Gate) { g.Active, g.RevokedAt = false, Noon })
	kept, keptHash := AddToken(t, s, neighbour.ID)

	at := Noon.Add(time.Second)
	n, err := s.RevokeProjectTokens(ctx, p.ID, at, Entry("token.revoke_all", at))
	require.NoError(t, err)
	require.Equal(t, int64(5), n, "those that were active")
	for i, id := range ids {
		require.ErrorIs(t, spend(s, id, hashes[i], at), llmproxy.ErrRevoked)
		token, err := s.Token(ctx, id)
		require.NoError(t, err)
		require.False(t, token.Active, "listings tell the truth at once")
		require.Equal(t, at, token.RevokedAt)
	}
	require.NoError(t, spend(s, kept, keptHash, at), "another project's")
	id, hash := AddToken(t, s, p.ID)
	require.NoError(t, spend(s, id, hash, at), "one minted after")
	n, err = s.RevokeProjectTokens(ctx, p.ID, at, Entry("token.revoke_all", at))
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	_, err = s.RevokeProjectTokens(ctx, llmproxy.NewProjectID(Noon), at, Entry("token.revoke_all", at))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testDeletion(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID)
	at := Noon.Add(time.Second)
	_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.DeletedAt, p.SealedKey, p.Active = at, "", false
		return Entry("project.delete", at), nil
	})
	require.NoError(t, err)
	require.ErrorIs(t, spend(s, id, hash, at), llmproxy.ErrRevoked)
	token, err := s.Token(ctx, id)
	require.NoError(t, err)
	require.False(t, token.Active)
	require.Equal(t, at, token.RevokedAt)
	_, err = s.Project(ctx, p.ID)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	projects, _, err := s.Projects(ctx, llmproxy.ProjectFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	require.Empty(t, projects)
	require.ErrorIs(t, s.CreateToken(ctx, llmproxy.Gate{Token: llmproxy.Token{ID: llmproxy.NewTokenID(Noon), ProjectID: p.ID}}, Entry("token.create", at)), llmproxy.ErrNotFound)
	_, err = s.UpdateProject(ctx, p.ID, func(*llmproxy.Project) (llmproxy.AuditEntry, error) {
		return Entry("project.update", at), nil
	})
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testUpdatesAndSpends(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	id, hash := AddToken(t, s, p.ID)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := spend(s, id, hash, Noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{id}, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
			g.Name, g.RequestCount, g.WindowCount, g.LastUsedAt = fmt.Sprint(i), 0, 0, time.Time{}
			return Entry("token.update", Noon), nil
		})
		require.NoError(t, err)
	}
	wg.Wait()
	token, err := s.Token(ctx, id)
	require.NoError(t, err)
	require.Equal(t, int64(100), token.RequestCount)
	require.Equal(t, "19", token.Name)
	require.Equal(t, int64(21), token.Revision, "spends do not touch it")
	require.Equal(t, Noon, token.LastUsedAt)
}

func testBatch(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	first, firstHash := AddToken(t, s, p.ID)
	second, secondHash := AddToken(t, s, p.ID)
	revoke := func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.Active, g.RevokedAt = false, Noon
		return Entry("token.revoke", Noon), nil
	}
	_, err := s.UpdateTokens(ctx, []llmproxy.TokenID{first, llmproxy.NewTokenID(Noon)}, revoke)
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	require.NoError(t, spend(s, first, firstHash, Noon), "one is missing, so none is revoked")
	tokens, err := s.UpdateTokens(ctx, []llmproxy.TokenID{first, second}, revoke)
	require.NoError(t, err)
	require.Len(t, tokens, 2)
	require.ErrorIs(t, spend(s, first, firstHash, Noon), llmproxy.ErrRevoked)
	require.ErrorIs(t, spend(s, second, secondHash, Noon), llmproxy.ErrRevoked)
}

func testLargeBatch(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	ids := make([]llmproxy.TokenID, 90)
	hashes := make([]llmproxy.TokenHash, len(ids))
	for i := range ids {
		ids[i], hashes[i] = AddToken(t, s, p.ID)
	}
	tokens, err := s.UpdateTokens(ctx, ids, func(g *llmproxy.Gate) (llmproxy.AuditEntry, error) {
		g.Active, g.RevokedAt = false, Noon
		e := Entry("token.revoke", Noon)
		e.TokenID = g.ID
		return e, nil
	})
	require.NoError(t, err)
	for i, id := range ids {
		require.Equal(t, id, tokens[i].ID, "in the order that was asked for")
		require.ErrorIs(t, spend(s, id, hashes[i], Noon), llmproxy.ErrRevoked)
	}
	told := map[llmproxy.TokenID]bool{}
	page := llmproxy.Page{Limit: 40}
	for more := true; more; {
		var entries []llmproxy.AuditEntry
		entries, more, err = s.Audit(ctx, llmproxy.AuditFilter{Action: "token.revoke"}, page)
		require.NoError(t, err)
		for _, e := range entries {
			require.False(t, told[e.TokenID], "none is told twice")
			told[e.TokenID] = true
			page.After = e.ID.UUID
		}
	}
	require.Len(t, told, len(ids))
}

func testAudit(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p := AddProject(t, s)
	refused := errors.New("refused")
	_, err := s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.Name = "changed"
		return llmproxy.AuditEntry{}, refused
	})
	require.ErrorIs(t, err, refused)
	same := Entry("project.update", Noon)
	require.NoError(t, s.AppendAudit(ctx, same))
	_, err = s.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.Name = "changed"
		return same, nil // its id is taken: this entry cannot be stored
	})
	require.Error(t, err)
	got, err := s.Project(ctx, p.ID)
	require.NoError(t, err)
	require.Equal(t, "demo", got.Name, "what cannot be audited does not happen")

	for i := range 5 {
		e := Entry("token.revoke", Noon.Add(time.Duration(i)*time.Minute))
		e.ProjectID, e.TokenID, e.Before, e.After = p.ID, llmproxy.NewTokenID(Noon), map[string]string{"is_active": "true"}, map[string]string{"is_active": fmt.Sprint("false ", i)}
		e.Actor = llmproxy.Actor{Name: "admin:eve", ClientAddr: "192.0.2.7", Forwarded: "10.0.0.1", RequestID: fmt.Sprint("r", i)}
		e.Outcome, e.Reason, e.Suppressed = llmproxy.AuditRefused, "50% of_all", int64(i)
		require.NoError(t, s.AppendAudit(ctx, e))
		if i == 4 {
			all, more, err := s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{Limit: 1})
			require.NoError(t, err)
			require.True(t, more)
			require.Equal(t, []llmproxy.AuditEntry{e}, all, "the newest first, as it was")
		}
	}
	count := func(f llmproxy.AuditFilter) int {
		entries, _, err := s.Audit(ctx, f, llmproxy.Page{})
		require.NoError(t, err)
		return len(entries)
	}
	require.Equal(t, 5, count(llmproxy.AuditFilter{Action: "token.revoke"}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{Actor: "admin:eve"}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{Outcome: llmproxy.AuditRefused}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{ProjectID: p.ID}))
	require.Equal(t, 1, count(llmproxy.AuditFilter{RequestID: "r3"}))
	require.Equal(t, 2, count(llmproxy.AuditFilter{Action: "token.revoke", From: Noon.Add(time.Minute), To: Noon.Add(3 * time.Minute)}))
	require.Equal(t, 1, count(llmproxy.AuditFilter{Query: "FALSE 2"}))
	require.Equal(t, 5, count(llmproxy.AuditFilter{Query: "50% of_"}))
	require.Zero(t, count(llmproxy.AuditFilter{Query: "50_ of%"}), "wildcards are letters")
	odd := Entry("project.update", Noon.Add(time.Hour))
	odd.Before, odd.After = map[string]string{"name": `Müller "R&D"`}, map[string]string{"name": `<b>\x</b>`}
	require.NoError(t, s.AppendAudit(ctx, odd))
	for _, part := range []string{"MÜLLER", `"r&d"`, `<B>\X`} {
		require.Equal(t, 1, count(llmproxy.AuditFilter{Query: part}), part)
	}
	for _, part := range []string{`":"`, "is_active", `u0026`} {
		require.Zero(t, count(llmproxy.AuditFilter{Query: part}), "%s: how it is stored does not matter", part)
	}
}

func testConcurrentUpdates(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	p := AddProject(t, s)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		handle := s
		if i%2 == 1 {
			handle = other
		}
		wg.Go(func() {
			_, err := handle.UpdateProject(ctx, p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
				if p.Revision != 1 {
					return llmproxy.AuditEntry{}, llmproxy.ErrConflict
				}
				p.Name = fmt.Sprint(i)
				return Entry("project.update", Noon), nil
			})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, llmproxy.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), won.Load(), "of those who read revision 1 one wins")
}

func testOnce(t *testing.T, engine Engine) {
	s := engine.Open(t)
	other := engine.Again(t, s)
	ctx := context.Background()
	key := llmproxy.Once{Key: [32]byte{1}, Fingerprint: [32]byte{2}, Until: Noon.Add(24 * time.Hour)}
	project := func(at time.Time) llmproxy.Project {
		return llmproxy.Project{ID: llmproxy.NewProjectID(at), Name: "once", Provider: "openai", Active: true, CreatedAt: at, UpdatedAt: at, SealedKey: "v1.fake.sealed", Revision: 1}
	}
	ids := make([]llmproxy.ProjectID, 20)
	var wg sync.WaitGroup
	for i := range ids {
		handle := s
		if i%2 == 1 {
			handle = other
		}
		wg.Go(func() {
			var err error
			if ids[i], err = handle.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id, "all are told of the same project")
	}
	count := func() (int, int) {
		projects, _, err := s.Projects(ctx, llmproxy.ProjectFilter{}, llmproxy.Page{})
		require.NoError(t, err)
		entries, _, err := s.Audit(ctx, llmproxy.AuditFilter{}, llmproxy.Page{})
		require.NoError(t, err)
		return len(projects), len(entries)
	}
	projects, entries := count()
	require.Equal(t, []int{1, 1}, []int{projects, entries}, "it was made once and told once")

	changed := key
	changed.Fingerprint = [32]byte{3}
	_, err := s.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), changed)
	require.ErrorIs(t, err, llmproxy.ErrKeyReused)
	another := key
	another.Key = [32]byte{4}
	id, err := s.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), another)
	require.NoError(t, err)
	require.NotEqual(t, ids[0], id)

	id, err = s.CreateProjectOnce(ctx, project(key.Until.Add(-time.Millisecond)), Entry("project.create", Noon), key)
	require.NoError(t, err)
	require.Equal(t, ids[0], id, "still known")
	late := project(key.Until)
	changed.Until = key.Until.Add(24 * time.Hour)
	id, err = s.CreateProjectOnce(ctx, late, Entry("project.create", Noon), changed)
	require.NoError(t, err)
	require.Equal(t, late.ID, id, "forgotten, so the key is free for any request")

	same := Entry("project.create", Noon)
	require.NoError(t, s.AppendAudit(ctx, same))
	before, _ := count()
	third := key
	third.Key = [32]byte{5}
	_, err = s.CreateProjectOnce(ctx, project(Noon), same, third) // its id is taken: this entry cannot be stored
	require.Error(t, err)
	after, _ := count()
	require.Equal(t, before, after, "what cannot be audited does not happen")
	_, err = s.CreateProjectOnce(ctx, project(Noon), Entry("project.create", Noon), third)
	require.NoError(t, err, "nor was the key taken")
}

func testProjectList(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	for i := range 7 {
		AddProject(t, s, func(p *llmproxy.Project) {
			p.ID, p.Name, p.Active = llmproxy.NewProjectID(Noon.Add(time.Duration(i)*time.Second)), fmt.Sprint("Team ", i), i%2 == 0
		})
	}
	var names []string
	page := llmproxy.Page{Limit: 3}
	for more := true; more; {
		var projects []llmproxy.Project
		var err error
		projects, more, err = s.Projects(ctx, llmproxy.ProjectFilter{}, page)
		require.NoError(t, err)
		for _, p := range projects {
			names = append(names, p.Name)
		}
		page.After = projects[len(projects)-1].ID.UUID
		AddProject(t, s, func(p *llmproxy.Project) { p.ID = llmproxy.NewProjectID(Noon.Add(time.Hour)) }) // a new one meanwhile
	}
	require.Equal(t, []string{"Team 6", "Team 5", "Team 4", "Team 3", "Team 2", "Team 1", "Team 0"}, names)
	active := true
	projects, _, err := s.Projects(ctx, llmproxy.ProjectFilter{Active: &active, Query: "TEAM"}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, projects, 4)
	AddProject(t, s, func(p *llmproxy.Project) { p.Name = "Forschung & ÄRGER" })
	projects, _, err = s.Projects(ctx, llmproxy.ProjectFilter{Query: "& ärg"}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, projects, 1)
	_, err = s.Project(ctx, llmproxy.NewProjectID(Noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testTokenList(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	p, other := AddProject(t, s), AddProject(t, s)
	for i := range 5 {
		AddToken(t, s, p.ID, func(g *llmproxy.Gate) {
			g.ID = llmproxy.NewTokenID(Noon.Add(time.Duration(i) * time.Second))
			g.Name, g.ExpiresAt = fmt.Sprint(i), Noon.Add(time.Duration(i)*time.Hour)
			g.Active = i != 4
		})
	}
	AddToken(t, s, other.ID)
	names := func(f llmproxy.TokenFilter) (out []string) {
		page := llmproxy.Page{Limit: 2}
		for more := true; more; {
			var tokens []llmproxy.Token
			var err error
			tokens, more, err = s.Tokens(ctx, f, page)
			require.NoError(t, err)
			for _, token := range tokens {
				out = append(out, token.Name)
				page.After = token.ID.UUID
			}
		}
		return out
	}
	yes, no := true, false
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, names(llmproxy.TokenFilter{ProjectID: p.ID}))
	require.Equal(t, []string{"3", "2", "1"}, names(llmproxy.TokenFilter{ProjectID: p.ID, Active: &yes, Now: Noon}))
	require.Equal(t, []string{"4", "0"}, names(llmproxy.TokenFilter{ProjectID: p.ID, Active: &no, Now: Noon}))
	require.Equal(t, []string{"2", "1"}, names(llmproxy.TokenFilter{ProjectID: p.ID, ExpiringWithin: 2 * time.Hour, Now: Noon}))
	tokens, _, err := s.Tokens(ctx, llmproxy.TokenFilter{}, llmproxy.Page{})
	require.NoError(t, err)
	require.Len(t, tokens, 6)
	_, err = s.Token(ctx, llmproxy.NewTokenID(Noon))
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
}

func testTexts(t *testing.T, engine Engine) {
	s := engine.Open(t)
	ctx := context.Background()
	hostile := "a'\"; DROP TABLE projects; --\r\n\x00\u202e<img src=x onerror=alert(1)>世界🎉"
	want := AddProject(t, s, func(p *llmproxy.Project) {
		p.Name, p.Description, p.KeyHint, p.KeyRef = hostile, hostile, "wxyz", "stack/keys/"+hostile
		p.Metadata = map[string]string{hostile: hostile, "empty": ""}
	})
	got, err := s.Project(ctx, want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	id, hash := AddToken(t, s, want.ID, func(g *llmproxy.Gate) { g.Name, g.RequestHeadersDrop = hostile, []string{"X-A", "X-B"} })
	token, err := s.Token(ctx, id)
	require.NoError(t, err)
	require.Equal(t, hostile, token.Name)
	require.Equal(t, []string{"X-A", "X-B"}, token.RequestHeadersDrop)
	_, project, err := s.Spend(ctx, id, hash, Noon)
	require.NoError(t, err)
	require.Equal(t, want.KeyRef, project.KeyRef)
}
