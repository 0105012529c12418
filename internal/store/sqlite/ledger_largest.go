package sqlite

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"zombiezen.com/go/sqlite"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Largest returns the groups that have most of a size over the whole time. Of tokens there may be a hundred thousand in a million rows:
// whole days come from packs.
func (s *Store) Largest(ctx context.Context, f llmproxy.UsageFilter, by llmproxy.Size, most int) ([]llmproxy.UsageGroup, error) {
	if !f.TokenID.IsZero() || !slices.Contains(f.By, llmproxy.ByToken) {
		f.Bucket = 0
		rows, err := s.Usage(ctx, f)
		return llmproxy.LargestOf(rows, by, most), err
	}
	from, to := llmproxy.HourOf(f.From), llmproxy.HourOf(f.To)
	first, last := (from+hoursOfDay-1)/hoursOfDay, to/hoursOfDay // whole days
	hours := [][2]int64{{from, first * hoursOfDay}, {last * hoursOfDay, to}}
	if first >= last {
		last, hours = first, [][2]int64{{from, to}}
	}
	found := make([]sizesOf, largestReaders)
	group, ctx := errgroup.WithContext(ctx)
	for i := range found {
		found[i] = sizesOf{f: &f, by: by, tokens: map[llmproxy.TokenID]int{}, groups: map[llmproxy.UsageGroup]int{}}
		group.Go(func() error {
			return s.reading(ctx, func(conn *sqlite.Conn) error {
				for at, span := range hours {
					if at%largestReaders == i && span[0] < span[1] {
						if err := found[i].addHours(conn, span[0], span[1]); err != nil {
							return err
						}
					}
				}
				for day := first + int64(i); day < last; day += largestReaders {
					p, err := s.pack(ctx, conn, day, by)
					if err == nil {
						err = found[i].addPack(p)
					}
					if err != nil {
						return fmt.Errorf("day %d: %w", day, unavailable(err))
					}
				}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range found[1:] {
		found[0].add(&found[1+i])
	}
	return found[0].largest(most), nil
}

// largestReaders is how many read at once.
const largestReaders = 2

// sizesOf adds up the sizes of groups.
type sizesOf struct {
	f  *llmproxy.UsageFilter
	by llmproxy.Size

	tokens  map[llmproxy.TokenID]int // index of the amount, where groups are tokens alone
	groups  map[llmproxy.UsageGroup]int
	amounts []llmproxy.Amount
}

// of is the amount of a group.
func (s *sizesOf) of(project llmproxy.ProjectID, token llmproxy.TokenID, model string) *llmproxy.Amount {
	i, there := 0, false
	if len(s.f.By) == 1 { // a small map is a quick one
		if i, there = s.tokens[token]; !there {
			i = len(s.amounts)
			s.tokens[token] = i
		}
	} else {
		group := llmproxy.UsageGroup{TokenID: token}
		if slices.Contains(s.f.By, llmproxy.ByProject) {
			group.ProjectID = project
		}
		if slices.Contains(s.f.By, llmproxy.ByModel) {
			group.Model = model
		}
		if i, there = s.groups[group]; !there {
			i = len(s.amounts)
			s.groups[group] = i
		}
	}
	if !there {
		s.amounts = append(s.amounts, llmproxy.Amount{})
	}
	return &s.amounts[i]
}

// largestColumns are those of a size.
var largestColumns = map[llmproxy.Size]string{
	llmproxy.SizeRequests: "requests", llmproxy.SizeErrors: "errors", llmproxy.SizeInput: "input", llmproxy.SizeOutput: "output", llmproxy.SizeTotal: "total",
	llmproxy.SizeCost: "cost_micro, cost_pico",
}

// addHours adds the rows of hours.
func (s *sizesOf) addHours(conn *sqlite.Conn, from, to int64) error {
	part := ofTokens(s.f, largestColumns[s.by], from, to)
	part.andModel(s.f)
	var project llmproxy.ProjectID
	var token llmproxy.TokenID
	columns := len(packParts[s.by])
	return part.each(conn, func(q *sqlite.Stmt) error {
		q.ColumnBytes(1, project.UUID[:])
		q.ColumnBytes(2, token.UUID[:])
		var amount llmproxy.Amount
		for i := range columns {
			amount[i] = q.ColumnInt64(4 + i)
		}
		s.of(project, token, q.ColumnText(3)).Add(amount)
		return nil
	})
}

// addPack adds a day.
func (s *sizesOf) addPack(p *pack) error {
	project, model := s.f.ProjectID, llmproxy.ModelKey(s.f.Model)
	return p.each(s.by, func(of *packGroup, amount llmproxy.Amount) {
		if (project.IsZero() || of.project == project) && (s.f.Model == "" || of.model == model) {
			s.of(of.project, of.token, of.model).Add(amount)
		}
	})
}

// add adds what another one has added up.
func (s *sizesOf) add(o *sizesOf) {
	for token, i := range o.tokens {
		s.of(llmproxy.ProjectID{}, token, "").Add(o.amounts[i])
	}
	for group, i := range o.groups {
		s.of(group.ProjectID, group.TokenID, group.Model).Add(o.amounts[i])
	}
}

func (s *sizesOf) largest(most int) []llmproxy.UsageGroup {
	l := llmproxy.NewLargest(most)
	for token, i := range s.tokens {
		l.Show(llmproxy.UsageGroup{TokenID: token}, s.amounts[i])
	}
	for group, i := range s.groups {
		l.Show(group, s.amounts[i])
	}
	return l.Groups()
}
