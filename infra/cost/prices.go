package main

import (
	"fmt"
	"strconv"
	"strings"
)

// asOf is when the prices were last looked up.
const asOf = "24 November 2026"

// prices are list prices of us-east-1 in dollars, without any free tier.
var prices = []struct {
	name    string // here
	what    string // on the page
	dollars float64
	source  string // where it was found; empty: only on AWS's own page, which has to be read by whoever pays
}{
	{"lambda GB-s", "Lambda, arm64, a GB-second", 0.0000133334, "cloudchipr.com/blog/aws-lambda-pricing (2024); AWS's own page says how it is counted"},
	{"lambda request", "Lambda, a million requests", 0.20, "as above"},
	{"dynamodb write", "DynamoDB on demand, a million writes of 1 KB", 0.625, "airbyte.com, DynamoDB pricing (July 2025): halved in November 2024"},
	{"dynamodb read", "DynamoDB on demand, a million reads of 4 KB", 0.125, "as above"},
	{"event", "EventBridge, a million custom events of 64 KB", 1.00, "cloudburn.io/blog/amazon-eventbridge-pricing (March 2026)"},
	{"archive GB", "EventBridge, a GB into the archive", 0.10, "as above; what is kept there costs as in S3"},
	{"sqs request", "SQS, a million requests of 64 KB", 0.40, "cloudburn.io/blog/amazon-sqs-pricing (March 2026)"},
	{"log GB", "CloudWatch, a GB of logs", 0.50, "factualminds.com, CloudWatch pricing (June 2026)"},
	{"alarm", "CloudWatch, an alarm for a month", 0.10, "as above; ten and three free ones: aws.amazon.com/cloudwatch/pricing"},
	{"dashboard", "CloudWatch, a dashboard for a month", 3.00, "as above"},
	{"metric", "CloudWatch, a metric of one's own for a month", 0.30, "signoz.io/guides/cloudwatch-pricing (February 2026)"},
	{"metric read", "CloudWatch, a million metrics that GetMetricData is asked for", 10.00, "support.site24x7.com, AWS CloudWatch metrics cost calculation"},
	{"secret", "Secrets Manager, a secret for a month; 10 000 reads are 0.05", 0.40, "hivebook.wiki, AWS Secrets Manager"},
	{"s3 put", "S3, a million writes", 5.00, "cloudburn.io/blog/amazon-s3-pricing (March 2026); a GB for a month is 0.023"},
	{"kms request", "KMS, a million requests", 3.00, ""},
	{"out GB", "traffic out, a GB", 0.09, "wring.co/blog/aws-cloudfront-pricing-guide (March 2026)"},
	{"http api", "API Gateway, a million requests of an HTTP API", 1.00, "docs.aws.amazon.com, whitepaper on private APIs, table 4"},
	{"cloudfront GB", "CloudFront, a GB out; 1 TB and 10 million requests are free each month", 0.085, "aws.amazon.com/cloudfront/pricing"},
	{"cloudfront request", "CloudFront, a million requests", 1.00, "wring.co/blog/aws-cloudfront-pricing-guide (March 2026)"},
	{"waf acl", "WAF, a web ACL for a month", 5.00, "c3x.dev/blog/aws-waf-cost-explained; awsnegotiations.com (2026)"},
	{"waf rule", "WAF, a rule for a month", 1.00, "as above"},
	{"waf request", "WAF, a million requests", 0.60, "as above"},
	{"vcpu hour", "Fargate, a vCPU for an hour", 0.04048, "wring.co/blog/aws-fargate-pricing-guide (March 2026)"},
	{"container GB hour", "Fargate, a GB for an hour", 0.004445, "as above"},
}

// price is that of a name. One that is not there is a mistake in this program.
func price(name string) float64 {
	for _, p := range prices {
		if p.name == name {
			return p.dollars
		}
	}
	panic("there is no price of " + name)
}

// priceTable shows the prices and where they were found.
func priceTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| as of %s | dollars | found at |\n|---|---|---|\n", asOf)
	for _, p := range prices {
		source := p.source
		if source == "" {
			source = "not found again: AWS's own page"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p.what, shown(p.dollars), source)
	}
	return b.String()
}

// shown is a price with as many digits as it has, two at least.
func shown(dollars float64) string {
	text := strconv.FormatFloat(dollars, 'f', -1, 64)
	if _, cents, _ := strings.Cut(text, "."); len(cents) < 2 {
		return strconv.FormatFloat(dollars, 'f', 2, 64)
	}
	return text
}
