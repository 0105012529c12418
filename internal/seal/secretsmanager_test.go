package seal_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

// vault answers as Secrets Manager does, and fails as a test tells it.
type vault struct {
	mu     sync.Mutex
	values map[string]string // by name and stage
	down   bool
	slow   time.Duration
	reads  map[string]int
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SecretID string `json:"SecretId"`
		Stage    string `json:"VersionStage"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
		http.Error(w, "not a request of ours", http.StatusNotImplemented)
		return
	}
	v.mu.Lock()
	v.reads[in.SecretID+" "+in.Stage]++
	value, ok := v.values[in.SecretID+" "+in.Stage]
	down, slow := v.down, v.slow
	v.mu.Unlock()
	time.Sleep(slow)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch {
	case down:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"__type":"InternalServiceError","message":"fake"}`)
	case !ok:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ResourceNotFoundException","message":"fake"}`)
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"Name": in.SecretID, "SecretString": value})
	}
}

func (v *vault) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

func (v *vault) count(what string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads[what]
}

// rig is an opener over a vault, with a clock that the test moves.
type rig struct {
	*seal.Opener
	vault *vault

	mu  sync.Mutex
	now time.Time
}

func (r *rig) wait(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func startRig(t *testing.T, secret llmproxy.Secret) *rig {
	t.Helper()
	r := &rig{now: time.Now(), vault: &vault{values: map[string]string{"sealing AWSCURRENT": secret.Reveal()}, reads: map[string]int{}}}
	server := httptest.NewServer(r.vault)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := secretsmanager.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), HTTPClient: awshttp.New(&http.Client{Transport: transport}),
		Credentials: credentials.NewStaticCredentialsProvider("fake", "fake", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	})
	r.Opener = seal.New(seal.Config{
		Secrets: seal.FromSecretsManager(client, "sealing"), References: seal.ReferencesIn(client, "stack/keys/"),
		Now: func() time.Time {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.now
		},
	})
	return r
}

func (r *rig) opens(t *testing.T, p *llmproxy.Project) {
	t.Helper()
	got, err := r.Open(ctx, p)
	require.NoError(t, err)
	require.Equal(t, key, got.Reveal())
}

func (r *rig) fails(t *testing.T, p *llmproxy.Project, because string) {
	t.Helper()
	_, err := r.Open(ctx, p)
	require.ErrorIs(t, err, llmproxy.ErrKeyUnavailable)
	require.ErrorContains(t, err, because)
	require.ErrorContains(t, err, p.ID.String())
}

func TestAKeyInMemoryIsUsedForFifteenMinutesWhileTheVaultIsDown(t *testing.T) {
	secret := seal.NewSecret()
	sealedKey := sealed(t, secret)
	referred := &llmproxy.Project{ID: llmproxy.NewProjectID(time.Now()), Provider: "openai", KeyRef: "stack/keys/one"}
	for name, p := range map[string]*llmproxy.Project{"sealed": sealedKey, "referred": referred} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t, secret)
			r.vault.values["stack/keys/one AWSCURRENT"] = key + "\n"
			what := map[string]string{"sealed": "sealing AWSCURRENT", "referred": "stack/keys/one AWSCURRENT"}[name]
			r.opens(t, p)
			r.wait(4 * time.Minute)
			r.opens(t, p)
			require.Equal(t, 1, r.vault.count(what), "it is asked for once")
			r.vault.set(func() { r.vault.down = true })
			r.wait(2 * time.Minute)
			r.opens(t, p)
			require.Equal(t, 2, r.vault.count(what), "an old one is asked for again")
			r.wait(8 * time.Minute)
			r.opens(t, p)
			r.wait(2 * time.Minute)
			r.fails(t, p, "InternalServiceError")
			r.vault.set(func() { r.vault.down = false })
			r.wait(2 * time.Second)
			r.opens(t, p)
			r.wait(10 * time.Minute)
			r.opens(t, p)
		})
	}
}

