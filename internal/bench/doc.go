// Package bench generates load and measures. A [Run] sends what a [Plan] says to any API over HTTP and tells how long answers took;
// its [Result] is JSON or one page of HTML. It is what llm-proxy benchmark shows.
//
// For what carrying a request costs there is a second pair. Its client and its upstream speak HTTP/1.1 by hand over sockets, so
// that on a small machine they leave the processors to what is measured. Latency on a shared machine is noise; the processor time of
// the measured process per request, beside that of others in the same interleaved run, is the number to trust.
package bench
