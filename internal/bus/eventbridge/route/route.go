// Package route is the way from the bus to one destination: the rule of the bus that bears its name, the queue which that fills, and the
// queue of what the destination did not take.
package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// ErrNotFound says that there is no such rule, queue or archive.
var ErrNotFound = errors.New("there is none")

// Clients are how AWS is reached.
type Clients struct {
	Bus    *eventbridge.Client
	Queues *sqs.Client
}

// NewClients returns the clients of an account.
func NewClients(cfg aws.Config) Clients {
	cfg.HTTPClient = awshttp.New(cfg.HTTPClient)
	return Clients{Bus: eventbridge.NewFromConfig(cfg), Queues: sqs.NewFromConfig(cfg)}
}

// Route is the way to one destination.
type Route struct {
	Queue string // URL of the queue that its dispatcher empties
	Dead  string // URL of the queue of dead letters

	queueARN, deadARN string
	rule, bus         string // ARNs; empty where the route was found by its queue
	clients           Clients
}

// ByQueue finds the dead letters of a queue.
func ByQueue(ctx context.Context, c Clients, url string) (*Route, error) {
	out, err := c.Queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn, sqstypes.QueueAttributeNameRedrivePolicy},
	})
	if err != nil {
		return nil, fmt.Errorf("look at the queue %s: %w", url, err)
	}
	var policy struct {
		Dead string `json:"deadLetterTargetArn"`
	}
	if text := out.Attributes[string(sqstypes.QueueAttributeNameRedrivePolicy)]; text != "" {
		if err := json.Unmarshal([]byte(text), &policy); err != nil {
			return nil, fmt.Errorf("the redrive policy of the queue %s: %w", url, err)
		}
	}
	if policy.Dead == "" {
		return nil, fmt.Errorf("a queue for the dead letters of %s: %w; give the queue a redrive policy", url, ErrNotFound)
	}
	dead, err := c.urlOf(ctx, policy.Dead)
	if err != nil {
		return nil, err
	}
	return &Route{Queue: url, Dead: dead, queueARN: out.Attributes[string(sqstypes.QueueAttributeNameQueueArn)], deadARN: policy.Dead, clients: c}, nil
}

// ByRule finds the rule of that name on a bus, by name or ARN, and the queue that it fills.
func ByRule(ctx context.Context, c Clients, bus, name string) (*Route, error) {
	rule, err := c.Bus.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: &name, EventBusName: &bus})
	var none *ebtypes.ResourceNotFoundException
	if errors.As(err, &none) {
		return nil, fmt.Errorf("a rule %q on the bus %s: %w; a rule bears the name of its destination", name, bus, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("look at the rule %q on the bus %s: %w", name, bus, err)
	}
	targets, err := c.Bus.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: &name, EventBusName: &bus})
	if err != nil {
		return nil, fmt.Errorf("look at the rule %q on the bus %s: %w", name, bus, err)
	}
	for _, t := range targets.Targets {
		if a, err := arn.Parse(aws.ToString(t.Arn)); err != nil || a.Service != "sqs" {
			continue
		}
		url, err := c.urlOf(ctx, *t.Arn)
		if err != nil {
			return nil, err
		}
		r, err := ByQueue(ctx, c, url)
		if err != nil {
			return nil, err
		}
		r.rule = aws.ToString(rule.Arn)
		if r.bus, err = busOf(r.rule); err != nil {
			return nil, err
		}
		return r, nil
	}
	return nil, fmt.Errorf("a queue behind the rule %q on the bus %s: %w", name, bus, ErrNotFound)
}

// busOf is the ARN of the bus that a rule is of: arn:…:rule/BUS/RULE, or arn:…:rule/RULE on the account's own.
func busOf(rule string) (string, error) {
	a, err := arn.Parse(rule)
	if err != nil {
		return "", fmt.Errorf("the rule's ARN %q: %w", rule, err)
	}
	parts := strings.Split(a.Resource, "/")
	name := "default"
	if len(parts) > 2 {
		name = strings.Join(parts[1:len(parts)-1], "/")
	}
	a.Resource = "event-bus/" + name
	return a.String(), nil
}

// urlOf is the URL of a queue.
func (c Clients) urlOf(ctx context.Context, queue string) (string, error) {
	a, err := arn.Parse(queue)
	if err != nil {
		return "", fmt.Errorf("the queue's ARN %q: %w", queue, err)
	}
	out, err := c.Queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &a.Resource, QueueOwnerAWSAccountId: &a.AccountID})
	if err != nil {
		return "", fmt.Errorf("find the queue %s: %w", queue, err)
	}
	return aws.ToString(out.QueueUrl), nil
}

// Count is how much is where, as far as SQS knows: about, and of a moment ago.
type Count struct {
	Waiting   int64 // events that are to be delivered, those under way included
	Dead      int64 // dead letters
	Redriving bool  // dead letters are being moved back
}

// Count looks at both queues.
func (r *Route) Count(ctx context.Context) (Count, error) {
	waiting, err := r.Waiting(ctx)
	if err != nil {
		return Count{}, err
	}
	dead, err := r.DeadLetters(ctx)
	if err != nil {
		return Count{}, err
	}
	task, err := r.task(ctx)
	if err != nil && !unknownAction(err) {
		return Count{}, err
	}
	return Count{Waiting: waiting, Dead: dead, Redriving: task != nil && aws.ToString(task.Status) == taskRunning}, nil
}

// Waiting is [Count.Waiting] alone.
func (r *Route) Waiting(ctx context.Context) (int64, error) { return r.count(ctx, r.Queue) }

// DeadLetters is [Count.Dead] alone.
func (r *Route) DeadLetters(ctx context.Context) (int64, error) { return r.count(ctx, r.Dead) }

// counted are the attributes that add up to what is in a queue.
var counted = []sqstypes.QueueAttributeName{
	sqstypes.QueueAttributeNameApproximateNumberOfMessages, sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible, sqstypes.QueueAttributeNameApproximateNumberOfMessagesDelayed,
}

func (r *Route) count(ctx context.Context, url string) (n int64, err error) {
	out, err := r.clients.Queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: counted})
	if err != nil {
		return 0, fmt.Errorf("look at the queue %s: %w", url, err)
	}
	for _, name := range counted {
		part, err := strconv.ParseInt(out.Attributes[string(name)], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("the queue %s says of %s: %w", url, name, err)
		}
		n += part
	}
	return n, nil
}

// Send puts an event into the queue in the form in which the rule would have brought it.
func (r *Route) Send(ctx context.Context, e *llmproxy.Event) error {
	body := append(e.AppendJSON([]byte(`{"source":"llm-proxy","detail-type":"request","detail":`)), '}')
	if _, err := r.clients.Queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &r.Queue, MessageBody: aws.String(string(body))}); err != nil {
		return fmt.Errorf("send an event to the queue %s: %w", r.Queue, err)
	}
	return nil
}
