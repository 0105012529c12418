package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

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
