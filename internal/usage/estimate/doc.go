// Package estimate counts what a call took where the upstream does not say: with tiktoken's tables, which are compiled in, by the
// rules that OpenAI publishes. What it says is marked as an estimate. The tables make a binary 5 MB larger, so only what
// delivers events imports it, never the function that stands between a caller and the upstream.
//
// The units in ranks/ are OpenAI's (MIT, © 2022 OpenAI, Shantanu Jain), just those that are published; see ranks/write.go.
package estimate
