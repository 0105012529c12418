//go:build unix

package manage_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/manage"
)

const (
	sizeRounds   = 5
	sizePatience = time.Second // that a call, and all that a screen begins with, may take
)

// BenchmarkScreens asks what the site's screens ask, over HTTP, of a database with 100 projects, 100,000 tokens, a million requests in 29
// days and 200,000 audit entries: each call by itself, and all that a screen begins with at once. It prints how long each took at the
// median and at most, with the processor's time, and fails where the median is a second.
//
//	go test -run '^$' -bench Screens -benchtime 1x -timeout 30m ./internal/manage
func BenchmarkScreens(b *testing.B) {
	store, size := openSized(b)
	h := newHouse(b)
	h.service = manage.New(manage.Config{Store: store, Providers: []string{"openai"}, Default: "openai", Now: func() time.Time { return size.now }})
	a := serveAPI(b, h, func(cfg *manage.HandlerConfig) { cfg.Ledger = store })
	var table figures
	fmt.Printf("\n%10s%10s%14s%8s  screen: call\n", "p50, ms", "max, ms", "processor, ms", "rows")
	for _, s := range screensOf(size) {
		table.add(b, a, s.screen, "all at once", s.calls...)
	}
	for _, c := range callsOf(size) {
		screen, call, _ := strings.Cut(c.name, ": ")
		table.add(b, a, screen, cmp.Or(call, "all"), c.path)
	}
	for _, row := range table {
		if row.median >= sizePatience { // the longest may have waited for others on the machine
			b.Errorf("%s: %s: %s", row.screen, row.call, row.median)
		}
	}
}

// sizeScreen is a screen with what it asks when it opens.
type sizeScreen struct {
	screen string
	calls  []string
}

type sizeCall struct{ name, path string }

// spanOf is the time that a screen looks back to, as parameters.
func spanOf(size sized, back time.Duration) string { return betweenOf(size.now.Add(-back), size.now) }

