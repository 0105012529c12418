package dynamo

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// CreateToken stores a new token under its project's current epoch: its row, the two that list it and the audit entry. The gate row
// is part of the transaction, so no token outlives a bulk revoke or a deletion that came between.
func (s *Store) CreateToken(ctx context.Context, g llmproxy.Gate, entry llmproxy.AuditEntry) error {
	return s.settled(ctx, func(ctx context.Context) error {
		project := s.readGate(ctx, g.ProjectID)
		switch {
		case project.err != nil:
			return project.err
		case !project.there || !project.project.DeletedAt.IsZero():
			return llmproxy.ErrNotFound
		}
		g.Epoch, g.RequestCount = project.project.Epoch, 0
		var c changes
		c.put(s.tokens, tokenRowOf(&g), absent())
		for _, row := range listingRowsOf(&g.Token) {
			c.put(s.control, row, absent())
		}
		c.check(s.control, controlKey(gatePartition(g.ProjectID), gateSort), liveAt(g.Epoch))
		return s.told(ctx, &c, entry)
	})
}

// readGate reads a project's gate row with management's patience.
func (s *Store) readGate(ctx context.Context, id llmproxy.ProjectID) projectRead {
	row, err := s.getControl(ctx, gatePartition(id), gateSort)
	if errors.Is(err, llmproxy.ErrNotFound) {
		return projectRead{}
	}
	if err != nil {
		return projectRead{err: err}
	}
	p, err := projectOfGate(row)
	return projectRead{project: p, there: true, err: unavailable(err)}
}

// Token returns a token as it now is.
func (s *Store) Token(ctx context.Context, id llmproxy.TokenID) (llmproxy.Token, error) {
	output, err := s.patient.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.tokens, Key: tokenKey(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return llmproxy.Token{}, unavailable(err)
	}
	if len(output.Item) == 0 {
		return llmproxy.Token{}, llmproxy.ErrNotFound
	}
	g, err := gateOf(output.Item, newestWindow)
	if err != nil {
		return llmproxy.Token{}, unavailable(err)
	}
	project := s.readGate(ctx, g.ProjectID)
	if project.err != nil {
		return llmproxy.Token{}, project.err
	}
	project.judge(&g)
	return g.Token, nil
}

// judge makes a token what it is in this project: a deletion or a bulk revoke counts as its own.
func (p *projectRead) judge(g *llmproxy.Gate) {
	if p.there && !errors.Is(p.project.Refusal(g.Epoch), llmproxy.ErrRevoked) {
		return
	}
	g.Active = false
	switch {
	case !g.RevokedAt.IsZero():
	case g.Epoch < p.project.Epoch:
		g.RevokedAt = p.project.EpochAt
	default:
		g.RevokedAt = p.project.DeletedAt
	}
}

// Tokens lists tokens as they now are, newest first.
func (s *Store) Tokens(ctx context.Context, f llmproxy.TokenFilter, p llmproxy.Page) ([]llmproxy.Token, bool, error) {
	q := query{partition: tokensPartition, below: below(p), filter: listingFilter(f)}
	if !f.ProjectID.IsZero() {
		q.partition = ownTokensPartition(f.ProjectID)
	}
	f.Query = strings.ToLower(f.Query)
	if f.Order != "" {
		q.below = ""
		return s.tokensInOrder(ctx, q, f, p)
	}
	if f.Active == nil && f.ExpiringWithin == 0 && f.Status == "" && f.Query == "" {
		q.size = pageLimit(p) + 1
	}
	return page(s.listed(ctx, q), func(t *llmproxy.Token) bool { return passes(t, f) }, p)
}

// maxOrdered is how many tokens are put in another order than that of their ids: they are all read, for each page.
const maxOrdered = 10_000

// tokensInOrder lists tokens in an order of their own.
func (s *Store) tokensInOrder(ctx context.Context, q query, f llmproxy.TokenFilter, p llmproxy.Page) ([]llmproxy.Token, bool, error) {
	var all []llmproxy.Token
	read := 0
	for t, err := range s.listed(ctx, q) {
		if err != nil {
			return nil, false, err
		}
		if read++; read > maxOrdered {
			return nil, false, llmproxy.ErrTooMany
		}
		if passes(&t, f) && (p.After.IsZero() || f.Order.Compare(f.Order.KeyOf(&t), t.ID, p.AfterKey, llmproxy.TokenID{UUID: p.After}) > 0) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b llmproxy.Token) int {
		return f.Order.Compare(f.Order.KeyOf(&a), a.ID, f.Order.KeyOf(&b), b.ID)
	})
	more := len(all) > pageLimit(p)
	return all[:min(len(all), pageLimit(p))], more, nil
}

