package aws

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestTheTemplateKeepsItsPromises(t *testing.T) {
	t.Parallel()
	parsed := template{gjson.Parse(translated(t, readTemplate(t))[0]), readTemplate(t)}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { require.Empty(t, p.check(parsed)) })
	}
}

// TestABrokenTemplateBreaksOnePromise changes the template in one place each, and looks which promise that breaks.
func TestABrokenTemplateBreaksOnePromise(t *testing.T) {
	t.Parallel()
	mutations := []struct{ promise, from, to string }{
		{"anybody may call the function URL, and AWS needs two permissions for it", "AuthType: NONE #", "AuthType: AWS_IAM #"},
		{"answers are streamed", "InvokeMode: RESPONSE_STREAM", "InvokeMode: BUFFERED"},
		{"no role has a wildcard for actions", "Action: [sqs:SendMessage], Resource: !GetAtt Spill.Arn}", "Action: [\"sqs:*\"], Resource: !GetAtt Spill.Arn}"},
		{"no role has a wildcard for resources beyond its prefixes", "Action: [sqs:SendMessage], Resource: !GetAtt Spill.Arn}", "Action: [sqs:SendMessage], Resource: \"*\"}"},
		{"no role has a wildcard for resources beyond its prefixes", "Action: [cloudwatch:GetMetricData], Resource", "Action: [cloudwatch:GetMetricData, cloudwatch:ListMetrics], Resource"},
		{"no role has a wildcard for resources beyond its prefixes", "Action: [sqs:SendMessage], Resource: !GetAtt Spill.Arn}", "Action: [cloudwatch:GetMetricData], Resource: \"*\"}"},
		{"management reads the metrics that dispatchers write", "          LLM_PROXY_DELIVERY_NAMESPACE: !Ref MetricsNamespace\n          AWS_ENDPOINT_URL", "          AWS_ENDPOINT_URL"},
		{"management reads the metrics that dispatchers write", "LLM_PROXY_DELIVERY_NAMESPACE: !Ref MetricsNamespace\n          LLM_PROXY_S3_BUCKET", "LLM_PROXY_DELIVERY_NAMESPACE: Other\n          LLM_PROXY_S3_BUCKET"},
		{"a dashboard shows what is of its stack alone", ` queue=(${Queues})`, ""},
		{"a dashboard shows what is of its stack alone", `              - !If [HasLedger, !Sub ' OR \"${LedgerQueue.QueueName}\"', ""]` + "\n", ""},
		{"only the proxy and setup read the sealing secret", "Action: [secretsmanager:GetSecretValue], Resource: !Ref OperatorsSecret}", "Action: [secretsmanager:GetSecretValue], Resource: [!Ref OperatorsSecret, !Ref SealingSecret]}"},
		{"functions may do with the tables what their store does, and no more", "Action: [dynamodb:UpdateItem], Resource", "Action: [dynamodb:UpdateItem, dynamodb:DeleteItem], Resource"},
		{"functions may do with the tables what their store does, and no more", "Action: [dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem], Resource: !GetAtt Control.Arn", "Action: [dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:Query], Resource: !GetAtt Control.Arn"},
		{"no role has a wildcard for actions", "Action: [s3:ListBucket, s3:ListBucketVersions]", "Action: [\"s3:*\"]"},
		{"no role has a wildcard for resources beyond its prefixes", "s3:PutObject], Resource: !Sub \"${SiteBucket.Arn}/*\"}", "s3:PutObject], Resource: \"*\"}"},
		{"operators' secrets are read by those alone who let operators in", "Action: [secretsmanager:GetSecretValue], Resource: !Ref AdminSecret}", "Action: [secretsmanager:GetSecretValue], Resource: [!Ref AdminSecret, !Ref OperatorsSecret]}"},
		{"functions may do with the tables what their store does, and no more", "Action: [dynamodb:BatchWriteItem, dynamodb:Query], Resource: !GetAtt Control.Arn", "Action: [dynamodb:BatchWriteItem, dynamodb:PutItem, dynamodb:Query], Resource: !GetAtt Control.Arn"},
		{"what was lost, and what is to be removed, is looked for every hour", "Properties: {Schedule: rate(1 hour), Description: Tidies up}", "Properties: {Schedule: rate(1 hour), Description: Tidies up, Enabled: false}"},
		{"what was lost, and what is to be removed, is looked for every hour", "Properties: {Schedule: rate(1 hour), Description: Looks", "Properties: {Schedule: rate(1 day), Description: Looks"},
		{"changes of operators reach the bus, and those alone who make or relay them write there", "Resource: !Ref OperatorsSecret}\n              - {Effect: Allow, Action: [events:PutEvents], Resource: !GetAtt Bus.Arn}\n", "Resource: !Ref OperatorsSecret}\n"},
		{"changes of operators reach the bus, and those alone who make or relay them write there", "Action: [events:PutEvents], Resource: !Ref TargetBus}", "Action: [events:PutEvents], Resource: [!Ref TargetBus, !GetAtt Bus.Arn]}"},
		{"a bus does not feed itself, and another one hears of changes too", "event-bus/${AWS::StackName}-events\"]]", "event-bus/${AWS::StackName}-other\"]]"},
		{"a bus does not feed itself, and another one hears of changes too", "detail-type: [request, audit]}", "detail-type: [request]}"},
		{"each function has a role of its own", "Role: !GetAtt RedriveRole.Arn", "Role: !GetAtt ProxyRole.Arn"},
		{"secrets are made as they always were", "PasswordLength: 64", "PasswordLength: 80"},
		{"secrets are made as they always were", "        GenerateStringKey: management_token\n", "        GenerateStringKey: management_token\n        RequireEachIncludedType: false\n"},
		{"secrets are made as they always were", "      GenerateSecretString: {PasswordLength: 64, ExcludePunctuation: true}\n", "      GenerateSecretString: {PasswordLength: 64, ExcludePunctuation: true}\n      Name: !Sub \"${AWS::StackName}/sealing\"\n"},
		{"tables are as the store lays them out", "TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}", "TimeToLiveSpecification: {AttributeName: ttl, Enabled: false}"},
		{"tables are as the store lays them out", "IndexName: Token, KeySchema: [{AttributeName: tok, KeyType: HASH}", "IndexName: Token, KeySchema: [{AttributeName: bad, KeyType: HASH}"},
		{"the ledger is written by its dispatcher and read by management alone", "Action: [dynamodb:GetItem, dynamodb:Query], Resource: [!GetAtt LedgerTable.Arn", "Action: [dynamodb:GetItem, dynamodb:PutItem, dynamodb:Query], Resource: [!GetAtt LedgerTable.Arn"},
		{"the ledger is written by its dispatcher and read by management alone", "Action: [dynamodb:PutItem, dynamodb:UpdateItem], Resource: !GetAtt LedgerTable.Arn", "Action: [dynamodb:DeleteItem, dynamodb:PutItem, dynamodb:UpdateItem], Resource: !GetAtt LedgerTable.Arn"},
		{"without Ledger there is nothing of the ledger", "  LedgerDead:\n    Type: AWS::SQS::Queue\n    Condition: HasLedger\n", "  LedgerDead:\n    Type: AWS::SQS::Queue\n"},
		{"tables can be restored to any moment", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"},
		{"what is kept is encrypted", "SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false"},
		{"nothing is public", "RestrictPublicBuckets: true", "RestrictPublicBuckets: false"},
		{"nothing is public", `"aws:SecureTransport": "false"`, `"aws:SecureTransport": "true"`},
		{"nothing is public", `            Resource: [!GetAtt SiteBucket.Arn, !Sub "${SiteBucket.Arn}/*"]`, `            Resource: [!GetAtt SiteBucket.Arn]`},
		{"what is kept is encrypted", "      BucketEncryption: # a distribution cannot use the key for S3 that AWS manages\n        ServerSideEncryptionConfiguration:\n          - {ServerSideEncryptionByDefault: {SSEAlgorithm: AES256}}\n", ""},
		{"events that cannot be delivered are kept", "          DeadLetterConfig: {Arn: !GetAtt S3Dead.Arn}\n", ""},
		{"events that cannot be delivered are kept", "      RedrivePolicy: {deadLetterTargetArn: !GetAtt S3Dead.Arn, maxReceiveCount: 5}\n", ""},
		{"the bus tries for a day", "MaximumRetryAttempts: 185", "MaximumRetryAttempts: 2"},
		{"queues keep what waits for two weeks, and nobody gets it twice at once", "VisibilityTimeout: 380", "VisibilityTimeout: 60"},
		{"functions tell which of a batch failed", "      FunctionResponseTypes: [ReportBatchItemFailures]\n", ""},
		{"each function's log ends", "    Properties: {RetentionInDays: !Ref LogDays}\n", ""},
		{"each destination's dead letters and waiting events set off an alarm", "Value: !GetAtt S3Dead.QueueName}]", "Value: !GetAtt SpillDead.QueueName}]"},
		{"each destination's dead letters and waiting events set off an alarm", "      MetricName: ApproximateAgeOfOldestMessage\n", "      MetricName: NumberOfMessagesDeleted\n"},
		{"each destination's dead letters and waiting events set off an alarm", "Value: !GetAtt WebhookQueue.QueueName}]\n      Statistic: Maximum\n", "Value: !GetAtt WebhookQueue.QueueName}]\n      Statistic: Minimum\n"},
		{"each destination's dead letters and waiting events set off an alarm", "      Threshold: 3600\n", "      Threshold: 360000\n"},
		{"each destination's dead letters and waiting events set off an alarm", "      Threshold: 0\n      ComparisonOperator: GreaterThanThreshold\n", "      Threshold: 0\n      ComparisonOperator: LessThanThreshold\n"},
		{"each function's log ends", "Properties: &log {RetentionInDays: !Ref LogDays}", "Properties: &log {}"},
		{"concurrency can be bounded", "      ReservedConcurrentExecutions: !If [HasReserved, !Ref ReservedConcurrency, !Ref AWS::NoValue]\n", ""},
		{"nothing costs while nobody calls", "\nResources:\n", "\nResources:\n  Gateway: {Type: AWS::EC2::NatGateway, Properties: {SubnetId: subnet}}\n"},
		{"nothing costs while nobody calls", "      BillingMode: PAY_PER_REQUEST\n", "      BillingMode: PROVISIONED\n"},
		{"the emulator leaves out what it lacks alone", "  S3Rule:\n    Type: AWS::Events::Rule\n", "  S3Rule:\n    Type: AWS::Events::Rule\n    Condition: NotEmulated\n"},
		{"what is for local development is never deployed", "    Type: AWS::ApiGatewayV2::Route\n    Condition: Never\n", "    Type: AWS::ApiGatewayV2::Route\n"},
		{"what is for local development is never deployed", "&localOnly !If [Never, \"\", !Ref AWS::NoValue]", "&localOnly http://elsewhere.example"},
		{"the HTTP API stands before the functions", "\nOutputs:\n", "  Late: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: GET /late}}\n\nOutputs:\n"},
		{"several stacks fit into one account", `Name: !Sub "${AWS::StackName}-management"`, "Name: llm-proxy-management"},
		{"several stacks fit into one account", `DashboardName: !Sub "${AWS::StackName}-${AWS::Region}"`, `DashboardName: !Sub "requests-${AWS::Region}"`},
		{"what is kept follows Retention", "    DeletionPolicy: !Ref Retention\n", "    DeletionPolicy: Delete\n"},
		{"what is kept follows Retention", "  SiteBucket: # of what can be built again: it goes with the stack, whatever Retention says\n", "  SiteBucket:\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n"},
		{"parameters say what they are and what they take", "    AllowedPattern: \"^$|^[^@ ]+@[^@ ]+$\"\n", ""},
		{"outputs tell how to go on", "  NextSteps:\n", "  Later:\n"},
		{"outputs tell how to go on", "        - !Sub \"LLM_PROXY_SPILL_QUEUE=${Spill}\"\n", ""},
		{"outputs tell how to go on", "[LLM_PROXY_DESTINATIONS=, *destinations]", "[LLM_PROXY_DESTINATIONS=, !Sub \"s3=${S3Queue}\"]"},
		{"each function has the settings it needs, and no other", "          LLM_PROXY_SPILL_QUEUE: !Ref Spill\n", ""},
		{"the site's bucket is read by its distribution alone", "            Principal: {Service: cloudfront.amazonaws.com}\n", "            Principal: \"*\"\n"},
		{"the site's bucket is read by its distribution alone", "            Action: s3:GetObject\n", "            Action: [s3:GetObject, s3:ListBucket]\n"},
		{"the site's bucket is read by its distribution alone", ":distribution/${Site}\"}}", ":distribution/*\"}}"},
		{"the site's bucket is read by its distribution alone", "        SigningBehavior: always\n", "        SigningBehavior: no-override\n"},
		{"the site's pages have the headers that the server gives them", "script-src 'self';", "script-src 'self' 'unsafe-inline';"},
		{"the site's pages have the headers that the server gives them", "          FrameOptions: {FrameOption: DENY, Override: true}\n", ""},
		{"the site's pages have the headers that the server gives them", "          ReferrerPolicy: {ReferrerPolicy: no-referrer, Override: true}", "          ReferrerPolicy: {ReferrerPolicy: no-referrer, Override: false}"},
		{"the site's pages have the headers that the server gives them", "          ResponseHeadersPolicyId: !Ref SiteHeaders\n", ""},
		{"each path of the site leads where it belongs, and answers of the API are never kept", "{<<: *passed, PathPattern: /v1/*, TargetOriginId: proxy}", "{<<: *passed, PathPattern: /v1/*}"},
		{"each path of the site leads where it belongs, and answers of the API are never kept", "CachePolicyId: 4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6"},
		{"each path of the site leads where it belongs, and answers of the API are never kept", "ViewerProtocolPolicy: https-only #", "ViewerProtocolPolicy: allow-all #"},
		{"each path of the site leads where it belongs, and answers of the API are never kept", "        DefaultRootObject: index.html\n", "        DefaultRootObject: index.html\n        CustomErrorResponses: [{ErrorCode: 403, ResponseCode: 200, ResponsePagePath: /index.html}]\n"},
		{"a site that was built anew is brought to its bucket", "      Setup: !Ref Setup.Version\n", ""},
		{"a site that was built anew is brought to its bucket", "DependsOn: [SitePolicy, SiteBucketPolicy]", "DependsOn: SiteBucketPolicy"},
		{"a firewall is there if it is asked for, bounds each address, and reads no prompts", "        WebACLId: !If [HasFirewall, !If [HasOwnFirewall, !GetAtt EdgeFirewall.Arn, !Ref Firewall], !Ref AWS::NoValue]\n", ""},
		{"a firewall is there if it is asked for, bounds each address, and reads no prompts", "Name: AWSManagedRulesAmazonIpReputationList}", "Name: AWSManagedRulesCommonRuleSet}"},
		{"a firewall is there if it is asked for, bounds each address, and reads no prompts", "Limit: !Ref FirewallRate}", "Limit: 2000000}"},
		{"without AdminSite there is nothing of the site", "  SiteAccess:\n    Type: AWS::CloudFront::OriginAccessControl\n    Condition: HasSite\n", "  SiteAccess:\n    Type: AWS::CloudFront::OriginAccessControl\n"},
	}
	source := readTemplate(t)
	var changed []string
	for _, m := range mutations {
		require.Contains(t, source, m.from, "the template has changed: %s", m.promise)
		changed = append(changed, strings.Replace(source, m.from, m.to, 1))
	}
	broken := map[string]bool{}
	for i, text := range translated(t, changed...) {
		var got []string
		for _, p := range promises {
			if p.check(template{gjson.Parse(text), changed[i]}) != nil {
				got = append(got, p.name)
			}
		}
		require.Equal(t, []string{mutations[i].promise}, got, "with %q", mutations[i].to)
		broken[mutations[i].promise] = true
	}
	require.Len(t, broken, len(promises), "each promise can be broken")
}

// TestTheLintersHaveNothingToSay: the linters see more in what the template becomes than in what it says.
func TestTheLintersHaveNothingToSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := translated(t, readTemplate(t))[0]
	path := filepath.Join(dir, "template.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	t.Run("sam validate --lint", func(t *testing.T) {
		t.Parallel()
		run(t, tool(t, "sam", "sam"), "validate", "--lint")
	})
	t.Run("cfn-lint", func(t *testing.T) {
		t.Parallel()
		run(t, tool(t, "sam", "cfn-lint"), "--regions", "us-east-1", "eu-central-1", "--", path)
	})
	t.Run("checkov", func(t *testing.T) {
		t.Parallel()
		run(t, tool(t, "checkov", "checkov"), "--file", path, "--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--config-file", "infra/aws/checkov.yaml")
	})
}
