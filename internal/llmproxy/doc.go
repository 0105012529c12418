// Package llmproxy holds the nouns of the proxy and their errors: tokens, projects, events, usage and secrets. Each has its one
// home here; stores, features and adapters wrap them and never define their own. It imports the standard library alone.
package llmproxy
