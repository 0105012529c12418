package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

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

// alarms wants two of each queue that a function empties: one of its first dead letter, one of what has waited in it for an hour.
func alarms(t template) (broken []string) {
	above := map[string]float64{"ApproximateNumberOfMessagesVisible": 0, "ApproximateAgeOfOldestMessage": 3600}
	watched := map[string]bool{}
	t.resources("AWS::CloudWatch::Alarm", func(_ string, r gjson.Result) {
		p := r.Get("Properties")
		metric := p.Get("MetricName").Str
		most, known := above[metric]
		watched[p.Get("Dimensions.0.Value.Fn\\:\\:GetAtt.0").Str+" "+metric+" "+r.Get("Condition").Str] = known && p.Get("AlarmActions").Exists() &&
			p.Get("Namespace").Str == "AWS/SQS" && p.Get("Dimensions.#").Int() == 1 && p.Get("Dimensions.0.Name").Str == "QueueName" && p.Get("Statistic").Str == "Maximum" &&
			p.Get("ComparisonOperator").Str == "GreaterThanThreshold" && p.Get("Threshold").Exists() && p.Get("Threshold").Num == most
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
	writers := map[string][]string{}
	for _, g := range t.grants() {
		if slices.Contains(g.actions, "events:PutEvents") {
			for _, bus := range g.resources {
				writers[strings.ReplaceAll(bus, " ", "")] = append(writers[strings.ReplaceAll(bus, " ", "")], g.role)
			}
		}
	}
	for bus, want := range map[string][]string{
		`{"Fn::GetAtt":["Bus","Arn"]}`: {"ManagementRole", "ProxyRole", "RedriveRole", "SweepRole"}, `{"Ref":"TargetBus"}`: {"EventBridgeDispatcherRole"},
	} {
		got := writers[bus]
		delete(writers, bus)
		if slices.Sort(got); !slices.Equal(got, want) {
			broken = append(broken, fmt.Sprintf("%v write to %s", got, bus))
		}
	}
	for bus, roles := range writers {
		broken = append(broken, fmt.Sprintf("%v write to %s", roles, bus))
	}
	return broken
}

// targetBus: events that came back to the bus they come from would go round for ever, and cost.
func targetBus(t template) (broken []string) {
	own := `{"Fn::Not":[{"Fn::Equals":[{"Ref":"TargetBus"},{"Fn::Sub":"arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/` + strings.TrimSuffix(strings.TrimPrefix(t.properties("Bus").Get("Name.Fn\\:\\:Sub").Raw, `"`), `"`) + `"}]}]}`
	if is := compact(t.Get("Conditions.HasTargetBus")); !strings.Contains(is, own) {
		broken = append(broken, "HasTargetBus is "+is)
	}
	t.resources("", func(name string, r gjson.Result) {
		if strings.Contains(compact(r), `{"Ref":"TargetBus"}`) && r.Get("Condition").Str != "HasTargetBus" {
			broken = append(broken, name+" has it without condition")
		}
	})
	if types := compact(t.properties("EventBridgeRule").Get("EventPattern.detail-type")); types != `["request","audit"]` {
		broken = append(broken, "it hears of "+types)
	}
	return broken
}
