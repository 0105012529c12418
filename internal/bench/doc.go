// Package bench generates load and measures what carrying it costs. Its client and its upstream speak HTTP/1.1 by hand over sockets, so
// that on a small machine they leave the processors to what is measured. Latency on a shared machine is noise; the processor time of
// the measured process per request, beside that of others in the same interleaved run, is the number to trust.
package bench
