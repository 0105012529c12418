package llmproxy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dimension is what usage can be grouped by.
type Dimension string

// Dimensions.
const (
	ByProject Dimension = "project_id"
	ByToken   Dimension = "token_id"
	ByModel   Dimension = "model"
)

// UsageFilter asks for usage; zero ids and an empty model do not narrow.
type UsageFilter struct {
	ProjectID ProjectID
	TokenID   TokenID
	Model     string
	From, To  time.Time     // whole UTC clock hours, From <= hour < To
	Bucket    time.Duration // an hour or a day, cut at UTC midnight; 0 adds up the whole time
	By        []Dimension
}

// UsageGroup names a group. What is not grouped by is zero; what is and was not known is zero too.
type UsageGroup struct {
	ProjectID ProjectID
	TokenID   TokenID
	Model     string
}

// UsageRow is what the requests of one group add up to.
type UsageRow struct {
	Start time.Time // of the bucket; From without one
	UsageGroup
	Tally Tally
}

// UsageSums adds up usage, however it comes.
type UsageSums struct {
	filter *UsageFilter
	from   int64 // the hour of the filter's From
	sums   map[usageKey]*Tally
}

type usageKey struct {
	hour  int64
	group UsageGroup
}

// NewUsageSums begins to add up for a filter, with what it has let through.
func NewUsageSums(f *UsageFilter) *UsageSums {
	return &UsageSums{filter: f, from: HourOf(f.From), sums: map[usageKey]*Tally{}}
}

// Add adds what another one for the same filter has added up. That one is not used any more.
func (s *UsageSums) Add(o *UsageSums) {
	for key, sum := range o.sums {
		if mine := s.sums[key]; mine != nil {
			mine.Add(sum)
		} else {
			s.sums[key] = sum
		}
	}
}

// Of is the sum that an hour of a group belongs to.
func (s *UsageSums) Of(hour int64, of UsageGroup) *Tally {
	key := usageKey{hour: s.from}
	if s.filter.Bucket > 0 {
		hours := int64(s.filter.Bucket / time.Hour)
		key.hour = hour / hours * hours
	}
	for _, by := range s.filter.By {
		switch by {
		case ByProject:
			key.group.ProjectID = of.ProjectID
		case ByToken:
			key.group.TokenID = of.TokenID
		case ByModel:
			key.group.Model = of.Model
		}
	}
	sum := s.sums[key]
	if sum == nil {
		sum = &Tally{}
		s.sums[key] = sum
	}
	return sum
}

// Rows are the sums that anything was added to, in the order of start, project, token and model.
func (s *UsageSums) Rows() (rows []UsageRow) {
	for key, sum := range s.sums {
		if sum.Requests > 0 {
			rows = append(rows, UsageRow{Start: time.Unix(key.hour*3600, 0).UTC(), UsageGroup: key.group, Tally: *sum})
		}
	}
	slices.SortFunc(rows, func(a, b UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), a.UsageGroup.Compare(&b.UsageGroup))
	})
	return rows
}

// RequestFilter narrows a listing of requests; zero fields do not narrow.
type RequestFilter struct {
	ProjectID            ProjectID
	TokenID              TokenID
	Model                string
	StatusFrom, StatusTo int // StatusFrom <= status < StatusTo
	Outcome              Outcome
	From, To             time.Time // From <= time < To, in milliseconds
}

// maxModel is how much of a model's name is kept as a key, in bytes.
const maxModel = 200

// ModelKey is a model's name as sums and filters have it.
func ModelKey(name string) string {
	if len(name) > maxModel {
		name = name[:maxModel]
	}
	return strings.ToValidUTF8(name, "")
}

// Units is a sum over those events that tell of it. No event means that the sum is unknown, which is not zero.
type Units struct{ Sum, Events int64 }

func (u *Units) add(n *int64) {
	if n != nil {
		u.Sum, u.Events = u.Sum+*n, u.Events+1
	}
}

// Cost is an exact sum of US dollars: Micro millionths, and Pico millionths of those.
type Cost struct{ Micro, Pico int64 }