// listed reads the tokens that a partition lists, as they now are. It ends after the first error.
func (s *Store) listed(ctx context.Context, q query) iter.Seq2[llmproxy.Token, error] {
	return func(yield func(llmproxy.Token, error) bool) {
		for gates, err := range s.gates(ctx, q) {
			var projects map[llmproxy.ProjectID]*projectRead
			if err == nil {
				projects, err = s.projectsOf(ctx, gates)
			}
			if err != nil {
				yield(llmproxy.Token{}, err)
				return
			}
			for _, g := range gates {
				projects[g.ProjectID].judge(&g)
				if !yield(g.Token, nil) {
					return
				}
			}
		}
	}
}

// listingFilter spares reading tokens whose expiry says enough; nil spares none.
func listingFilter(f llmproxy.TokenFilter) *expression.ConditionBuilder {
	expires := expression.Name("ex")
	now := expression.Value(toMillis(f.Now))
	switch {
	case f.ExpiringWithin > 0:
		filter := expires.GreaterThan(now).And(expires.LessThanEqual(expression.Value(toMillis(f.Now.Add(f.ExpiringWithin)))))
		return &filter
	case f.Active != nil && *f.Active, f.Status == llmproxy.TokenActive, f.Status == llmproxy.TokenExhausted:
		filter := expires.GreaterThan(now)
		return &filter
	}
	return nil
}

func passes(t *llmproxy.Token, f llmproxy.TokenFilter) bool {
	if f.Active != nil && (t.Active && f.Now.Before(t.ExpiresAt)) != *f.Active {
		return false
	}
	if f.Status != "" && t.Status(f.Now) != f.Status {
		return false
	}
	if f.Query != "" && !strings.Contains(strings.ToLower(t.Name), f.Query) {
		id := strings.ReplaceAll(t.ID.String(), "-", "")
		if digits := f.QueryDigits(); digits == "" || !strings.HasPrefix(id, digits) {
			return false
		}
	}
	return f.ExpiringWithin <= 0 || f.Now.Before(t.ExpiresAt) && !t.ExpiresAt.After(f.Now.Add(f.ExpiringWithin))
}

// gates reads the tokens that a partition lists, page by page, as their rows are and without their projects. It ends after the first
// error.
func (s *Store) gates(ctx context.Context, q query) iter.Seq2[[]llmproxy.Gate, error] {
	return func(yield func([]llmproxy.Gate, error) bool) {
		for listed, err := range s.pages(ctx, q) {
			if err != nil {
				yield(nil, err)
				return
			}
			for some := range slices.Chunk(listed, maxKeys) {
				keys := make([]item, len(some))
				for i, row := range some {
					keys[i] = item{"pk": row["sk"]}
				}
				gates, err := s.gatesOf(ctx, keys)
				if !yield(gates, err) || err != nil {
					return
				}
			}
		}
	}
}

// gatesOf reads the rows of tokens, newest first. One whose row has gone is left out.
func (s *Store) gatesOf(ctx context.Context, keys []item) ([]llmproxy.Gate, error) {
	rows, err := s.getAll(ctx, s.tokens, keys)
	if err != nil {
		return nil, err
	}
	gates := make([]llmproxy.Gate, len(rows))
	for i, row := range rows {
		if gates[i], err = gateOf(row, newestWindow); err != nil {
			return nil, unavailable(err)
		}
	}
	slices.SortFunc(gates, func(a, b llmproxy.Gate) int { return slices.Compare(b.ID.UUID[:], a.ID.UUID[:]) })
	return gates, nil
}

// projectsOf reads the gate rows of the tokens' projects; a project that has gone is there as the zero read.
func (s *Store) projectsOf(ctx context.Context, gates []llmproxy.Gate) (map[llmproxy.ProjectID]*projectRead, error) {
	projects := map[llmproxy.ProjectID]*projectRead{}
	for i := range gates {
		projects[gates[i].ProjectID] = &projectRead{}
	}
	var keys []item
	for id := range projects {
		keys = append(keys, controlKey(gatePartition(id), gateSort))
	}
	rows, err := s.getAll(ctx, s.control, keys)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		p, err := projectOfGate(row)
		if err != nil {
			return nil, unavailable(err)
		}
		projects[p.ID] = &projectRead{project: p, there: true}
	}
	return projects, nil
}

