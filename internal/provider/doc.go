// Package provider loads providers.yaml: which upstream APIs there are, which of their endpoints may be called, and what happens to
// the headers on the way. Nothing about one provider stands in package proxy; a new provider is a stanza of the file.
package provider