func TestTheCallersOfAColdProcessShareOneRead(t *testing.T) {
	secret := seal.NewSecret()
	p := sealed(t, secret)
	r := startRig(t, secret)
	r.vault.down, r.vault.slow = true, 100*time.Millisecond
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.Open(ctx, p); err == nil {
				t.Error("opened without a secret")
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, r.vault.count("sealing AWSCURRENT"))
	r.fails(t, p, "InternalServiceError")
	require.Equal(t, 1, r.vault.count("sealing AWSCURRENT"), "what has just failed is not tried at once")
	r.vault.set(func() { r.vault.down = false })
	r.wait(time.Second)
	r.opens(t, p)
}

func TestTheSecretBeforeARotationStillOpens(t *testing.T) {
	first, second := seal.NewSecret(), seal.NewSecret()
	old, renewed := sealed(t, first), sealed(t, second)
	r := startRig(t, first)
	r.opens(t, old)
	r.fails(t, renewed, "which no sealing secret has")
	r.vault.set(func() {
		r.vault.values["sealing AWSCURRENT"], r.vault.values["sealing AWSPREVIOUS"] = second.Reveal(), first.Reveal()
	})
	before := r.vault.count("sealing AWSCURRENT")
	r.fails(t, renewed, "which no sealing secret has")
	require.Equal(t, before, r.vault.count("sealing AWSCURRENT"), "an unknown key does not make everybody ask all the time")
	r.wait(time.Second)
	r.opens(t, renewed)
	require.Equal(t, before+1, r.vault.count("sealing AWSCURRENT"), "an unknown key is looked for once")
	r.Forget(old)
	r.opens(t, old)
}

func TestARefusedKeyIsReadAnew(t *testing.T) {
	r := startRig(t, seal.NewSecret())
	p := &llmproxy.Project{ID: llmproxy.NewProjectID(time.Now()), Provider: "openai", KeyRef: "stack/keys/one"}
	r.vault.values["stack/keys/one AWSCURRENT"] = "sk-fake-before"
	got, err := r.Open(ctx, p)
	require.NoError(t, err)
	require.Equal(t, "sk-fake-before", got.Reveal())
	r.vault.set(func() { r.vault.values["stack/keys/one AWSCURRENT"] = key })
	r.Forget(p)
	r.opens(t, p)
}

func TestAReferenceLeadsToItsOwnFolderAlone(t *testing.T) {
	r := startRig(t, seal.NewSecret())
	r.vault.values["stack/keys/empty AWSCURRENT"] = " \n"
	for ref, because := range map[string]string{
		"sealing": "begin with stack/keys/", "stack/keys": "begin with stack/keys/", "stack/keys/": "begin with stack/keys/",
		"stack/keys/none": "ResourceNotFoundException", "stack/keys/empty": "no text",
	} {
		r.fails(t, &llmproxy.Project{ID: llmproxy.NewProjectID(time.Now()), KeyRef: ref}, because)
	}
	require.Zero(t, r.vault.count("sealing AWSCURRENT"))
}

func TestAWarmOpenerHasReadItsSecrets(t *testing.T) {
	secret := seal.NewSecret()
	r := startRig(t, secret)
	r.vault.down = true
	require.Error(t, r.Warm(ctx))
	r.vault.set(func() { r.vault.down = false })
	require.NoError(t, r.Warm(ctx))
	reads := r.vault.count("sealing AWSCURRENT")
	r.opens(t, sealed(t, secret))
	require.Equal(t, reads, r.vault.count("sealing AWSCURRENT"))
}

func TestAVaultThatKnowsOnlyTheCurrentVersionIsEnough(t *testing.T) {
	secret := seal.NewSecret()
	r := startRig(t, secret)
	r.opens(t, sealed(t, secret))
	require.Equal(t, 1, r.vault.count("sealing AWSPREVIOUS"))
	damaged := startRig(t, llmproxy.NewSecret("short"))
	damaged.fails(t, sealed(t, secret), "at least 32")
}
