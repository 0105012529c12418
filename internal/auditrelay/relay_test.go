package auditrelay_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sofatutor/llm-proxy/internal/auditrelay"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store of entries.
type memory struct {
	mu     sync.Mutex
	left   []llmproxy.AuditEntry
	asked  int
	stored chan struct{}
}

func newMemory() *memory { return &memory{stored: make(chan struct{}, 1)} }

// leave is what another process does.
func (m *memory) leave(action string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = append(m.left, llmproxy.AuditEntry{Action: action})
}

func (m *memory) store(action string) {
	m.leave(action)
	select {
	case m.stored <- struct{}{}:
	default:
	}
}

func (m *memory) AuditStored() <-chan struct{} { return m.stored }

func (m *memory) RelayAudit(ctx context.Context, publish func(context.Context, []llmproxy.AuditEntry) error) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	n := len(m.left)
	if n == 0 {
		return 0, nil
	}
	if err := publish(ctx, m.left); err != nil {
		return 0, err
	}
	m.left = nil
	return n, nil
}

// bus notes what it takes, unless it is down.
type bus struct {
	mu    sync.Mutex
	down  bool
	took  []string
	calls int
}

func (b *bus) PublishAudit(_ context.Context, entries []llmproxy.AuditEntry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.down {
		return errors.New("the bus is down")
	}
	for _, e := range entries {
		b.took = append(b.took, e.Action)
	}
	return nil
}

func (b *bus) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *bus) has() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.took...)
}

// running starts a relay's loop, which ends with the test.
func running(t *testing.T, m *memory, b *bus, log *zap.Logger) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); auditrelay.New(m, b, log).Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestWhatIsStoredIsOnTheBusAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &bus{}
		m.leave("left by a process that ended")
		running(t, m, b, zap.NewNop())
		synctest.Wait()
		require.Equal(t, []string{"left by a process that ended"}, b.has(), "before anything is stored")
		m.store("project.create")
		synctest.Wait()
		require.Equal(t, []string{"left by a process that ended", "project.create"}, b.has())
		m.leave("another's")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, b.has(), 3, "another process's are looked for now and then")
	})
}

func TestABusThatIsDownGetsAllOfItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		m, b := newMemory(), &bus{down: true}
		running(t, m, b, zap.New(core))
		for range 1000 {
			m.store("token.create")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Less(t, b.calls, 30, "it is not asked all the time")
		require.Equal(t, 1, logs.FilterLevelExact(zap.WarnLevel).Len(), "told once")
		b.set(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, b.has(), 1000)
		require.Equal(t, 1, logs.FilterLevelExact(zap.InfoLevel).Len())
	})
}

// silence never answers.
type silence struct{}

func (silence) PublishAudit(ctx context.Context, _ []llmproxy.AuditEntry) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAFunctionDoesNotStayAwakeForABusThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		m := newMemory()
		m.store("project.create")
		start := time.Now()
		auditrelay.New(m, silence{}, zap.New(core)).AfterChange(t.Context())
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, 1, logs.Len(), "it is told")
	})
}

func TestAFunctionRelaysAfterAChangeAlone(t *testing.T) {
	m, b := newMemory(), &bus{down: true}
	m.leave("left by a process that ended")
	r := auditrelay.New(m, b, zap.NewNop())
	r.AfterChange(t.Context())
	b.set(false)
	r.AfterChange(t.Context())
	require.Equal(t, []string{"left by a process that ended"}, b.has(), "the first time that it can")
	r.AfterChange(t.Context())
	r.AfterChange(t.Context())
	require.Equal(t, 2, m.asked, "nothing was stored")
	m.store("project.create")
	r.AfterChange(t.Context())
	require.Len(t, b.has(), 2)
}
