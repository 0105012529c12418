package dispatch

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// WebhookConfig says where events are posted.
type WebhookConfig struct {
	URL           llmproxy.Secret // where to; it is never told, since many such addresses are credentials themselves
	Secret        llmproxy.Secret // signs each call: "whsec_" and base64, or any text; none leaves calls unsigned
	Authorization llmproxy.Secret // value of the Authorization header, if any
	Batch         int             // events in one call; 0 and 1 post each alone as an object, more than one posts a list
	Parallel      int             // calls at once; 0 is 8
	Bodies        bool            // records have the captured bodies
	Audit         bool            // audit events are posted too
}

// Webhook posts events as they are in the record, signed as standardwebhooks.com has it: webhook-id, webhook-timestamp and
// webhook-signature, "v1," and the base64 of the HMAC-SHA256 of id, timestamp and body, joined by points. The id of a call with one
// event is the event's, that of a list is the same whenever the same events are posted. Any 2xx means delivered.
type Webhook struct {
	cfg     WebhookConfig
	key     []byte // of the signature; nil signs nothing
	backend *backend
}

// NewWebhook returns the webhook destination.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	if err := checkURL(cfg.URL.Reveal()); err != nil {
		return nil, fmt.Errorf("the webhook destination's URL %w", err)
	}
	w := &Webhook{cfg: cfg, backend: newBackend(append(partsOf(cfg.URL, cfg.Authorization), cfg.Secret)...)}
	w.cfg.Parallel = orDefault(cfg.Parallel, 8)
	if secret := cfg.Secret.Reveal(); secret != "" {
		w.key = []byte(secret)
		if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
			key, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, errors.New("the webhook destination's secret begins with whsec_ and goes on with what is no base64")
			}
			w.key = key
		}
	}
	return w, nil
}

// tellingPart is how long a part of an address is that may be a credential by itself.
const tellingPart = 12

// partsOf are an address and an authorization in all the ways that an answer may quote them: whole, the path alone, as a page for "not
// found" does, a long segment or parameter, and what stands behind the scheme. The longest come first.
func partsOf(address, authorization llmproxy.Secret) []llmproxy.Secret {
	parts := []string{address.Reveal(), authorization.Reveal()}
	if _, credentials, ok := strings.Cut(authorization.Reveal(), " "); ok {
		parts = append(parts, credentials)
	}
	if u, err := url.Parse(address.Reveal()); err == nil { // checked before
		if len(u.Path) > 1 {
			parts = append(parts, u.RequestURI(), u.EscapedPath(), u.Path)
		}
		long := strings.Split(u.Path, "/")
		for _, values := range u.Query() {
			long = append(long, values...)
		}
		for _, part := range long {
			if len(part) >= tellingPart {
				parts = append(parts, part)
			}
		}
	}
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	secrets := make([]llmproxy.Secret, len(parts))
	for i, part := range parts {
		secrets[i] = llmproxy.NewSecret(part)
	}
	return secrets
}

// checkURL says what is wrong with the address of a destination, without telling it.
func checkURL(address string) error {
	if address == "" {
		return errors.New("is missing")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("is none: it begins with https:// or http:// and has a host")
	}
	return nil
}

// TakesAudit implements [Auditor].
func (w *Webhook) TakesAudit() bool { return w.cfg.Audit }

// WantsBodies implements [Destination].
func (w *Webhook) WantsBodies() bool { return w.cfg.Bodies }

// Start implements [Destination].
func (w *Webhook) Start(context.Context, []byte) error { return nil }

// Deliver implements [Destination].
func (w *Webhook) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	size := max(w.cfg.Batch, 1)
	calls := chunks(events, size)
	perCall := make([][]Result, len(calls))
	each(ctx, len(calls), w.cfg.Parallel, func(ctx context.Context, i int) Result {
		perCall[i] = halves(ctx, calls[i], w.post)
		return worst(perCall[i])
	})
	results := make([]Result, 0, len(events))
	for i, events := range calls {
		if perCall[i] == nil { // it was left for the next round
			perCall[i] = all(len(events), Retry(errLeft, 0))
		}
		results = append(results, perCall[i]...)
	}
	return results
}

// post makes one call.
func (w *Webhook) post(ctx context.Context, events []*llmproxy.Event) []Result {
	body, id := w.body(events)
	header := http.Header{"Content-Type": {"application/json"}}
	if !w.cfg.Authorization.IsZero() {
		header.Set("Authorization", w.cfg.Authorization.Reveal())
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", timestamp)
	if w.key != nil {
		header.Set("Webhook-Signature", signature(w.key, id, timestamp, body))
	}
	r, err := w.backend.post(ctx, w.cfg.URL.Reveal(), header, body)
	switch {
	case err != nil:
		return all(len(events), Retry(err, 0))
	case r.status >= 200 && r.status <= 299:
		return make([]Result, len(events))
	}
	return all(len(events), w.backend.refused(r))
}

// body is what is posted, and the id of the call.
func (w *Webhook) body(events []*llmproxy.Event) ([]byte, string) {
	record := func(dst []byte, e *llmproxy.Event) []byte {
		if w.cfg.Bodies {
			return e.AppendJSON(dst)
		}
		return e.AppendMeta(dst)
	}
	if w.cfg.Batch <= 1 {
		return record(nil, events[0]), events[0].ID.String()
	}
	body := []byte{'['}
	for i, e := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = record(body, e)
	}
	return append(body, ']'), "batch_" + nameOf(events)
}

// signature is the value of the header webhook-signature.
func signature(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// nameOf is a name for a batch that is the same whenever the same events make it.
func nameOf(events []*llmproxy.Event) string {
	h := sha256.New()
	for _, e := range events {
		h.Write(e.ID.UUID[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Note implements [Destination].
func (w *Webhook) Note() []byte { return nil }

// Close implements [Destination].
func (w *Webhook) Close() error { w.backend.close(); return nil }
