package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTwoThatStartAtOnceEndWithTheSameKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	found := make([]keyFile, 20)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			keys, err := loadKeys(dir, makeOperators)
			if err != nil {
				t.Error(err)
			}
			found[i] = keys
		})
	}
	wg.Wait()
	for _, keys := range found {
		require.Equal(t, found[0], keys)
	}
	require.GreaterOrEqual(t, len(found[0].SealingSecret), 32)
	require.GreaterOrEqual(t, len(found[0].ManagementToken), minManagementToken)
	require.GreaterOrEqual(t, len(found[0].AdminPassword), minAdminPassword)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2, "the file and its lock, and nothing left over: %v", names)
}

func TestAKeyFileThatExistsIsKept(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(keyFilePath(dir), []byte(`{"sealing_secret":"fake-sealing-secret-of-32-characters","management_token":"fake-mine"}`), 0o600))
	keys, err := loadKeys(dir, nil)
	require.NoError(t, err)
	require.Equal(t, keyFile{SealingSecret: "fake-sealing-secret-of-32-characters", ManagementToken: "fake-mine"}, keys)
	keys, err = loadKeys(dir, makeOperators)
	require.NoError(t, err)
	require.Equal(t, "fake-mine", keys.ManagementToken)
	again, err := loadKeys(dir, nil)
	require.NoError(t, err)
	require.Equal(t, keys, again)
}

func TestAKeyFileThatOthersReadOrThatIsDamagedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		says    string
	}{
		"readable by a group": {`{"sealing_secret":"x"}`, 0o640, "others can read its secrets"},
		"cut":                 {`{"sealing_sec`, 0o600, "is damaged"},
		"without its secret":  {`{"management_token":"x"}`, 0o600, "is damaged"},
		"empty":               {``, 0o600, "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(keyFilePath(dir), []byte(c.content), c.mode))
			_, err := loadKeys(dir, makeOperators)
			require.ErrorContains(t, err, c.says)
			have, err := os.ReadFile(keyFilePath(dir))
			require.NoError(t, err)
			require.Equal(t, c.content, string(have), "it stays as it is")
		})
	}
}

func TestTwoDemosThatStartAtOnceHaveTheSameToken(t *testing.T) {
	env := environment(t, nil)
	first, second := env, environment(t, map[string]string{"LLM_PROXY_DATA_DIR": env["LLM_PROXY_DATA_DIR"], "LLM_PROXY_PID_FILE": filepath.Join(t.TempDir(), "other.pid")})
	servers := make([]*testServer, 2)
	var wg sync.WaitGroup
	for i, env := range []map[string]string{first, second} {
		wg.Go(func() { servers[i] = startWith(t, env, true) })
	}
	wg.Wait()
	require.NotEmpty(t, servers[0].token)
	require.Equal(t, servers[0].token, servers[1].token)
}

func TestAProvidersFileThatIsRefusedLeavesNoKeyFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "providers.yaml")
	require.NoError(t, os.WriteFile(file, []byte("default: openai\nproviders: {openai: {unknown: 1}}\n"), 0o600))
	data := t.TempDir()
	_, err := tryStart(t, map[string]string{"LLM_PROXY_PROVIDERS": file, "LLM_PROXY_DATA_DIR": data})
	require.ErrorContains(t, err, "providers.yaml")
	require.NoFileExists(t, keyFilePath(data))
}
