// Package estimate counts what a call took where the upstream does not say: with tiktoken's tables, which are compiled in, by the
// rules that OpenAI publishes. What it says is marked as an estimate. The tables make a binary larger and take a moment to load, so only
// what delivers events imports it, never the function that stands between a caller and the upstream. A table is read when the first
// text is to be counted by it, and lies outside of the heap: a server that never estimates pays nothing for it, one that does 5 MB.
//
// The tables in ranks/ are OpenAI's (MIT, © 2022 OpenAI, Shantanu Jain), byte for byte as published; see ranks/write.go.
package estimate
