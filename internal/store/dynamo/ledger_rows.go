package dynamo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// hoursPartition lists the days that have sums; daysPartition those that have requests.
const hoursPartition = "HOURS"

// requestsPartition has the requests of a day; sk: event id.
func requestsPartition(day string) string { return "E#" + day }

// sumsPartition has what the hours of a day add up to.
func sumsPartition(day string) string { return "H#" + day }

// How the sort keys of sums begin.
const (
	projectSums = "P#" // of a project, without its tokens
	tokenSums   = "T#" // of a token
)

// requestRow is a request: its event without bodies, and what listings are narrowed by.
type requestRow struct {
	Partition string `dynamodbav:"pk"`
	ID        string `dynamodbav:"sk"`
	Project   string `dynamodbav:"prj,omitempty"`
	Token     string `dynamodbav:"tok,omitempty"`
	Failed    string `dynamodbav:"bad,omitempty"` // the day
	Model     string `dynamodbav:"mdl,omitempty"`
	Status    int    `dynamodbav:"st"`
	Outcome   string `dynamodbav:"oc"`
	Record    string `dynamodbav:"rec"`
	TTL       int64  `dynamodbav:"ttl"`
}

func requestRowOf(e *llmproxy.Event) requestRow {
	at := e.ID.Time()
	r := requestRow{
		Partition: requestsPartition(dayOf(at)), ID: e.ID.String(), Model: llmproxy.ModelKey(e.Model), Status: e.Status, Outcome: string(e.Outcome), Record: string(e.AppendMeta(nil)),
		TTL: at.Add(llmproxy.LedgerKeeps + 24*time.Hour).Unix(),
	}
	if !e.ProjectID.IsZero() {
		r.Project = e.ProjectID.String()
	}
	if !e.TokenID.IsZero() {
		r.Token = e.TokenID.String()
	}
	if e.Status >= 400 || e.Outcome != llmproxy.Complete {
		r.Failed = dayOf(at)
	}
	return r
}

// sumKey names a sum: an hour of a project and a model, or of a token too.
type sumKey struct {
	hour    int64
	ofToken bool
	llmproxy.UsageGroup
}

// sumKeysOf are the sums that an event belongs to.
func sumKeysOf(e *llmproxy.Event) [2]sumKey {
	hour, group := llmproxy.HourOf(e.ID.Time()), llmproxy.UsageGroup{ProjectID: e.ProjectID, Model: llmproxy.ModelKey(e.Model)}
	token := group
	token.TokenID = e.TokenID
	return [2]sumKey{{hour, false, group}, {hour, true, token}}
}

func (k *sumKey) day() string { return dayOf(time.Unix(k.hour*3600, 0)) }

func (k *sumKey) ttl() int64 {
	return time.Unix((k.hour+24)*3600, 0).Add(llmproxy.LedgerKeepsHours).Unix()
}

// sort is the sort key. The model comes last, since it may be any text.
func (k *sumKey) sort() string {
	hour := fmt.Sprintf("#%02d#", k.hour%24)
	if k.ofToken {
		return tokenSums + k.TokenID.String() + hour + k.ProjectID.String() + "#" + k.Model
	}
	return projectSums + k.ProjectID.String() + hour + k.Model
}

var errSumKey = errors.New("damaged key of a sum")

// parseSumKey reads the sort key of a sum of the day that begins with an hour.
func parseSumKey(day int64, sort string) (k sumKey, err error) {
	kind, rest := sort[:min(2, len(sort))], sort[min(2, len(sort)):]
	k.ofToken = kind == tokenSums
	id, rest, ok := strings.Cut(rest, "#")
	hour, rest, more := strings.Cut(rest, "#")
	if !ok || !more || kind != tokenSums && kind != projectSums {
		return k, errSumKey
	}
	of, err := strconv.ParseInt(hour, 10, 64)
	if err != nil {
		return k, errSumKey
	}
	k.hour, k.Model = day+of, rest
	if k.ofToken {
		if k.TokenID, err = llmproxy.ParseTokenID(id); err != nil {
			return k, err
		}
		if id, k.Model, ok = strings.Cut(rest, "#"); !ok {
			return k, errSumKey
		}
	}
	k.ProjectID, err = llmproxy.ParseProjectID(id)
	return k, err
}

// counterNames are the attributes of a sum's counters, in the order of [llmproxy.Tally.Counters].
var counterNames = [...]string{
	"rq", "er", "me", "es", "pr", "in", "inn", "ou", "oun", "to", "ton", "ca", "can", "cw", "cwn", "re", "ren", "mi", "pi",
}

// How the attributes of a sum's histograms begin; the bucket follows.
const (
	latencyPrefix   = "l"
	firstBytePrefix = "f"
)

// addSum adds what a row has to a sum.
func addSum(sum *llmproxy.Tally, row item) error {
	for i, n := range sum.Counters() {
		if value, there := row[counterNames[i]]; there {
			have, err := numberOf(value)
			if err != nil {
				return err
			}
			*n += have
		}
	}
	for name, value := range row {
		h := &sum.Latency
		switch name[:1] {
		case latencyPrefix:
		case firstBytePrefix:
			h = &sum.FirstByte
		default:
			continue
		}
		bucket, err := strconv.Atoi(name[1:])
		if err != nil {
			return err
		}
		n, err := numberOf(value)
		if err != nil {
			return err
		}
		if err := h.AddBucket(bucket, n); err != nil {
			return err
		}
	}
	return nil
}

func numberOf(value types.AttributeValue) (int64, error) {
	n, ok := value.(*types.AttributeValueMemberN)
	if !ok {
		return 0, errors.New("a sum's attribute is no number")
	}
	return strconv.ParseInt(n.Value, 10, 64)
}
