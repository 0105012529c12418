package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

var (
	_ proxy.Store  = (*sqlite.Store)(nil)
	_ manage.Store = (*sqlite.Store)(nil)
)

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// rounds is how often races run: LLM_PROXY_ROUNDS, else a few.
func rounds() int {
	n, err := strconv.Atoi(os.Getenv("LLM_PROXY_ROUNDS"))
	if err != nil {
		return 20
	}
	return n
}

func TestStore(t *testing.T) {
	paths := map[storetest.Store]string{}
	storetest.Run(t, storetest.Engine{
		Open: func(t *testing.T) storetest.Store {
			path := filepath.Join(t.TempDir(), "llm proxy?#%.db")
			s := open(t, path)
			paths[s] = path
			return s
		},
		Again:  func(t *testing.T, s storetest.Store) storetest.Store { return open(t, paths[s]) },
		Rounds: rounds(),
	})
}

func BenchmarkSpend(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bench.db"))
	p := storetest.AddProject(b, s)
	id, hash := storetest.AddToken(b, s, p.ID)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Spend(context.Background(), id, hash, storetest.Noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpendParallel(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "bench.db"))
	p := storetest.AddProject(b, s)
	id, hash := storetest.AddToken(b, s, p.ID)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Spend(context.Background(), id, hash, storetest.Noon); err != nil {
				b.Error(err)
			}
		}
	})
}
