package aws

import (
	"strings"

	"github.com/tidwall/gjson"
)

// named are the properties that name a resource within the account, by what its type ends with.
var named = map[string]string{
	"ApiGatewayV2::Api": "Name", "Budgets::Budget": "Budget.BudgetName", "CloudFront::OriginAccessControl": "OriginAccessControlConfig.Name",
	"CloudFront::ResponseHeadersPolicy": "ResponseHeadersPolicyConfig.Name", "CloudWatch::Alarm": "AlarmName", "CloudWatch::Dashboard": "DashboardName",
	"DynamoDB::Table": "TableName", "Events::Archive": "ArchiveName", "Events::EventBus": "Name", "IAM::Role": "RoleName", "Lambda::Function": "FunctionName",
	"Logs::LogGroup": "LogGroupName", "Logs::QueryDefinition": "Name", "S3::Bucket": "BucketName", "SNS::Topic": "TopicName", "SQS::Queue": "QueueName",
	"SecretsManager::Secret": "Name", "WAFv2::WebACL": "Name",
}

// names: what has one has the stack's in it. CloudFormation makes up the others. Rules have theirs within the stack's own bus.
func names(t template) (broken []string) {
	t.resources("", func(logical string, r gjson.Result) {
		property := named[strings.TrimPrefix(r.Get("Type").Str, "AWS::")]
		if name := r.Get("Properties." + property); property != "" && name.Exists() && !strings.Contains(name.Raw, "${AWS::StackName}") {
			broken = append(broken, logical+" is always named "+name.Raw)
		}
		if bus := r.Get("Properties.EventBusName"); r.Get("Type").Str == "AWS::Events::Rule" && r.Get("Properties.Name").Exists() && bus.Get("Ref").Str != "Bus" {
			broken = append(broken, logical+" has a name on a bus that others have too")
		}
	})
	return broken
}
