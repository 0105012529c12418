package aws

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// promises are what the translated template must keep. Each says in sentences where it is broken.
var promises = []struct {
	name  string
	check func(template) []string
}{
	{"anybody may call the function URL, and AWS needs two permissions for it", urlPermissions},
	{"answers are streamed", streams},
	{"no role has a wildcard for actions", wildcardActions},
	{"no role has a wildcard for resources beyond its prefixes", wildcardResources},
	{"only the proxy and setup read the sealing secret", sealingSecret},
	{"functions may do with the tables what their store does, and no more", storeActions},
	{"each function has a role of its own", ownRoles},
	{"operators' secrets are read by those alone who let operators in", operatorsSecrets},
	{"secrets are made as they always were", secretsFrozen},
	{"tables are as the store lays them out", tableLayout},
	{"the ledger is written by its dispatcher and read by management alone", ledgerActions},
	{"without Ledger there is nothing of the ledger", ledgerCondition},
	{"tables can be restored to any moment", pointInTime},
	{"what is kept is encrypted", encryption},
	{"nothing is public", publicAccess},
	{"events that cannot be delivered are kept", deadLetters},
	{"the bus tries for a day", busRetries},
	{"queues keep what waits for two weeks, and nobody gets it twice at once", queueTimes},
	{"functions tell which of a batch failed", partialFailures},
	{"each destination's dead letters and waiting events set off an alarm", alarms},
	{"what was lost, and what is to be removed, is looked for every hour", hourly},
	{"changes of operators reach the bus, and those alone who make or relay them write there", busWriters},
	{"each function's log ends", logRetention},
	{"concurrency can be bounded", reservedConcurrency},
	{"nothing costs while nobody calls", alwaysOn},
	{"the emulator leaves out what it lacks alone", emulated},
	{"what is for local development is never deployed", neverDeployed},
	{"the HTTP API stands before the functions", apiFirst},
	{"what is kept follows Retention", retention},
	{"parameters say what they are and what they take", parameters},
	{"outputs tell how to go on", outputs},
	{"each function has the settings it needs, and no other", settings},
	{"the site's bucket is read by its distribution alone", siteBucket},
	{"the site's pages have the headers that the server gives them", siteHeaders},
	{"each path of the site leads where it belongs, and answers of the API are never kept", sitePaths},
	{"a site that was built anew is brought to its bucket", sitePages},
	{"without AdminSite there is nothing of the site", siteCondition},
	{"a firewall is there if it is asked for, bounds each address, and reads no prompts", firewall},
}

// template is a translated one.
type template struct {
	gjson.Result
	source string // before
}

// resources calls f for those of a type; all with an empty one.
func (t template) resources(kind string, f func(name string, r gjson.Result)) {
	t.Get("Resources").ForEach(func(name, r gjson.Result) bool {
		if kind == "" || r.Get("Type").Str == kind {
			f(name.Str, r)
		}
		return true
	})
}

func (t template) properties(name string) gjson.Result {
	return t.Get("Resources." + name + ".Properties")
}

// grant is a statement of a role's policy, or of one that is added to it.
type grant struct {
	role      string
	actions   []string
	resources []string // as JSON
}

func (t template) grants() (all []grant) {
	add := func(role string, statements gjson.Result) {
		for _, s := range statements.Array() {
			g := grant{role: role}
			for _, a := range list(s.Get("Action")) {
				g.actions = append(g.actions, a.Str)
			}
			for _, res := range list(s.Get("Resource")) {
				g.resources = append(g.resources, res.Raw)
			}
			all = append(all, g)
		}
	}
	t.resources("AWS::IAM::Role", func(name string, r gjson.Result) {
		add(name, r.Get("Properties.Policies.#.PolicyDocument.Statement|@flatten"))
	})
	t.resources("AWS::IAM::Policy", func(_ string, r gjson.Result) {
		for _, role := range r.Get("Properties.Roles.#.Ref").Array() {
			add(role.Str, r.Get("Properties.PolicyDocument.Statement"))
		}
	})
	return all
}

