// Package vendors compares what the helicone and lunary destinations send with what the vendors' own published clients send of the same
// call.
package vendors
