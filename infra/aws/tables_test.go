package aws

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

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