// list is a value that may stand alone or in a list.
func list(r gjson.Result) []gjson.Result {
	if r.IsArray() {
		return r.Array()
	}
	return []gjson.Result{r}
}

func compact(r gjson.Result) string { return strings.ReplaceAll(r.Raw, " ", "") }

func urlPermissions(t template) (broken []string) {
	found := map[string]bool{}
	t.resources("AWS::Lambda::Permission", func(_ string, r gjson.Result) {
		p := r.Get("Properties")
		if strings.Contains(p.Get("FunctionName").Raw, `"Proxy"`) && p.Get("Principal").Str == "*" {
			found[fmt.Sprint(p.Get("Action").Str, p.Get("FunctionUrlAuthType").Str, p.Get("InvokedViaFunctionUrl").Bool())] = true
		}
	})
	for _, want := range []string{"lambda:InvokeFunctionUrlNONEfalse", "lambda:InvokeFunctiontrue"} {
		if !found[want] {
			broken = append(broken, "there is no permission "+want)
		}
	}
	return broken
}

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

func wildcardActions(t template) (broken []string) {
	for _, g := range t.grants() {
		for _, a := range g.actions {
			if strings.Contains(a, "*") {
				broken = append(broken, g.role+" may "+a)
			}
		}
	}
	t.resources("AWS::IAM::Role", func(name string, r gjson.Result) {
		if r.Get("Properties.ManagedPolicyArns").Exists() {
			broken = append(broken, name+" has a managed policy, which has wildcards")
		}
	})
	return broken
}

// prefixes are the resources that end with a wildcard on purpose.
var prefixes = []string{"${Bucket.Arn}/events/*", "${Bucket.Arn}/requests/*", "${SiteBucket.Arn}/*", "${LedgerTable.Arn}/index/*", "secret:${AWS::StackName}/keys/*"}

func wildcardResources(t template) (broken []string) {
	for _, g := range t.grants() {
		for _, r := range g.resources {
			if strings.Contains(r, "*") && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasSuffix(strings.TrimRight(r, `"} `), p) }) {
				broken = append(broken, g.role+" reaches "+r)
			}
		}
	}
	return broken
}

func sealingSecret(t template) (broken []string) {
	may := map[string]bool{"ProxyRole": true, "SetupRole": true}
	for _, g := range t.grants() {
		for _, r := range g.resources {
			if strings.Contains(r, "SealingSecret") && !may[g.role] {
				broken = append(broken, g.role+" reaches it")
			}
		}
	}
	if strings.Contains(t.properties("Management.Environment").Raw, "SealingSecret") {
		broken = append(broken, "management is told where it is")
	}
	return broken
}