func betweenOf(from, to time.Time) string {
	return url.Values{"from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}.Encode()
}

const sizeMonth = 30 * 24 * time.Hour

func screensOf(size sized) []sizeScreen {
	overview := func(back time.Duration, bucket, by string) []string {
		span := spanOf(size, back)
		calls := []string{"info", "requests?limit=1", "projects?limit=100", "usage?bucket=" + bucket + "&" + span, "usage?" + betweenOf(size.now.Add(-2*back), size.now.Add(-back)), "usage?top=6&bucket=" + bucket + "&group_by=" + by + "&" + span}
		for _, of := range []string{"project_id", "token_id", "model"} {
			calls = append(calls, "usage?top=5&top_by=total&group_by="+of+"&"+span)
		}
		return calls
	}
	token := size.token.String()
	return []sizeScreen{
		{"Overview, 24 hours", overview(24*time.Hour, "hour", "model")},
		{"Overview, 30 days", overview(sizeMonth, "day", "model")},
		{"Overview, 30 days by token", overview(sizeMonth, "day", "token_id")},
		{"Overview, a quarter by token", overview(90*24*time.Hour, "day", "token_id")},
		{"Projects", []string{"info", "projects?limit=50"}},
		{"Tokens", []string{"info", "tokens?limit=50", "projects"}},
		{"A token", []string{"info", "tokens/" + token, "usage?bucket=day&" + spanOf(size, sizeMonth) + "&token_id=" + token, "requests?limit=10&token_id=" + token, "audit?limit=10&token_id=" + token}},
		{"Requests, 30 days", []string{"info", "requests?limit=50&" + spanOf(size, sizeMonth), "projects?limit=100", "tokens?limit=30", "usage?group_by=model&top=50", "tokens?id=" + token + "," + size.rare.String()}},
		{"Audit", []string{"info", "audit?limit=50", "projects?limit=100"}},
	}
}

func callsOf(size sized) []sizeCall {
	month, project, quiet, token, rare := spanOf(size, sizeMonth), size.project.String(), size.quiet.String(), size.token.String(), size.rare.String()
	weeksAgo, longAgo := size.now.AddDate(0, 0, -21), size.now.AddDate(0, 0, -300)
	calls := []sizeCall{
		{"Overview: month", "usage?" + month},
		{"Overview: month before", "usage?" + betweenOf(size.now.Add(-2*sizeMonth), size.now.Add(-sizeMonth))},
		{"Overview: hours of a day", "usage?bucket=hour"},
		{"Overview: hours of the month by model", "usage?bucket=hour&group_by=model&" + month},
		{"Overview: days of the month by project", "usage?bucket=day&group_by=project_id&" + month},
		{"Overview: hours of the month, top projects", "usage?bucket=hour&group_by=project_id&top=5&" + month},
		{"Overview: hours of the month, top tokens", "usage?bucket=hour&group_by=token_id&top=5&" + month},
		{"Overview: top projects", "usage?group_by=project_id&top=10&top_by=cost_usd&" + month},
	}
	for _, by := range []string{"requests", "errors", "input", "output", "total", "cost_usd"} {
		calls = append(calls, sizeCall{"Overview: top tokens by " + by, "usage?group_by=token_id&top=10&top_by=" + by + "&" + month})
	}
	return append(calls, []sizeCall{
		{"Overview: top tokens of a quarter", "usage?group_by=token_id&top=10&" + spanOf(size, 90*24*time.Hour)},
		{"Overview: top tokens of each model", "usage?group_by=token_id,model&top=10&" + month},
		{"Overview: top models", "usage?group_by=model&top=10&top_by=total&" + month},
		{"Overview: first request", "requests?limit=1"},
		{"A project: hours of the month by model", "usage?bucket=hour&group_by=model&" + month + "&project_id=" + project},
		{"A project: top tokens", "usage?group_by=token_id&top=10&" + month + "&project_id=" + project},
		{"A model: top tokens", "usage?group_by=token_id&top=10&" + month + "&model=gpt-4o"},
		{"A model: hours of the month", "usage?bucket=hour&" + month + "&model=rare-model"},
		{"A token: hours of the month", "usage?bucket=hour&" + month + "&token_id=" + token},
		{"A token: one used once", "usage?bucket=hour&" + month + "&token_id=" + rare},
		{"Projects", "projects?"},
		{"Projects: search", "projects?q=project-77"},
		{"Tokens", "tokens?"},
		{"Tokens: search, many", "tokens?q=token"},
		{"Tokens: search, one", "tokens?q=needle"},
		{"Tokens: search, none", "tokens?q=no-such-name"},
		{"Tokens: search by id", "tokens?q=" + rare},
		{"Tokens: search in a project", "tokens?q=no-such-name&project_id=" + project},
		{"Tokens: active", "tokens?status=active"},
		{"Tokens: revoked", "tokens?status=revoked"},
		{"Tokens: expired, few", "tokens?status=expired"},
		{"Tokens: exhausted, few", "tokens?status=exhausted"},
		{"Tokens: by name", "tokens?sort=name"},
		{"Tokens: most used", "tokens?sort=-request_count"},
		{"Tokens: active, longest unused", "tokens?status=active&sort=last_used_at"},
		{"Tokens: of a project, ending soonest", "tokens?sort=expires_at&project_id=" + project},
		{"Tokens: expiring within an hour, none", "tokens?expiring_within=1h"},
		{"Tokens: expiring within a week", "tokens?expiring_within=7d"},
		{"Tokens: exhausted in a project", "tokens?status=exhausted&project_id=" + project},
		{"Requests", "requests?"},
		{"Requests: a project", "requests?project_id=" + project},
		{"Requests: a quiet project", "requests?project_id=" + quiet},
		{"Requests: a token", "requests?token_id=" + token},
		{"Requests: a token used once", "requests?token_id=" + rare},
		{"Requests: a model", "requests?model=gpt-4o"},
		{"Requests: a rare model", "requests?model=rare-model"},
		{"Requests: no such model", "requests?model=none"},
		{"Requests: 200", "requests?status=200"},
		{"Requests: 2xx", "requests?status=2xx"},
		{"Requests: 204, none", "requests?status=204"},
		{"Requests: 3xx, none", "requests?status=3xx"},
		{"Requests: 429", "requests?status=429"},
		{"Requests: 418, none", "requests?status=418"},
		{"Requests: 5xx", "requests?status=5xx"},
		{"Requests: complete", "requests?outcome=complete"},
		{"Requests: cut", "requests?outcome=cut"},
		{"Requests: deadline, none", "requests?outcome=deadline"},
		{"Requests: complete and 503, none", "requests?outcome=complete&status=503"},
		{"Requests: complete and 502, none", "requests?outcome=complete&status=502"},
		{"Requests: cut and 429, none", "requests?outcome=cut&status=429"},
		{"Requests: cut in a quiet project", "requests?outcome=cut&project_id=" + quiet},
		{"Requests: cut in a project", "requests?outcome=cut&project_id=" + project},
		{"Requests: 429 in a project", "requests?status=429&project_id=" + project},
		{"Requests: 204 in a project, none", "requests?status=204&project_id=" + project},
		{"Requests: 200 in a quiet project", "requests?status=200&project_id=" + quiet},
		{"Requests: 2xx in a quiet project", "requests?status=2xx&project_id=" + quiet},
		{"Requests: 5xx in a project", "requests?status=5xx&project_id=" + project},
		{"Requests: a model in a quiet project", "requests?model=gpt-4o&project_id=" + quiet},
		{"Requests: 200 of a token used once", "requests?status=200&token_id=" + rare},
		{"Requests: 5xx of a token", "requests?status=5xx&token_id=" + token},
		{"Requests: rare model in a project", "requests?model=rare-model&project_id=" + project},
		{"Requests: rare model and 429, none", "requests?model=rare-model&status=429"},
		{"Requests: a model and 502", "requests?model=gpt-4o&status=502"},
		{"Requests: a model and cut", "requests?model=gpt-4o&outcome=cut"},
		{"Requests: a model and 5xx", "requests?model=gpt-4o&status=5xx"},
		{"Requests: a model and 3xx, none", "requests?model=gpt-4o&status=3xx"},
		{"Requests: another project's token, none", "requests?token_id=" + token + "&project_id=" + quiet},
		{"Requests: an hour of three weeks ago", "requests?" + betweenOf(weeksAgo, weeksAgo.Add(time.Hour))},
		{"Requests: a project's hour of three weeks ago", "requests?project_id=" + project + "&" + betweenOf(weeksAgo, weeksAgo.Add(time.Hour))},
		{"Requests: one", "requests/" + size.last.String()},
		{"Audit", "audit?"},
		{"Audit: a project", "audit?project_id=" + project},
		{"Audit: a token", "audit?token_id=" + rare},
		{"Audit: refused", "audit?outcome=refused"},
		{"Audit: done", "audit?outcome=done"},
		{"Audit: refused in a project", "audit?outcome=refused&project_id=" + project},
		{"Audit: an action that is rare", "audit?action=project.delete"},
		{"Audit: a rare action, refused", "audit?action=project.delete&outcome=refused"},
		{"Audit: an action that never was", "audit?action=nothing"},
		{"Audit: an actor that never was", "audit?actor=admin:nobody"},
		{"Audit: a request", "audit?request_id=request-5"},
		{"Audit: words of all", "audit?q=somebody"},
		{"Audit: words that never were", "audit?q=no-such-words"},
		{"Audit: words with a sign, never", "audit?q=R%26D"},
		{"Audit: a day long ago", "audit?" + betweenOf(longAgo, longAgo.AddDate(0, 0, 1))},
		{"Audit: refused on a day long ago", "audit?outcome=refused&" + betweenOf(longAgo, longAgo.AddDate(0, 0, 1))},
	}...)
}

// figures are how long things took.
type figures []figure

type figure struct {
	screen, call         string
	median, longest, cpu time.Duration
	rows                 int
}

// add asks all of the calls at once, some rounds long.
func (f *figures) add(b *testing.B, a *api, screen, call string, paths ...string) {
	rounds := make([]time.Duration, sizeRounds)
	bodies := make([]string, len(paths))
	processor := processorTime()
	for round := range rounds {
		began := time.Now()
		var group sync.WaitGroup
		for i, path := range paths {
			group.Go(func() {
				got := a.do(b, "GET", "/manage/"+path, nil)
				bodies[i] = got.body
				if got.status != http.StatusOK {
					b.Errorf("%s: %d %s", path, got.status, got.body)
				}
			})
		}
		group.Wait()
		rounds[round] = time.Since(began)
	}
	one := figure{screen: screen, call: call, cpu: (processorTime() - processor) / sizeRounds}
	if len(paths) > 1 {
		one.call = fmt.Sprintf("%d calls %s", len(paths), call)
	}
	for _, body := range bodies {
		one.rows += strings.Count(body, `"created_at"`) + strings.Count(body, `"outcome"`) + strings.Count(body, `"metered"`)
	}
	slices.Sort(rounds)
	one.median, one.longest = rounds[len(rounds)/2], rounds[len(rounds)-1]
	*f = append(*f, one)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("%10.1f%10.1f%14.1f%8d  %s: %s\n", ms(one.median), ms(one.longest), ms(one.cpu), one.rows, one.screen, one.call)
}

// processorTime is what this process has used, the server and its client together.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
