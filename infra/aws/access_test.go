package aws

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

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

// unbounded is the one thing that AWS lets nobody do with less than everything: metrics are no resources, so who reads those of the stack's
// queues may read all of the account. They are numbers by names, and management alone reads them.
var unbounded = grant{role: "ManagementRole", actions: []string{"cloudwatch:GetMetricData"}, resources: []string{`"*"`}}

func wildcardResources(t template) (broken []string) {
	for _, g := range t.grants() {
		if reflect.DeepEqual(g, unbounded) {
			continue
		}
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