func storeActions(t template) (broken []string) {
	for role, want := range map[string]dynamo.Actions{"ProxyRole": dynamo.SpendActions, "ManagementRole": dynamo.ManageActions, "AdminRole": dynamo.SignInActions, "SweepRole": dynamo.SweepActions} {
		for table, actions := range map[string][]string{"Tokens": want.Tokens, "Control": want.Control} {
			var got []string
			for _, g := range t.grants() {
				if g.role == role && slices.ContainsFunc(g.resources, func(r string) bool { return strings.Contains(r, `"`+table+`"`) }) {
					for _, a := range g.actions {
						got = append(got, strings.TrimPrefix(a, "dynamodb:"))
					}
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, actions) {
				broken = append(broken, fmt.Sprintf("%s on %s may %v, its store does %v", role, table, got, actions))
			}
		}
	}
	return broken
}

func ownRoles(t template) (broken []string) {
	users := map[string][]string{}
	t.resources("AWS::Lambda::Function", func(name string, r gjson.Result) {
		role := compact(r.Get("Properties.Role"))
		users[role] = append(users[role], name)
		if !strings.Contains(role, `"`+name+`Role"`) {
			broken = append(broken, name+" has the role "+role)
		}
	})
	return broken
}

func operatorsSecrets(t template) (broken []string) {
	for secret, want := range map[string][]string{"OperatorsSecret": {"ManagementRole"}, "AdminSecret": {"AdminRole", "ManagementRole"}} {
		var got []string
		for _, g := range t.grants() {
			if slices.ContainsFunc(g.resources, func(r string) bool { return strings.Contains(r, `"`+secret+`"`) }) {
				got = append(got, g.role)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			broken = append(broken, fmt.Sprintf("%s is read by %v, and meant for %v", secret, got, want))
		}
	}
	return broken
}

// frozen is how secrets are made. CloudFormation makes a new one where that changes: with a new sealing secret every provider key is lost.
var frozen = map[string]string{
	"SealingSecret":   `{"ExcludePunctuation":true,"PasswordLength":64}`,
	"OperatorsSecret": `{"ExcludePunctuation":true,"GenerateStringKey":"management_token","PasswordLength":48,"SecretStringTemplate":"{}"}`,
	"AdminSecret":     `{"ExcludePunctuation":true,"GenerateStringKey":"password","PasswordLength":32,"SecretStringTemplate":"{\"user\": \"admin\"}"}`,
}

func secretsFrozen(t template) (broken []string) {
	t.resources("AWS::SecretsManager::Secret", func(name string, r gjson.Result) {
		p := r.Get("Properties")
		var made any
		if err := json.Unmarshal([]byte(p.Get("GenerateSecretString").Raw), &made); err != nil {
			broken = append(broken, name+": "+err.Error())
		}
		sorted, err := json.Marshal(made)
		if err != nil || string(sorted) != frozen[name] {
			broken = append(broken, fmt.Sprintf("%s is made by %s", name, sorted))
		}
		if p.Get("Name").Exists() {
			broken = append(broken, name+" has a fixed name: a second stack, or the same one again, could not make it")
		}
	})
	return broken
}

func tableLayout(t template) (broken []string) {
	for name, want := range map[string]dynamo.Table{"Tokens": dynamo.TokensTable, "Control": dynamo.ControlTable, "LedgerTable": dynamo.LedgerTable} {
		p := t.properties(name)
		key := func(r gjson.Result, kind string) string {
			return r.Get(`KeySchema.#(KeyType=="` + kind + `").AttributeName`).Str
		}
		got := dynamo.Table{PartitionKey: key(p, "HASH"), SortKey: key(p, "RANGE"), TTL: p.Get("TimeToLiveSpecification.AttributeName").Str}
		for _, index := range p.Get("GlobalSecondaryIndexes").Array() {
			got.Indexes = append(got.Indexes, dynamo.Index{Name: index.Get("IndexName").Str, PartitionKey: key(index, "HASH"), SortKey: key(index, "RANGE")})
			if index.Get("Projection.ProjectionType").Str != "ALL" {
				broken = append(broken, name+": an index has not all attributes")
			}
		}
		if !reflect.DeepEqual(got, want) || !p.Get("TimeToLiveSpecification.Enabled").Bool() {
			broken = append(broken, fmt.Sprintf("%s is %+v with TTL %v, the store wants %+v", name, got, p.Get("TimeToLiveSpecification.Enabled").Bool(), want))
		}
	}
	return broken
}

// ledgerActions: the ledger is written by its dispatcher and read by management, and by nobody else.
func ledgerActions(t template) (broken []string) {
	may := map[string][]string{"LedgerDispatcherRole": dynamo.RecordActions, "ManagementRole": dynamo.ReadActions}
	for _, g := range t.grants() {
		if !slices.ContainsFunc(g.resources, func(r string) bool { return strings.Contains(r, "LedgerTable") }) {
			continue
		}
		var got []string
		for _, a := range g.actions {
			got = append(got, strings.TrimPrefix(a, "dynamodb:"))
		}
		slices.Sort(got)
		if !slices.Equal(got, may[g.role]) {
			broken = append(broken, fmt.Sprintf("%s may %v there", g.role, got))
		}
		delete(may, g.role)
	}
	for role := range may {
		broken = append(broken, role+" may do nothing there")
	}
	return broken
}

// ledgerCondition: a part of the ledger that stands alone would cost, or break the deployment.
func ledgerCondition(t template) (broken []string) {
	t.resources("", func(name string, r gjson.Result) {
		if of := strings.HasPrefix(name, "Ledger"); of != (r.Get("Condition").Str == "HasLedger") {
			broken = append(broken, name)
		}
	})
	return broken
}

func pointInTime(t template) (broken []string) {
	t.resources("AWS::DynamoDB::Table", func(name string, r gjson.Result) {
		if !r.Get("Properties.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled").Bool() {
			broken = append(broken, name)
		}
	})
	return broken
}

func encryption(t template) (broken []string) {
	for kind, path := range map[string]string{
		"AWS::DynamoDB::Table": "SSESpecification.SSEEnabled", "AWS::SQS::Queue": "SqsManagedSseEnabled", "AWS::S3::Bucket": "BucketEncryption.ServerSideEncryptionConfiguration.0",
	} {
		t.resources(kind, func(name string, r gjson.Result) {
			if v := r.Get("Properties." + path); !v.IsObject() && !v.Bool() {
				broken = append(broken, name)
			}
		})
	}
	return broken
}

func publicAccess(t template) (broken []string) {
	t.resources("AWS::S3::Bucket", func(name string, r gjson.Result) {
		for _, flag := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if !r.Get("Properties.PublicAccessBlockConfiguration." + flag).Bool() {
				broken = append(broken, name+" lacks "+flag)
			}
		}
	})
	for _, name := range []string{"Bucket", "SiteBucket"} {
		deny := t.properties(name + "Policy").Get("PolicyDocument.Statement.0")
		if deny.Get("Effect").Str != "Deny" || deny.Get(`Condition.Bool.aws\:SecureTransport`).Str != "false" || !strings.Contains(deny.Get("Resource").Raw, `"${`+name+`.Arn}/*"`) {
			broken = append(broken, name+" can be reached without TLS")
		}
	}
	return broken
}

func deadLetters(t template) (broken []string) {
	t.resources("AWS::SQS::Queue", func(name string, r gjson.Result) {
		if target := r.Get("Properties.RedrivePolicy.deadLetterTargetArn").Raw; !strings.HasSuffix(name, "Dead") && !strings.Contains(target, `Dead"`) {
			broken = append(broken, name+" has no queue of dead letters")
		}
	})
	t.resources("AWS::Events::Rule", func(name string, r gjson.Result) {
		if r.Get("Properties.EventPattern").Exists() && !strings.Contains(r.Get("Properties.Targets.0.DeadLetterConfig.Arn").Raw, `Dead"`) {
			broken = append(broken, name+" has no queue of dead letters")
		}
	})
	if !strings.Contains(t.properties("RedriveEventInvokeConfig").Get("DestinationConfig.OnFailure.Destination").Raw, `"SpillDead"`) {
		broken = append(broken, "lines of the log that redrive fails at are kept nowhere")
	}
	return broken
}

func busRetries(t template) (broken []string) {
	t.resources("AWS::Events::Rule", func(name string, r gjson.Result) {
		policy := r.Get("Properties.Targets.0.RetryPolicy")
		if r.Get("Properties.EventPattern").Exists() && (policy.Get("MaximumEventAgeInSeconds").Int() != 86400 || policy.Get("MaximumRetryAttempts").Int() != 185) {
			broken = append(broken, name)
		}
	})
	return broken
}

func queueTimes(t template) (broken []string) {
	t.resources("AWS::SQS::Queue", func(name string, r gjson.Result) {
		if r.Get("Properties.MessageRetentionPeriod").Int() != 14*24*60*60 {
			broken = append(broken, name+" does not keep messages for two weeks")
		}
	})
	t.resources("AWS::Lambda::EventSourceMapping", func(name string, r gjson.Result) {
		p := r.Get("Properties")
		queue := p.Get("EventSourceArn.Fn\\:\\:GetAtt.0").Str
		timeout := t.properties(p.Get("FunctionName.Ref").Str).Get("Timeout").Int()
		least := 6*timeout + p.Get("MaximumBatchingWindowInSeconds").Int()
		if visible := t.properties(queue).Get("VisibilityTimeout").Int(); timeout == 0 || visible < least {
			broken = append(broken, fmt.Sprintf("%s hides messages for %d s, %s needs %d", queue, visible, name, least))
		}
	})
	return broken
}

func partialFailures(t template) (broken []string) {
	t.resources("AWS::Lambda::EventSourceMapping", func(name string, r gjson.Result) {
		if r.Get("Properties.FunctionResponseTypes.0").Str != "ReportBatchItemFailures" {
			broken = append(broken, name)
		}
	})
	return broken
}

// alarms wants two of each queue that a function empties: one of its dead letters, one of what waits in it.
func alarms(t template) (broken []string) {
	watched := map[string]bool{}
	t.resources("AWS::CloudWatch::Alarm", func(_ string, r gjson.Result) {
		p := r.Get("Properties")
		watched[p.Get("Dimensions.0.Value.Fn\\:\\:GetAtt.0").Str+" "+p.Get("MetricName").Str+" "+r.Get("Condition").Str] = p.Get("AlarmActions").Exists()
	})
	t.resources("AWS::Lambda::EventSourceMapping", func(_ string, r gjson.Result) {
		queue := r.Get("Properties.EventSourceArn.Fn\\:\\:GetAtt.0").Str
		dead := strings.TrimSuffix(queue, "Queue") + "Dead"
		wanted := []string{dead + " ApproximateNumberOfMessagesVisible", queue + " ApproximateAgeOfOldestMessage"}
		if queue == "Spill" {
			wanted = wanted[:1] // the bus may be down for hours
		}
		for _, want := range wanted {
			if !watched[want+" "+r.Get("Condition").Str] {
				broken = append(broken, "there is no alarm for "+want)
			}
		}
	})
	return broken
}

// hourly wants a schedule, and the permission that goes with it.
func hourly(t template) (broken []string) {
	for _, function := range []string{"Redrive", "Sweep"} {
		scheduled, permitted := false, false
		t.resources("AWS::Events::Rule", func(name string, r gjson.Result) {
			p := r.Get("Properties")
			if p.Get("ScheduleExpression").Str == "rate(1 hour)" && p.Get("State").Str != "DISABLED" && p.Get("Targets.0.Arn.Fn\\:\\:GetAtt.0").Str == function {
				scheduled = true
				t.resources("AWS::Lambda::Permission", func(_ string, r gjson.Result) {
					p := r.Get("Properties")
					if p.Get("FunctionName.Ref").Str == function && p.Get("Principal").Str == "events.amazonaws.com" && p.Get("SourceArn.Fn\\:\\:GetAtt.0").Str == name {
						permitted = true
					}
				})
			}
		})
		if !scheduled || !permitted {
			broken = append(broken, fmt.Sprintf("%s: scheduled %v, permitted %v", function, scheduled, permitted))
		}
	}
	return broken
}

func busWriters(t template) (broken []string) {
	var got []string
	for _, g := range t.grants() {
		if slices.Contains(g.actions, "events:PutEvents") {
			got = append(got, g.role)
		}
	}
	slices.Sort(got)
	if want := []string{"ManagementRole", "ProxyRole", "RedriveRole", "SweepRole"}; !slices.Equal(got, want) {
		broken = append(broken, fmt.Sprintf("%v write to it", got))
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

// lacking are the kinds that the emulator refuses.
var lacking = []string{"AWS::Events::Archive", "AWS::Budgets::Budget", "AWS::Logs::QueryDefinition"}

func emulated(t template) (broken []string) {
	gates := map[string]bool{}
	for range 3 { // conditions refer to each other
		t.Get("Conditions").ForEach(func(name, c gjson.Result) bool {
			raw := compact(c)
			if strings.Contains(raw, `{"Ref":"Emulated"}`) {
				gates[name.Str] = true
			}
			for gate := range gates {
				if strings.Contains(raw, `{"Condition":"`+gate+`"}`) {
					gates[name.Str] = true
				}
			}
			return true
		})
	}
	t.resources("", func(name string, r gjson.Result) {
		gated := gates[r.Get("Condition").Str]
		if gated != slices.Contains(lacking, r.Get("Type").Str) {
			broken = append(broken, fmt.Sprintf("%s: gated %v", name, gated))
		}
		for gate := range gates {
			if strings.Contains(compact(r), `{"Fn::If":["`+gate+`"`) {
				broken = append(broken, name+" looks different under "+gate)
			}
		}
	})
	return broken
}

func neverDeployed(t template) (broken []string) {
	if got := compact(t.Get("Conditions.Never")); got != `{"Fn::Equals":[{"Ref":"AWS::StackName"},""]}` {
		broken = append(broken, "Never is "+got)
	}
	t.resources("", func(name string, r gjson.Result) {
		if strings.HasPrefix(name, "Local") && r.Get("Condition").Str != "Never" {
			broken = append(broken, name+" is deployed")
		}
		r.Get("Properties.Environment.Variables").ForEach(func(variable, value gjson.Result) bool {
			if strings.HasPrefix(variable.Str, "AWS_") && compact(value) != `{"Fn::If":["Never","",{"Ref":"AWS::NoValue"}]}` {
				broken = append(broken, name+" is told "+variable.Str)
			}
			return true
		})
		if key := r.Get("Properties.RouteKey").Str; strings.Contains(key, "/v1/") && r.Get("Condition").Str != "Never" {
			broken = append(broken, name+" leads around the function URL")
		}
	})
	return broken
}

// apiFirst reads the source: the translation changes the order.
func apiFirst(t template) []string {
	if strings.LastIndex(t.source, "Type: AWS::ApiGatewayV2::") > strings.Index(t.source, "Type: AWS::Serverless::Function") {
		return []string{"a part of it stands behind a function: sam local start-api would not serve it"}
	}
	return nil
}

func retention(t template) (broken []string) {
	for _, kind := range []string{"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::S3::Bucket"} {
		t.resources(kind, func(name string, r gjson.Result) {
			for _, policy := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
				if name == "SiteBucket" && !r.Get(policy).Exists() { // what is in it can be built again
					continue
				}
				if r.Get(policy+".Ref").Str != "Retention" {
					broken = append(broken, name+" has another "+policy)
				}
			}
		})
	}
	return broken
}

func parameters(t template) (broken []string) {
	grouped := map[string]bool{}
	for _, name := range t.Get("Metadata.AWS\\:\\:CloudFormation\\:\\:Interface.ParameterGroups.#.Parameters|@flatten").Array() {
		grouped[name.Str] = true
	}
	t.Get("Parameters").ForEach(func(name, p gjson.Result) bool {
		if !p.Get("Description").Exists() || !p.Get("Default").Exists() {
			broken = append(broken, name.Str+" has no description or no default")
		}
		if !p.Get("AllowedPattern").Exists() && !p.Get("AllowedValues").Exists() && !p.Get("MinValue").Exists() {
			broken = append(broken, name.Str+" takes anything")
		}
		if !grouped[name.Str] {
			broken = append(broken, name.Str+" is in no group")
		}
		return true
	})
	return broken
}

func outputs(t template) (broken []string) {
	for _, name := range []string{"BaseUrl", "AdminUrl", "AdminSecret", "ManageUrl", "EventBusName", "ManagementTokenSecret", "NextSteps"} {
		if o := t.Get("Outputs." + name); !o.Get("Value").Exists() || o.Get("Description").Str == "" {
			broken = append(broken, "there is no output "+name+", or it says nothing")
		}
	}
	if !strings.HasSuffix(strings.TrimRight(t.Get("Outputs.BaseUrl.Value").Raw, `"}`), "v1") {
		broken = append(broken, "BaseUrl does not end in /v1")
	}
	return broken
}

// folders are where the functions' code is.
var folders = map[string]string{
	"Proxy": "proxy", "Management": "management", "Admin": "admin", "Redrive": "redrive", "Sweep": "sweep", "Setup": "setup",
	"S3Dispatcher": "dispatcher", "CloudWatchDispatcher": "dispatcher", "WebhookDispatcher": "dispatcher", "HeliconeDispatcher": "dispatcher", "LunaryDispatcher": "dispatcher",
	"LedgerDispatcher": "dispatcher",
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
