package testlog_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/testlog"
)

func TestWhatManySayAtOnceIsAllThere(t *testing.T) {
	var b testlog.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), &b, zap.InfoLevel))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			fmt.Fprintf(&b, "line %d\n", i)
			log.Info("logged")
			_ = b.String()
		})
	}
	wg.Wait()
	require.NoError(t, log.Sync())
	require.Equal(t, 40, strings.Count(b.String(), "\n"))
	require.Equal(t, 20, strings.Count(b.String(), `"msg":"logged"`))
}
