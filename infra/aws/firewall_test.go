package aws

import (
	"fmt"

	"github.com/tidwall/gjson"
)

// bodyless are managed rules that look at no body: prompts speak of everything that the others look for.
var bodyless = map[string]bool{"AWSManagedRulesAmazonIpReputationList": true}

func firewall(t template) (broken []string) {
	if t.Get("Parameters.Firewall.Default").Str != "" {
		broken = append(broken, "it is there unasked")
	}
	if got := compact(t.properties("Site").Get("DistributionConfig.WebACLId")); got != `{"Fn::If":["HasFirewall",{"Fn::If":["HasOwnFirewall",{"Fn::GetAtt":["EdgeFirewall","Arn"]},{"Ref":"Firewall"}]},{"Ref":"AWS::NoValue"}]}` {
		broken = append(broken, "the distribution has "+got)
	}
	acls, limited := 0, false
	t.resources("AWS::WAFv2::WebACL", func(name string, r gjson.Result) {
		acls++
		p := r.Get("Properties")
		if r.Get("Condition").Str != "HasOwnFirewall" || p.Get("Scope").Str != "CLOUDFRONT" || !p.Get("DefaultAction.Allow").Exists() {
			broken = append(broken, fmt.Sprintf("%s: condition %q, scope %q, default action %s", name, r.Get("Condition").Str, p.Get("Scope").Str, p.Get("DefaultAction").Raw))
		}
		for _, rule := range p.Get("Rules").Array() {
			if group := rule.Get("Statement.ManagedRuleGroupStatement.Name").Str; group != "" && !bodyless[group] {
				broken = append(broken, group+" looks into bodies")
			}
			if rate := rule.Get("Statement.RateBasedStatement"); rate.Exists() && rate.Get("AggregateKeyType").Str == "IP" && rate.Get("Limit.Ref").Str == "FirewallRate" && rule.Get("Action.Block").Exists() {
				limited = true
			}
			if rule.Get("VisibilityConfig.SampledRequestsEnabled").Bool() {
				broken = append(broken, "samples show headers, and so tokens")
			}
		}
	})
	if acls != 1 || !limited {
		broken = append(broken, fmt.Sprintf("there are %d web ACLs, and an address is bounded: %v", acls, limited))
	}
	return broken
}
