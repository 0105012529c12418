package aws

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

func streams(t template) (broken []string) {
	n := 0
	t.resources("AWS::Lambda::Url", func(name string, r gjson.Result) {
		n++
		if mode := r.Get("Properties.InvokeMode").Str; mode != "RESPONSE_STREAM" {
			broken = append(broken, fmt.Sprintf("%s has the mode %q", name, mode))
		}
	})
	if n != 1 {
		broken = append(broken, fmt.Sprintf("there are %d function URLs", n))
	}
	return broken
}

func logRetention(t template) (broken []string) {
	t.resources("AWS::Logs::LogGroup", func(name string, r gjson.Result) {
		if r.Get("Properties.RetentionInDays.Ref").Str != "LogDays" {
			broken = append(broken, name+" never ends")
		}
	})
	t.resources("AWS::Lambda::Function", func(name string, r gjson.Result) {
		if group := r.Get("Properties.LoggingConfig.LogGroup.Ref").Str; t.Get("Resources."+group+".Type").Str != "AWS::Logs::LogGroup" {
			broken = append(broken, name+" logs to a group that is not ours")
		}
	})
	return broken
}

func reservedConcurrency(t template) []string {
	if got := compact(t.properties("Proxy").Get("ReservedConcurrentExecutions")); got != `{"Fn::If":["HasReserved",{"Ref":"ReservedConcurrency"},{"Ref":"AWS::NoValue"}]}` {
		return []string{"ReservedConcurrentExecutions is " + got}
	}
	return nil
}

// costly is what costs by the hour.
var costly = regexp.MustCompile(`^AWS::(EC2|ElasticLoadBalancing|ElasticLoadBalancingV2|RDS|ElastiCache|ECS|EKS|OpenSearchService|MSK|Redshift|DAX|MemoryDB|NetworkFirewall)::`)

func alwaysOn(t template) (broken []string) {
	t.resources("", func(name string, r gjson.Result) {
		p := r.Get("Properties")
		switch {
		case costly.MatchString(r.Get("Type").Str):
			broken = append(broken, name+" is a "+r.Get("Type").Str)
		case p.Get("ProvisionedThroughput").Exists() || p.Get("ProvisionedConcurrencyConfig").Exists() || p.Get("VpcConfig").Exists():
			broken = append(broken, name+" has something that is always on")
		case r.Get("Type").Str == "AWS::DynamoDB::Table" && p.Get("BillingMode").Str != "PAY_PER_REQUEST":
			broken = append(broken, name+" has provisioned capacity")
		}
	})
	return broken
}

// folders are where the functions' code is.
var folders = map[string]string{
	"Proxy": "proxy", "Management": "management", "Admin": "admin", "Redrive": "redrive", "Sweep": "sweep", "Setup": "setup",
	"S3Dispatcher": "dispatcher", "CloudWatchDispatcher": "dispatcher", "WebhookDispatcher": "dispatcher", "HeliconeDispatcher": "dispatcher", "LunaryDispatcher": "dispatcher",
	"LedgerDispatcher": "dispatcher", "EventBridgeDispatcher": "dispatcher",
}

var setting = regexp.MustCompile("`env:\"([A-Z0-9_]+)(,notEmpty)?\"")

// others are variables of Go's runtime, and where AWS is.
var others = []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"}

func settings(t template) (broken []string) {
	t.resources("AWS::Lambda::Function", func(name string, r gjson.Result) {
		files, err := filepath.Glob(filepath.Join(root, "functions", folders[name], "*.go"))
		if err != nil || len(files) == 0 || folders[name] == "" {
			broken = append(broken, name+" has no code that is known here")
			return
		}
		given := r.Get("Properties.Environment.Variables").Map()
		known := map[string]bool{}
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err != nil {
				broken = append(broken, err.Error())
			}
			for _, s := range setting.FindAllStringSubmatch(string(code), -1) {
				known[s[1]] = true
				if _, is := given[s[1]]; s[2] != "" && !is {
					broken = append(broken, name+" lacks "+s[1])
				}
			}
		}
		for variable := range given {
			if !known[variable] && !slices.Contains(others, variable) {
				broken = append(broken, name+" does not know "+variable)
			}
		}
	})
	return broken
}

// deliveryMetrics: what management is to show has to be looked for where dispatchers leave it.
func deliveryMetrics(t template) (broken []string) {
	const namespace = "Environment.Variables.LLM_PROXY_DELIVERY_NAMESPACE"
	read := compact(t.properties("Management").Get(namespace))
	for name, folder := range folders {
		if written := compact(t.properties(name).Get(namespace)); folder == "dispatcher" && (written == "" || written != read) {
			broken = append(broken, fmt.Sprintf("%s writes to %q, management reads of %q", name, written, read))
		}
	}
	return broken
}

// ownQueues: a namespace may be used by several stacks, and what is searched for in it has to be told apart by the queues' names.
func ownQueues(t template) (broken []string) {
	body := t.properties("MetricsDashboard").Get("DashboardBody.Fn\\:\\:Sub")
	for _, search := range regexp.MustCompile(`SEARCH\('[^']*'`).FindAllString(body.Get("0").Str, -1) {
		if !strings.Contains(search, `function=\"${Proxy}\"`) && !strings.Contains(search, ` queue=(${Queues})`) {
			broken = append(broken, "others are found by "+search)
		}
	}
	destination := regexp.MustCompile(`"(,?)[a-z0-9]+=\$\{(\w+)\}"`)
	want := destination.ReplaceAllStringFunc(compact(t.properties("Management").Get("Environment.Variables.LLM_PROXY_DESTINATIONS")), func(text string) string {
		parts := destination.FindStringSubmatch(text)
		return `"` + strings.Replace(parts[1], ",", "OR", 1) + `\\\"${` + parts[2] + `.QueueName}\\\""`
	})
	if got := compact(body.Get("1.Queues")); got != want {
		broken = append(broken, fmt.Sprintf("of the destinations' queues %s it has %s", want, got))
	}
	return broken
}
