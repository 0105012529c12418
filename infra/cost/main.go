// Cost computes the tables of docs/cost.md from unit prices, from what the template has and from what a request is assumed to be. With -w it
// writes them there; without, it prints them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

//go:generate go run . -w -root ../..

func main() {
	root := flag.String("root", ".", "the repository")
	write := flag.Bool("w", false, "write the tables into docs/cost.md")
	flag.Parse()
	if err := run(os.Stdout, *root, *write); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, root string, write bool) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	path := filepath.Join(root, "docs", "cost.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	filled, err := fill(string(page), tables(count(string(source))))
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(path, []byte(filled), 0o644) //nolint:gosec // a page
	}
	_, err = io.WriteString(out, filled)
	return err
}

// stack is what of a template costs while nobody calls, and with MetricsNamespace besides.
type stack struct {
	secrets, alarms, dashboards, queues, hourly int
	destinations                                int // rules of the bus
	metricAlarms, metricDashboards              int // with MetricsNamespace
}

// resource is the head of a resource in the template, or of a function's hourly event.
var resource = regexp.MustCompile(`(?m)^  [A-Za-z0-9]+:\n    Type: (\S+)\n(?:    Condition: (\S+)\n)?`)

// unasked are the conditions that hold with the template's defaults.
var unasked = map[string]bool{"": true, "NotEmulated": true, "HasSite": true, "HasLedger": true}

// count looks through a template with its parameters as they are by default.
func count(template string) (s stack) {
	for _, r := range resource.FindAllStringSubmatch(template, -1) {
		switch {
		case unasked[r[2]]:
		case r[2] == "HasMetrics" && r[1] == "AWS::CloudWatch::Alarm":
			s.metricAlarms++
			continue
		case r[2] == "HasMetrics" && r[1] == "AWS::CloudWatch::Dashboard":
			s.metricDashboards++
			continue
		default:
			continue
		}
		switch r[1] {
		case "AWS::SecretsManager::Secret":
			s.secrets++
		case "AWS::Events::Rule":
			s.destinations++
		case "AWS::CloudWatch::Alarm":
			s.alarms++
		case "AWS::CloudWatch::Dashboard":
			s.dashboards++
		case "AWS::Lambda::EventSourceMapping":
			s.queues++
		}
	}
	s.hourly = strings.Count(template, "Schedule: rate(1 hour)")
	return s
}

// line is a row of a table.
type line struct {
	what, much string
	dollars    float64
}

// tables are those of the page, by name.
func tables(s stack) map[string]string {
	return map[string]string{
		"prices": priceTable(), "idle": table("| a month | |", idle(s)), "million": table("| | how much | |", million()), "metrics": table("| a month | how much | |", metrics(s)),
	}
}

// What Lambda does for a queue while nothing comes: five pollers, each of which waits 20 s for an answer.
const pollsAMonth = 5 * 3 * 60 * hoursAMonth

const hoursAMonth = 730

func idle(s stack) []line {
	runs := float64(s.hourly * hoursAMonth)
	return []line{
		{fmt.Sprintf("%d secrets", s.secrets), "", float64(s.secrets) * price("secret")},
		{fmt.Sprintf("%d alarms (the first ten of an account are free)", s.alarms), "", float64(s.alarms) * price("alarm")},
		{fmt.Sprintf("%d dashboard (the first three of an account are free)", s.dashboards), "", float64(s.dashboards) * price("dashboard")},
		{fmt.Sprintf("%.0f hourly runs of %d functions, a second of 512 MB each", runs, s.hourly), "", runs * (0.5*price("lambda GB-s") + price("lambda request")/million1)},
		{fmt.Sprintf("polling of %d queues by their event sources, %.1f million calls (the first million of an account is free)", s.queues, float64(s.queues*pollsAMonth)/million1), "", float64(s.queues*pollsAMonth) / million1 * price("sqs request")},
	}
}

const million1 = 1e6

// A request as the page assumes it.
const (
	upstreamSeconds = 5.0
	eventKB         = 14.0
	logKB           = 0.9
	outKB           = 12.0
)

