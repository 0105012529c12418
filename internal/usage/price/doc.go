// Package price says what a call cost, from its usage and a table of prices that is compiled in. The table is LiteLLM's (MIT,
// © 2023 Berri AI; see LICENSE.litellm), cut down to the providers it is used for by write.go; `make prices` takes a newer one. A
// file of one's own overrides it key by key. What a table does not say is unknown, never zero, and a call of which one part is
// unknown has no cost.
package price
