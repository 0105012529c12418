// Package estimate counts what a call took where the upstream does not say: with tiktoken's tables, which are compiled in, by the
// rules that OpenAI publishes. What it says is marked as an estimate. The tables are large and take a moment to load, so only
// programs that deliver events import it, never the one that stands between a caller and the upstream.
//
// The tables in ranks/ are OpenAI's (MIT, © 2022 OpenAI, Shantanu Jain), byte for byte as published; see ranks/write.go.
package estimate
