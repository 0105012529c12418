package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
)

// point is a value that CloudWatch has for the step of time that begins then.
type point struct {
	at    time.Time
	value float64
}

// question is a metric that CloudWatch was asked for.
type question struct {
	namespace, metric, dimension, queue, stat string
	from, to                                  time.Time
	step                                      time.Duration
}

// account plays SQS, and CloudWatch as far as GetMetricData goes, in the protocol of the SDK's client. It answers each metric on a page of
// its own.
type account struct {
	standin.Way
	url string

	mu     sync.Mutex
	points map[string][]point // by the metric's and the queue's name, oldest first
	status map[string]string  // likewise, where it is not Complete
	refuse bool
	hold   <-chan struct{} // while it is open, GetMetricData is not answered; nil: it is
	asked  []question
}

// openAccount starts it, and leads the environment there.
func openAccount(t *testing.T) *account {
	t.Helper()
	a := &account{points: map[string][]point{}, status: map[string]string{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake"} {
		t.Setenv(name, value)
	}
	return a
}

// ServeHTTP implements [http.Handler].
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/service/GraniteServiceVersion20100801/operation/GetMetricData" {
		a.Way.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	in, err := cbor.Decode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	hold, refuse := a.hold, a.refuse
	a.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	answer := cbor.Map{"__type": cbor.String("com.amazonaws.cloudwatch#AccessDenied"), "message": cbor.String("not authorized to perform cloudwatch:GetMetricData")}
	if refuse {
		w.WriteHeader(http.StatusForbidden)
	} else {
		answer = a.page(in.(cbor.Map))
	}
	_, _ = w.Write(cbor.Encode(answer)) // the caller may have gone
}

// page answers the metric that the token stands for, the first without one.
func (a *account) page(in cbor.Map) cbor.Map {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	if token, ok := in["NextToken"].(cbor.String); ok {
		n, _ = strconv.Atoi(string(token)) // as it was given out
	}
	queries := in["MetricDataQueries"].(cbor.List)
	query := queries[n].(cbor.Map)
	stat := query["MetricStat"].(cbor.Map)
	metric := stat["Metric"].(cbor.Map)
	dimension := metric["Dimensions"].(cbor.List)[0].(cbor.Map)
	text := func(in cbor.Map, member string) string { return string(in[member].(cbor.String)) }
	moment := func(member string) time.Time {
		at, err := cbor.AsTime(in[member])
		if err != nil {
			panic(err)
		}
		return at.UTC()
	}
	period, err := cbor.AsInt32(stat["Period"])
	if err != nil {
		panic(err)
	}
	q := question{
		text(metric, "Namespace"), text(metric, "MetricName"), text(dimension, "Name"), text(dimension, "Value"), text(stat, "Stat"),
		moment("StartTime"), moment("EndTime"), time.Duration(period) * time.Second,
	}
	a.asked = append(a.asked, q)
	status, times, values := "Complete", cbor.List{}, cbor.List{}
	if other := a.status[q.metric+" "+q.queue]; other != "" {
		status = other
	}
	for _, p := range a.points[q.metric+" "+q.queue] {
		if !p.at.Before(q.from) && p.at.Before(q.to) {
			times, values = append(times, &cbor.Tag{ID: 1, Value: cbor.Uint(p.at.Unix())}), append(values, cbor.Float64(p.value))
		}
	}
	if in["ScanBy"] != cbor.String("TimestampAscending") {
		slices.Reverse(times)
		slices.Reverse(values)
	}
	out := cbor.Map{"MetricDataResults": cbor.List{cbor.Map{
		"Id": query["Id"], "Label": metric["MetricName"], "StatusCode": cbor.String(status), "Timestamps": times, "Values": values,
	}}}
	if n+1 < len(queries) {
		out["NextToken"] = cbor.String(strconv.Itoa(n + 1))
	}
	return out
}

// has sets what CloudWatch has of a queue.
func (a *account) has(metric, queue string, points ...point) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.points[metric+" "+queue] = points
}

// answers changes how GetMetricData is answered.
func (a *account) answers(refuse bool, hold <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse, a.hold = refuse, hold
}

// questions are those since it was asked last, in the order of their metrics.
func (a *account) questions() []question {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	slices.SortFunc(asked, func(a, b question) int { return strings.Compare(a.metric+a.queue, b.metric+b.queue) })
	return asked
}