// CostOf is a cost as an event has it, to a millionth of a millionth of a dollar.
func CostOf(usd float64) Cost {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(usd, 'f', 12, 64), ".")
	micro, _ := strconv.ParseInt(whole+fraction[:6], 10, 64) // digits; MaxCostUSD keeps them few
	pico, _ := strconv.ParseInt(fraction[6:], 10, 64)
	return Cost{micro, pico}
}

// Compare is negative where the sum is less than another, 0 where they are the same, else positive.
func (c Cost) Compare(o Cost) int {
	return cmp.Or(cmp.Compare(c.Micro+c.Pico/1_000_000, o.Micro+o.Pico/1_000_000), cmp.Compare(c.Pico%1_000_000, o.Pico%1_000_000))
}

// String is the sum as a decimal number, without zeros at its end.
func (c Cost) String() string {
	micro, pico := c.Micro+c.Pico/1_000_000, c.Pico%1_000_000
	digits := strconv.FormatInt(micro%1_000_000+1_000_000, 10)[1:] + strconv.FormatInt(pico+1_000_000, 10)[1:]
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatInt(micro/1_000_000, 10)+"."+digits, "0"), ".")
}

// Bounds of what one event may say, so that no sum overflows: nine million such events fit into one.
const (
	MaxUnits   = 1_000_000_000_000
	MaxCostUSD = 1_000_000
)

// Tally is what events add up to.
type Tally struct {
	Requests  int64
	Errors    int64 // not complete, or a status of 500 or more
	Metered   int64 // have usage
	Estimated int64 // of these, usage that we counted
	Priced    int64 // have a cost

	Input, Output, Total, Cached, CacheWrite, Reasoning Units

	Cost      Cost      // of the priced ones
	Latency   Histogram // total time in milliseconds, of those that tell
	FirstByte Histogram // time to the first byte in milliseconds, of those that tell
}

// TallyOf is what one event adds.
func TallyOf(e *Event) (t Tally) {
	t.AddEvent(e)
	return t
}

// AddEvent adds one event.
func (t *Tally) AddEvent(e *Event) {
	t.Requests++
	if e.Outcome != Complete || e.Status >= 500 {
		t.Errors++
	}
	if e.Timing.Total > 0 {
		t.Latency.Add(e.Timing.Total.Milliseconds())
	}
	if e.Timing.FirstByte > 0 {
		t.FirstByte.Add(e.Timing.FirstByte.Milliseconds())
	}
	u := e.Usage
	if u == nil {
		return
	}
	t.Metered++
	if u.Source == SourceEstimate {
		t.Estimated++
	}
	if u.CostUSD != nil {
		t.Priced++
		c := CostOf(*u.CostUSD)
		t.Cost.Micro, t.Cost.Pico = t.Cost.Micro+c.Micro, t.Cost.Pico+c.Pico
	}
	t.Input.add(u.Input)
	t.Output.add(u.Output)
	t.Total.add(u.Total)
	t.Cached.add(u.Cached)
	t.CacheWrite.add(u.CacheWrite)
	t.Reasoning.add(u.Reasoning)
}

// Counters are the tally's numbers, always in this order.
func (t *Tally) Counters() [19]*int64 {
	return [...]*int64{
		&t.Requests, &t.Errors, &t.Metered, &t.Estimated, &t.Priced, &t.Input.Sum, &t.Input.Events, &t.Output.Sum, &t.Output.Events,
		&t.Total.Sum, &t.Total.Events, &t.Cached.Sum, &t.Cached.Events, &t.CacheWrite.Sum, &t.CacheWrite.Events,
		&t.Reasoning.Sum, &t.Reasoning.Events, &t.Cost.Micro, &t.Cost.Pico,
	}
}

// Add adds another tally.
func (t *Tally) Add(o *Tally) { t.merge(o, 1) }

// Take takes out what was added before.
func (t *Tally) Take(o *Tally) { t.merge(o, -1) }

func (t *Tally) merge(o *Tally, sign int64) {
	sums, others := t.Counters(), o.Counters()
	for i := range sums {
		*sums[i] += sign * *others[i]
	}
	t.Latency.merge(&o.Latency, sign)
	t.FirstByte.merge(&o.FirstByte, sign)
}
