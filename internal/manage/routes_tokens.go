package manage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TokenPath names a token in a path.
type TokenPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]+$" doc:"Id of the token, never its secret"`
}

// id refuses a secret aloud: it stands in the logs of whatever the request came through.
func (p TokenPath) id() (llmproxy.TokenID, error) {
	if _, secret := llmproxy.ParseTokenSecret(p.ID); secret {
		return llmproxy.TokenID{}, FieldErrors{{"id", "must be the token's id, never its secret: this one has been seen by every log on the way, so revoke or rotate it"}}
	}
	id, err := llmproxy.ParseTokenID(p.ID)
	if err != nil {
		return id, llmproxy.ErrNotFound
	}
	return id, nil
}

type tokenAnswer struct {
	ETag string `header:"ETag"`
	Body wireToken
}

func (h *Handler) answerToken(t *llmproxy.Token) *tokenAnswer {
	return &tokenAnswer{ETag: etag(t.Revision), Body: tokenOut(t, h.service.now())}
}

type mintTokenInput struct{ Body wireNewToken }

type mintedToken struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     wireMintedToken
}

type listTokensInput struct {
	ProjectID      string       `query:"project_id" format:"uuid"`
	Active         optionalBool `query:"active" doc:"Only those that are neither revoked nor expired, or only others"`
	ExpiringWithin string       `query:"expiring_within" pattern:"^[1-9][0-9]{0,5}[mhd]$" doc:"Not expired, but within this time: 30m, 24h, 7d"`
	Status         string       `query:"status" enum:"active,revoked,expired,exhausted" doc:"As in the answer"`
	Q              string       `query:"q" minLength:"1" maxLength:"100" doc:"Part of the name, in any case, or how the id begins; never a secret"`
	Sort           string       `query:"sort" enum:"name,-name,expires_at,-expires_at,request_count,-request_count,last_used_at,-last_used_at" doc:"Ordered by this from the smallest on, with a minus from the largest; absent: the newest first"`
	IDs            []string     `query:"id" maxItems:"100" format:"uuid" doc:"These tokens, joined by commas, without paging; those that are not there are left out"`
	PageParams
}

type tokensAnswer struct {
	Link string      `header:"Link" doc:"The next page, as <...>; rel=next. Where it is missing, this is the last"`
	Body []wireToken `nullable:"false"`
}

