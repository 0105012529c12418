package aws

import (
	"strings"

	"github.com/tidwall/gjson"
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
	{"management reads the metrics that dispatchers write", deliveryMetrics},
	{"a dashboard shows what is of its stack alone", ownQueues},
	{"what was lost, and what is to be removed, is looked for every hour", hourly},
	{"changes of operators reach the bus, and those alone who make or relay them write there", busWriters},
	{"a bus does not feed itself, and another one hears of changes too", targetBus},
	{"each function's log ends", logRetention},
	{"concurrency can be bounded", reservedConcurrency},
	{"nothing costs while nobody calls", alwaysOn},
	{"the emulator leaves out what it lacks alone", emulated},
	{"what is for local development is never deployed", neverDeployed},
	{"the HTTP API stands before the functions", apiFirst},
	{"several stacks fit into one account", names},
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
