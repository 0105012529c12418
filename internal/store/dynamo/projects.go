package dynamo

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// CreateProject stores a new project: its row, its gate row and the audit entry.
func (s *Store) CreateProject(ctx context.Context, p llmproxy.Project, entry llmproxy.AuditEntry) error {
	return s.settled(ctx, func(ctx context.Context) error {
		var c changes
		c.putNewProject(s.control, &p)
		return s.told(ctx, &c, entry)
	})
}

// putNewProject adds a new project's row and gate row.
func (c *changes) putNewProject(control *string, p *llmproxy.Project) {
	c.put(control, projectRowOf(p), absent())
	c.put(control, gateRowOf(p), absent())
}

// Project returns a project; a deleted one is not found.
func (s *Store) Project(ctx context.Context, id llmproxy.ProjectID) (llmproxy.Project, error) {
	row, err := s.getControl(ctx, projectsPartition, id.String())
	if err != nil {
		return llmproxy.Project{}, err
	}
	p, err := projectOf(row)
	return p, unavailable(err)
}

// Projects lists projects, newest first.
func (s *Store) Projects(ctx context.Context, f llmproxy.ProjectFilter, p llmproxy.Page) ([]llmproxy.Project, bool, error) {
	q := query{partition: projectsPartition, below: below(p)}
	if f == (llmproxy.ProjectFilter{}) {
		q.size = pageLimit(p) + 1
	}
	part := strings.ToLower(f.Query)
	return page(read(s.pages(ctx, q), projectOf), func(project *llmproxy.Project) bool {
		return (f.Active == nil || project.Active == *f.Active) && strings.Contains(strings.ToLower(project.Name), part)
	}, p)
}

// UpdateProject stores what change makes of the project.
func (s *Store) UpdateProject(ctx context.Context, id llmproxy.ProjectID, change func(*llmproxy.Project) (llmproxy.AuditEntry, error)) (llmproxy.Project, error) {
	return s.changeProject(ctx, id, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		epoch, epochAt := p.Epoch, p.EpochAt
		entry, err := change(p)
		p.Epoch, p.EpochAt = epoch, epochAt
		return entry, err
	})
}

// RevokeProjectTokens refuses all tokens minted so far and returns how many were active. They are refused first and counted then, so
// that a project with many tokens waits for no count.
func (s *Store) RevokeProjectTokens(ctx context.Context, id llmproxy.ProjectID, now time.Time, entry llmproxy.AuditEntry) (revoked int64, err error) {
	p, err := s.changeProject(ctx, id, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.Epoch, p.EpochAt = p.Epoch+1, now
		return entry, nil
	})
	if err != nil {
		return 0, err
	}
	unexpired := expression.Name("ex").GreaterThan(expression.Value(toMillis(now)))
	for gates, err := range s.gates(ctx, query{partition: ownTokensPartition(id), filter: &unexpired}) {
		if err != nil {
			return 0, err
		}
		for _, g := range gates {
			if g.Active && g.Epoch == p.Epoch-1 && now.Before(g.ExpiresAt) {
				revoked++
			}
		}
	}
	return revoked, nil
}

// changeProject stores what change makes of the project, which is read anew where another change came between.
func (s *Store) changeProject(ctx context.Context, id llmproxy.ProjectID, change func(*llmproxy.Project) (llmproxy.AuditEntry, error)) (p llmproxy.Project, err error) {
	err = s.settled(ctx, func(ctx context.Context) error {
		if p, err = s.Project(ctx, id); err != nil {
			return err
		}
		revision := p.Revision
		entry, err := change(&p)
		if err != nil {
			return err
		}
		p.ID, p.Revision = id, revision+1
		var c changes
		c.put(s.control, gateRowOf(&p), nil) // stands and falls with the project's own row
		if p.DeletedAt.IsZero() {
			c.put(s.control, projectRowOf(&p), atRevision(revision))
		} else {
			c.remove(s.control, controlKey(projectsPartition, id.String()), atRevision(revision))
			c.put(s.control, deletedRow{Partition: deletedPartition, Project: id.String(), DeletedAt: toMillis(p.DeletedAt)}, nil)
		}
		return s.told(ctx, &c, entry)
	})
	if err != nil {
		return llmproxy.Project{}, err
	}
	return p, nil
}

// Sweep removes the rows of projects that were deleted so long ago that nobody looks for their tokens any more, and returns how many
// tokens and projects went. What expires by itself, DynamoDB removes.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int64, err error) {
	old := expression.Name("del").LessThan(expression.Value(toMillis(now.Add(-llmproxy.TokensKeep))))
	for id, err := range read(s.pages(ctx, query{partition: deletedPartition, filter: &old}), deletedProject) {
		if err != nil {
			return removed, err
		}
		n, err := s.sweepProject(ctx, id)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// deletedProject is the project that a row tells of as deleted.
func deletedProject(row item) (llmproxy.ProjectID, error) {
	var r deletedRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.ProjectID{}, err
	}
	return llmproxy.ParseProjectID(r.Project)
}

// sweepProject removes the rows of one deleted project, its gate row last: until then it refuses what is left. One that is cut short
// goes on at the next sweep.
func (s *Store) sweepProject(ctx context.Context, id llmproxy.ProjectID) (removed int64, err error) {
	for rows, err := range s.pages(ctx, query{partition: ownTokensPartition(id)}) {
		if err != nil {
			return removed, err
		}
		writes := map[string][]types.WriteRequest{}
		for _, row := range rows {
			writes[*s.tokens] = append(writes[*s.tokens], deletion(item{"pk": row["sk"]}))
			writes[*s.control] = append(writes[*s.control], deletion(item{"pk": text(tokensPartition), "sk": row["sk"]}), deletion(item{"pk": row["pk"], "sk": row["sk"]}))
		}
		if err := s.writeAll(ctx, writes); err != nil {
			return removed, err
		}
		removed += int64(len(rows))
	}
	for _, key := range []item{controlKey(gatePartition(id), gateSort), controlKey(deletedPartition, id.String())} {
		if err := s.writeAll(ctx, map[string][]types.WriteRequest{*s.control: {deletion(key)}}); err != nil {
			return removed, err
		}
	}
	return removed + 1, nil
}

func deletion(key item) types.WriteRequest {
	return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}}
}