// UpdateTokens stores what change makes of each token, all or none. Counters, window and last use stay as spends make them. One that
// is named twice is changed once.
func (s *Store) UpdateTokens(ctx context.Context, ids []llmproxy.TokenID, change func(*llmproxy.Gate) (llmproxy.AuditEntry, error)) ([]llmproxy.Token, error) {
	once := make([]llmproxy.TokenID, 0, len(ids))
	for _, id := range ids {
		if !slices.Contains(once, id) { // a transaction names a row once
			once = append(once, id)
		}
	}
	changed := map[llmproxy.TokenID]llmproxy.Token{}
	err := s.settled(ctx, func(ctx context.Context) error {
		gates, err := s.gatesByID(ctx, once)
		if err != nil {
			return err
		}
		var c changes
		var entries []llmproxy.AuditEntry
		for _, id := range once {
			before := gates[id]
			after := *before
			entry, err := change(&after)
			if err != nil {
				return err
			}
			if err := s.addTokenUpdate(&c, before, &after); err != nil {
				return err
			}
			changed[id], entries = after.Token, append(entries, entry)
		}
		s.addProjectChecks(&c, gates, changed)
		return s.told(ctx, &c, entries...)
	})
	if err != nil {
		return nil, err
	}
	tokens := make([]llmproxy.Token, len(ids))
	for i, id := range ids {
		tokens[i] = changed[id]
	}
	return tokens, nil
}

// gatesByID reads tokens as they now are; all must be there.
func (s *Store) gatesByID(ctx context.Context, ids []llmproxy.TokenID) (map[llmproxy.TokenID]*llmproxy.Gate, error) {
	keys := make([]item, len(ids))
	for i, id := range ids {
		keys[i] = tokenKey(id)
	}
	gates, err := s.gatesOf(ctx, keys)
	if err != nil {
		return nil, err
	}
	if len(gates) < len(ids) {
		return nil, llmproxy.ErrNotFound
	}
	projects, err := s.projectsOf(ctx, gates)
	if err != nil {
		return nil, err
	}
	byID := map[llmproxy.TokenID]*llmproxy.Gate{}
	for i := range gates {
		projects[gates[i].ProjectID].judge(&gates[i])
		byID[gates[i].ID] = &gates[i]
	}
	return byID, nil
}

// addProjectChecks makes a change of tokens that stay active depend on their projects: a bulk revoke or a deletion that came between
// makes it read anew. A revoke holds whatever its project does.
func (s *Store) addProjectChecks(c *changes, before map[llmproxy.TokenID]*llmproxy.Gate, after map[llmproxy.TokenID]llmproxy.Token) {
	checked := map[llmproxy.ProjectID]bool{}
	for id, token := range after {
		if before[id].Active && token.Active && !checked[token.ProjectID] {
			checked[token.ProjectID] = true
			c.check(s.control, controlKey(gatePartition(token.ProjectID), gateSort), liveAt(before[id].Epoch))
		}
	}
}

// addTokenUpdate adds what makes of a token's row what after has, but for what is not management's to change.
func (s *Store) addTokenUpdate(c *changes, before, after *llmproxy.Gate) error {
	after.ID, after.ProjectID, after.CreatedAt, after.Epoch, after.Revision = before.ID, before.ProjectID, before.CreatedAt, before.Epoch, before.Revision+1
	after.RequestCount, after.LastUsedAt, after.WindowHour, after.WindowCount = before.RequestCount, before.LastUsedAt, before.WindowHour, before.WindowCount
	row, err := attributevalue.MarshalMap(tokenRowOf(after))
	if err != nil {
		return err
	}
	var update expression.UpdateBuilder
	for _, name := range managed {
		if value, ok := row[name]; ok {
			update = update.Set(expression.Name(name), expression.Value(value))
		} else {
			update = update.Remove(expression.Name(name))
		}
	}
	c.update(s.tokens, tokenKey(after.ID), update, atRevision(before.Revision))
	if !after.ExpiresAt.Equal(before.ExpiresAt) {
		for _, row := range listingRowsOf(&after.Token) {
			c.put(s.control, row, nil)
		}
	}
	return nil
}
