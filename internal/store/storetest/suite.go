// Package storetest is the suite that every store passes. An engine is put under it by a function that opens a new, empty store.
package storetest

import (
	"context"
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

	RelayAudit(ctx context.Context, publish func(context.Context, []llmproxy.AuditEntry) error) (int, error)
	AuditStored() <-chan struct{}

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
		"each audit entry is relayed":                           testRelay,
		"what is not relayed stays to be":                       testRelayFails,
		"concurrent changes all count":                          testConcurrentUpdates,
		"a creation under a key happens once":                   testOnce,
		"projects are listed by page and filter":                testProjectList,
		"tokens are listed by page and filter":                  testTokenList,
		"tokens are found by what they are and how they begin":  testTokenSearch,
		"tokens are listed in any order":                        testTokenOrder,
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