func million() []line {
	const gb = million1 / 1e6 // a KB for each of a million requests, in GB
	return []line{
		{"Lambda, requests", "1 M", price("lambda request")},
		{"Lambda, time: the function waits with the caller", fmt.Sprintf("%.0f s × 0.5 GB = %.1f M GB-s", upstreamSeconds, upstreamSeconds*0.5), upstreamSeconds * 0.5 * million1 * price("lambda GB-s")},
		{"Lambda, after the answer: the event is sent", "0.05 s × 0.5 GB", 0.05 * 0.5 * million1 * price("lambda GB-s")},
		{"DynamoDB, one write and one read a request", "1 M and 1 M", price("dynamodb write") + price("dynamodb read")},
		{"EventBridge, an event up to 64 KB is one", "1 M", price("event")},
		{"archive of the bus", fmt.Sprintf("%.0f GB", eventKB*gb), eventKB * gb * price("archive GB")},
		{"SQS: in, out, away; the latter two in batches", "1.2 M", 1.2 * price("sqs request")},
		{"the dispatcher, 2 ms an event at 512 MB", "2 000 s × 0.5 GB, some 20 000 runs", 2000*0.5*price("lambda GB-s") + 0.02*price("lambda request")},
		{"S3, objects of about 50 records", "20 000", 0.02 * price("s3 put")},
		{"KMS, the keys that AWS manages: a call in five minutes for each table and bucket that is used", "below 0.05 M", 0.05 * price("kms request")},
		{"logs: Lambda's three lines, a begin and an end", fmt.Sprintf("%.1f GB", logKB*gb), logKB * gb * price("log GB")},
		{"traffic out, to callers and to the provider", fmt.Sprintf("%.0f GB", outKB*gb), outKB * gb * price("out GB")},
	}
}

// What the functions write, and management reads, of metrics.
const (
	ofDestination = 3                 // delivered, retried, dead
	ofOutcome     = 6                 // how a request that the proxy has answered may have ended
	ofProvider    = 4                 // spend, first_byte, upstream, added_latency
	readOf        = ofDestination + 1 // and the age of the oldest message
)

// A page as it is assumed to be looked at, in minutes a month. Each minute has one look.
const lookedAt = 22 * 8 * 60

func metrics(s stack) []line {
	written, proxys, reads := ofDestination*s.destinations, ofOutcome+ofProvider, float64(readOf*s.destinations*lookedAt)
	return []line{
		{fmt.Sprintf("three metrics of each destination: delivered, retried, dead; of %d destinations", s.destinations), fmt.Sprint(written), float64(written) * price("metric")},
		{fmt.Sprintf("the proxy's: requests by outcome, of which there are %d, and four times of one provider", ofOutcome), fmt.Sprint(proxys), float64(proxys) * price("metric")},
		{"alarm", fmt.Sprint(s.metricAlarms), float64(s.metricAlarms) * price("alarm")},
		{"dashboard", fmt.Sprint(s.metricDashboards), float64(s.metricDashboards) * price("dashboard")},
		{fmt.Sprintf("a list of destinations that stays open for eight hours of each of 22 days: %d metrics a minute", readOf*s.destinations), fmt.Sprintf("%.3f M", reads/million1), reads / million1 * price("metric read")},
	}
}

// table is a table in Markdown with its sum.
func table(head string, lines []line) string {
	columns := strings.Count(head, "|") - 1
	var b strings.Builder
	b.WriteString(head + "\n" + strings.Repeat("|---", columns) + "|\n")
	sum := 0.0
	for _, l := range lines {
		sum += l.dollars
		if columns == 2 {
			fmt.Fprintf(&b, "| %s | %.2f |\n", l.what, l.dollars)
		} else {
			fmt.Fprintf(&b, "| %s | %s | %.2f |\n", l.what, l.much, l.dollars)
		}
	}
	if columns == 2 {
		fmt.Fprintf(&b, "| **sum** | **%.2f** |\n", sum)
	} else {
		fmt.Fprintf(&b, "| **sum** | | **%.2f** |\n", sum)
	}
	return b.String()
}

var place = regexp.MustCompile(`(?s)(<!-- cost: (\w+) -->\n).*?(<!-- /cost -->)`)

// fill puts tables into their places on the page.
func fill(page string, tables map[string]string) (string, error) {
	var errs []error
	found := map[string]bool{}
	page = place.ReplaceAllStringFunc(page, func(old string) string {
		parts := place.FindStringSubmatch(old)
		found[parts[2]] = true
		text, ok := tables[parts[2]]
		if !ok {
			errs = append(errs, fmt.Errorf("there is no table %q", parts[2]))
		}
		return parts[1] + text + parts[3]
	})
	for name := range tables {
		if !found[name] {
			errs = append(errs, fmt.Errorf("the page has no place for %q", name))
		}
	}
	return page, errors.Join(errs...)
}
