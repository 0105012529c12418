package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

// keyFile are the installation's own secrets, in a file of mode 0600 in the data folder. Whoever loses the sealing secret has to set
// every provider key anew.
type keyFile struct {
	SealingSecret   string `json:"sealing_secret"`
	ManagementToken string `json:"management_token,omitempty"`
	AdminPassword   string `json:"admin_password,omitempty"`
	DemoToken       string `json:"demo_token,omitempty"`
}

// Least lengths of what guards the management side.
const (
	minManagementToken = 32
	minAdminPassword   = 12
)

func keyFilePath(dataDir string) string { return filepath.Join(dataDir, "keys.json") }

// loadKeys reads the key file, makes it with a sealing secret if it is not there, and stores what fill adds. Two processes that start
// at once end with the same content.
func loadKeys(dataDir string, fill func(*keyFile) error) (keyFile, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return keyFile{}, err
	}
	path := keyFilePath(dataDir)
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return keyFile{}, fmt.Errorf("lock the key file: %w", err)
	}
	defer unlock()
	k, err := readKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = keyFile{SealingSecret: seal.NewSecret().Reveal()}, nil
	}
	if err != nil {
		return keyFile{}, err
	}
	before := k
	if fill != nil {
		if err := fill(&k); err != nil {
			return keyFile{}, err
		}
	}
	if k == before && fileExists(path) {
		return k, nil
	}
	return k, writeKeys(path, k)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readKeys(path string) (keyFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return keyFile{}, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return keyFile{}, fmt.Errorf("%s has mode %04o: others can read its secrets; run chmod 600 on it, and consider them known", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return keyFile{}, err
	}
	var k keyFile
	if err := json.Unmarshal(data, &k); err != nil || k.SealingSecret == "" {
		return keyFile{}, fmt.Errorf("%s is damaged: restore it from a backup, or remove it and set every provider key anew", path)
	}
	return k, nil
}

// writeKeys replaces the key file in one step, which a power cut does not undo: provider keys may be sealed with its secret right after.
func writeKeys(path string, k keyFile) error {
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable: until then a power cut may take a file away that was renamed into it.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// makeOperators makes management token and admin password where they are missing.
func makeOperators(k *keyFile) error {
	if k.ManagementToken == "" {
		k.ManagementToken = randomText(32)
	}
	if k.AdminPassword == "" {
		k.AdminPassword = randomText(18)
	}
	return nil
}

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// operators are the credentials of the management side.
type operators struct {
	token    llmproxy.Secret
	user     string
	password llmproxy.Secret
}

// findOperators takes them from the settings, else from the key file, and refuses weak ones: a management side that anybody can
// guess into must not come up.
func findOperators(s *settings, k keyFile) (operators, error) {
	token, password := s.ManagementToken, s.AdminPassword
	if s.ManagementTokenFile != "" {
		data, err := os.ReadFile(s.ManagementTokenFile)
		if err != nil {
			return operators{}, usageError("%s: %v", settingName("LLM_PROXY_MANAGEMENT_TOKEN_FILE"), err)
		}
		token = strings.TrimSpace(string(data))
	}
	if token == "" {
		token = k.ManagementToken
	}
	if password == "" {
		password = k.AdminPassword
	}
	var problems []string
	for _, c := range []struct {
		name, value string
		least       int
	}{{"MANAGEMENT_TOKEN", token, minManagementToken}, {"ADMIN_PASSWORD", password, minAdminPassword}} {
		switch {
		case c.value == "":
			problems = append(problems, c.name+" is not set")
		case len(c.value) < c.least:
			problems = append(problems, fmt.Sprintf("%s has %d characters and needs at least %d", c.name, len(c.value), c.least))
		}
	}
	if problems != nil {
		return operators{}, usageError("%s.\nRun llm-proxy setup, which makes both, or set them in the environment; llm-proxy server --demo needs neither.", strings.Join(problems, ", "))
	}
	return operators{token: llmproxy.NewSecret(token), user: s.AdminUser, password: llmproxy.NewSecret(password)}, nil
}
