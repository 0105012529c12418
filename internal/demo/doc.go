// Package demo is a stand-in for a provider: it speaks OpenAI's API and Anthropic's messages, answers the same to the same question,
// counts usage that adds up, and misbehaves when it is asked to.
//
// An endpoint is a function from a request to an [answer]; what is wrong with an answer on its way, the [behaviour], is asked for in the
// request header X-Demo or by an [Option], and lives in one place, deliver.go. Whatever waits here ends when the caller leaves.
package demo