type changeTokenInput struct {
	TokenPath
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"ETag of the token that the change is meant for; 412 if it has changed since"`
	Body    wireTokenChange
}

type revokeTokensInput struct{ Body wireRevoke }

type rotateTokenInput struct {
	TokenPath
	Body *wireRotate `required:"false"`
}

type rotatedToken struct {
	ETag string `header:"ETag"`
	Body wireMintedToken
}

// addTokens adds the paths of tokens.
func (h *Handler) addTokens() {
	const all, one = "/manage/tokens", "/manage/tokens/{id}"
	huma.Register(h.api, h.operation("mintToken", "POST", all, "Mint a token; its secret is shown this once", http.StatusCreated, append([]int{http.StatusNotFound}, withBody...)...), h.mintToken)
	huma.Register(h.api, h.operation("listTokens", "GET", all, "List tokens, newest first unless they are sorted", http.StatusOK), h.listTokens)
	huma.Register(h.api, h.operation("revokeTokens", "DELETE", all, "Revoke one token or up to 90, all or none", http.StatusNoContent, append([]int{http.StatusNotFound}, withBody...)...), h.revokeTokens)
	huma.Register(h.api, h.operation("getToken", "GET", one, "Get a token", http.StatusOK, http.StatusNotFound), h.getToken)
	huma.Register(h.api, h.operation("updateToken", "PATCH", one, "Change a token: absent is unchanged, null is cleared", http.StatusOK, append([]int{http.StatusNotFound, http.StatusPreconditionFailed}, withBody...)...), h.changeToken)
	huma.Register(h.api, h.operation("revokeToken", "DELETE", one, "Revoke a token; it is final", http.StatusNoContent, http.StatusNotFound), h.revokeToken)
	huma.Register(h.api, h.operation("rotateToken", "POST", one+"/rotate", "Give a token a new secret; id and counter stay", http.StatusOK, append([]int{http.StatusNotFound, http.StatusConflict}, withBody...)...), h.rotateToken)
}

func (h *Handler) mintToken(ctx context.Context, in *mintTokenInput) (*mintedToken, error) {
	token, err := in.Body.in()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	callOf(ctx).project = token.ProjectID
	t, secret, err := h.service.MintToken(ctx, callOf(ctx).actor, token)
	if isNotFound(err) {
		return nil, newProblem(http.StatusNotFound, "There is no such project, or it was deleted.")
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &mintedToken{
		Location: "/manage/tokens/" + t.ID.String(), ETag: etag(t.Revision),
		Body: wireMintedToken{Token: secret.Reveal(), TokenFields: tokenFieldsOut(&t, h.service.now())},
	}, nil
}

func (h *Handler) listTokens(ctx context.Context, in *listTokensInput) (*tokensAnswer, error) {
	c := callOf(ctx)
	page, err := c.page(in.PageParams)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	if len(in.IDs) > 0 {
		return h.tokensByID(ctx, in)
	}
	if strings.Contains(in.Q, llmproxy.SecretPrefix) {
		return nil, h.problem(ctx, FieldErrors{{"q", "must not be a secret: this one has been seen by every log on the way, so revoke or rotate it"}})
	}
	f := llmproxy.TokenFilter{Active: in.Active.pointer(), Status: llmproxy.TokenStatus(in.Status), Query: in.Q, Order: llmproxy.TokenOrder(in.Sort)}
	if f.ProjectID, err = projectParam(in.ProjectID); err != nil {
		return nil, h.problem(ctx, err)
	}
	within, ok := span(in.ExpiringWithin)
	if !ok {
		return nil, h.problem(ctx, FieldErrors{{"expiring_within", "must be a number of minutes, hours or days: 30m, 24h, 7d"}})
	}
	f.ExpiringWithin = within
	tokens, more, err := h.service.Tokens(ctx, f, page)
	if errors.Is(err, llmproxy.ErrTooMany) {
		return nil, h.problem(ctx, FieldErrors{{"sort", "there are too many tokens to order them here: narrow them to a project"}})
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	now := h.service.now()
	out := &tokensAnswer{Body: make([]wireToken, len(tokens))}
	for i := range tokens {
		out.Body[i] = tokenOut(&tokens[i], now)
	}
	if more {
		last := &tokens[len(tokens)-1]
		out.Link = c.nextInOrder(last.ID.UUID, f.Order.KeyOf(last))
	}
	return out, nil
}

// tokensByID answers for a page that shows what others say of tokens, such as requests, and wants their names.
func (h *Handler) tokensByID(ctx context.Context, in *listTokensInput) (*tokensAnswer, error) {
	var problems FieldErrors
	for name := range callOf(ctx).url.Query() {
		if name != "id" {
			problems.add(name, "goes with a listing, not with ids")
		}
	}
	ids := make([]llmproxy.TokenID, len(in.IDs))
	for i, text := range in.IDs {
		ids[i].UUID = problems.id("id", text)
	}
	if err := problems.err(); err != nil {
		return nil, h.problem(ctx, err)
	}
	tokens, err := h.service.TokensByID(ctx, ids)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	out := &tokensAnswer{Body: []wireToken{}}
	for i := range tokens {
		out.Body = append(out.Body, tokenOut(&tokens[i], h.service.now()))
	}
	return out, nil
}

func (h *Handler) getToken(ctx context.Context, in *TokenPath) (*tokenAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	t, err := h.service.Token(ctx, id)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return h.answerToken(&t), nil
}

func (h *Handler) changeToken(ctx context.Context, in *changeTokenInput) (*tokenAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	patch, err := in.Body.in()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	if patch.IfRevision, err = revisions(in.IfMatch); err != nil {
		return nil, h.problem(ctx, err)
	}
	t, err := h.service.UpdateToken(ctx, callOf(ctx).actor, id, patch)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return h.answerToken(&t), nil
}

func (h *Handler) revokeToken(ctx context.Context, in *TokenPath) (*struct{}, error) {
	id, err := in.id()
	if err == nil {
		err = h.service.RevokeTokens(ctx, callOf(ctx).actor, id)
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return nil, nil //nolint:nilnil // the framework's way to answer without a body
}

func (h *Handler) revokeTokens(ctx context.Context, in *revokeTokensInput) (*struct{}, error) {
	ids, err := in.Body.in()
	if err == nil {
		err = h.service.RevokeTokens(ctx, callOf(ctx).actor, ids...)
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return nil, nil //nolint:nilnil // the framework's way to answer without a body
}

func (h *Handler) rotateToken(ctx context.Context, in *rotateTokenInput) (*rotatedToken, error) {
	id, err := in.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	var grace time.Duration
	if in.Body != nil {
		grace = time.Duration(in.Body.GraceMinutes.Value) * time.Minute
	}
	t, secret, err := h.service.RotateToken(ctx, callOf(ctx).actor, id, grace)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &rotatedToken{ETag: etag(t.Revision), Body: wireMintedToken{Token: secret.Reveal(), TokenFields: tokenFieldsOut(&t, h.service.now())}}, nil
}
