package manage

import (
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TokenFields are what every answer about a token tells.
type TokenFields struct {
	ID                 string     `json:"id" format:"uuid"`
	ProjectID          string     `json:"project_id" format:"uuid"`
	Name               string     `json:"name"`
	CreatedAt          time.Time  `json:"created_at"`
	ExpiresAt          time.Time  `json:"expires_at" doc:"From this moment on it is refused"`
	IsActive           bool       `json:"is_active" doc:"false once it was revoked, by itself or with its project"`
	Status             string     `json:"status" enum:"active,revoked,expired,exhausted" doc:"What became of it; of several the first of revoked, expired, exhausted (its lifetime cap is reached)"`
	RevokedAt          *time.Time `json:"revoked_at,omitempty" nullable:"false"`
	MaxRequests        *int64     `json:"max_requests" nullable:"true" doc:"Requests in its whole life; null: no cap"`
	RequestsPerHour    *int64     `json:"requests_per_hour" nullable:"true" doc:"Requests in each UTC clock hour; null: no cap"`
	RequestCount       int64      `json:"request_count" doc:"Requests so far, which max_requests limits"`
	HourCount          int64      `json:"hour_count" doc:"Requests in the current UTC clock hour, which requests_per_hour limits"`
	LastUsedAt         *time.Time `json:"last_used_at,omitempty" nullable:"false"`
	RequestHeadersDrop []string   `json:"request_headers_drop" nullable:"false" doc:"Headers of the caller that its requests do not carry on"`
	Revision           int64      `json:"revision" doc:"Raised by each change, not by use; in quotes it is the ETag"`
}

// wireToken is a token as it goes out: never its secret.
type wireToken struct {
	Token string `json:"token" format:"uuid" doc:"The same as id, for clients that look here"`
	TokenFields
}

// wireMintedToken shows a new secret, this once.
type wireMintedToken struct {
	Token string `json:"token" doc:"The new secret. It is shown this once and kept nowhere"`
	TokenFields
}

// wireNewToken is what a token is made of.
type wireNewToken struct {
	ProjectID          string             `json:"project_id" format:"uuid"`
	DurationMinutes    whole              `json:"duration_minutes" minimum:"1" maximum:"525600"`
	Name               optional[string]   `json:"name,omitempty" maxLength:"100"`
	MaxRequests        optional[whole]    `json:"max_requests,omitempty" minimum:"1" maximum:"1000000000" doc:"Requests in its whole life; absent: as the installation is set; null: no cap"`
	RequestsPerHour    optional[whole]    `json:"requests_per_hour,omitempty" minimum:"1" maximum:"1000000000" doc:"Requests in each UTC clock hour; absent: 1000; null: no cap"`
	RequestHeadersDrop optional[[]string] `json:"request_headers_drop,omitempty" maxItems:"50" pattern:"^[!#$%&'*+.^_|~0-9A-Za-z-]+$" doc:"Headers of the caller that its requests do not carry on"`
}

// wireTokenChange is what is to change of a token: absent is unchanged, null is cleared.
type wireTokenChange struct {
	Name            optional[string]    `json:"name,omitempty" maxLength:"100"`
	ExpiresAt       optional[time.Time] `json:"expires_at,omitempty" nullable:"false" doc:"Earlier or later, at most 525600 minutes from now"`
	MaxRequests     optional[whole]     `json:"max_requests,omitempty" minimum:"1" maximum:"1000000000"`
	RequestsPerHour optional[whole]     `json:"requests_per_hour,omitempty" minimum:"1" maximum:"1000000000"`
}

// wireRevoke names tokens to revoke, each by its secret or its id.
type wireRevoke struct {
	Token  optional[string]   `json:"token,omitempty" nullable:"false" maxLength:"100" doc:"Secret or id"`
	Tokens optional[[]string] `json:"tokens,omitempty" nullable:"false" minItems:"1" maxItems:"90" maxLength:"100" doc:"Secrets or ids: all are revoked, or none"`
}

// wireRotate says how a token is rotated.
type wireRotate struct {
	GraceMinutes optional[whole] `json:"grace_minutes,omitempty" minimum:"0" maximum:"525600" doc:"How long the secret before stays good; absent or null: not at all"`
}

func tokenFieldsOut(t *llmproxy.Token, now time.Time) TokenFields {
	out := TokenFields{
		ID: t.ID.String(), ProjectID: t.ProjectID.String(), Name: t.Name, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, IsActive: t.Active, Status: string(t.Status(now)),
		RevokedAt: timeOut(t.RevokedAt), MaxRequests: limitNumber(t.MaxRequests), RequestsPerHour: limitNumber(t.RequestsPerHour), RequestCount: t.RequestCount, HourCount: t.SpentInHour(now),
		LastUsedAt: timeOut(t.LastUsedAt), RequestHeadersDrop: t.RequestHeadersDrop, Revision: t.Revision,
	}
	if out.RequestHeadersDrop == nil {
		out.RequestHeadersDrop = []string{}
	}
	return out
}

// timeOut leaves out what never was.
func timeOut(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func tokenOut(t *llmproxy.Token, now time.Time) wireToken {
	return wireToken{Token: t.ID.String(), TokenFields: tokenFieldsOut(t, now)}
}

func (w *wireNewToken) in() (NewToken, error) {
	project, err := llmproxy.ParseProjectID(w.ProjectID)
	if err != nil {
		return NewToken{}, FieldErrors{{"project_id", "is not the id of a project"}}
	}
	return NewToken{
		ProjectID: project, DurationMinutes: int64(w.DurationMinutes), Name: w.Name.Value,
		MaxRequests: limitOf(w.MaxRequests), RequestsPerHour: limitOf(w.RequestsPerHour), RequestHeadersDrop: w.RequestHeadersDrop.Value,
	}, nil
}

func (w *wireTokenChange) in() (TokenPatch, error) {
	var problems FieldErrors
	patch := TokenPatch{
		Name: w.Name.cleared(), ExpiresAt: w.ExpiresAt.given(&problems, "expires_at"),
		MaxRequests: limitOf(w.MaxRequests), RequestsPerHour: limitOf(w.RequestsPerHour),
	}
	return patch, problems.err()
}

// in are the ids that are named. A secret is good for its id, whether or not it is the current one.
func (w *wireRevoke) in() ([]llmproxy.TokenID, error) {
	names, field := w.Tokens.Value, "tokens"
	switch {
	case w.Token.Set == w.Tokens.Set:
		return nil, FieldErrors{{"token", "give either token or tokens"}}
	case w.Token.Set:
		names, field = []string{w.Token.Value}, "token"
	}
	ids := make([]llmproxy.TokenID, len(names))
	for i, name := range names {
		id, ok := llmproxy.ParseTokenSecret(name)
		if !ok {
			var err error
			if id, err = llmproxy.ParseTokenID(name); err != nil {
				return nil, FieldErrors{{field, "must be the secret of a token or its id"}}
			}
		}
		ids[i] = id
	}
	return ids, nil
}
