package aws

import (
	"regexp"
	"strings"

	"github.com/tidwall/gjson"
)

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
	for _, name := range []string{"BaseUrl", "AdminUrl", "AdminSecret", "ManageUrl", "EventBusName", "ManagementTokenSecret", "ContainerSettings", "NextSteps"} {
		if o := t.Get("Outputs." + name); !o.Get("Value").Exists() || o.Get("Description").Str == "" {
			broken = append(broken, "there is no output "+name+", or it says nothing")
		}
	}
	// A server beside the stack is told what the functions are told, so that each setting that both have is there.
	told := t.Get("Outputs.ContainerSettings.Value").Raw
	for _, function := range []string{"Proxy", "Management"} {
		t.properties(function).Get("Environment.Variables").ForEach(func(name, value gjson.Result) bool {
			if shared := regexp.MustCompile(`_(TABLE|BUS|QUEUE|BUCKET|DESTINATIONS|KEYS_PREFIX|SEALING_SECRET)$`); shared.MatchString(name.Str) && !strings.Contains(told, name.Str+"=") {
				broken = append(broken, "ContainerSettings lacks "+name.Str)
			}
			return true
		})
	}
	if !strings.Contains(compact(gjson.Parse(told)), compact(t.properties("Management").Get("Environment.Variables.LLM_PROXY_DESTINATIONS"))) {
		broken = append(broken, "ContainerSettings has other destinations than management")
	}
	if !strings.HasSuffix(strings.TrimRight(t.Get("Outputs.BaseUrl.Value").Raw, `"}`), "v1") {
		broken = append(broken, "BaseUrl does not end in /v1")
	}
	return broken
}
