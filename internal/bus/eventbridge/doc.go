// Package eventbridge publishes events to an EventBridge bus from a Lambda function. While a request is under way nothing waits for
// the network: a [Publisher] queues, and [Publisher.Flush] sends when the caller has the last byte. An event that the bus does not take
// in time goes to a spill queue, and failing that to one line in the log, from where it is published later: each admitted request ends
// in the bus, the queue or the log, under one id.
package eventbridge
