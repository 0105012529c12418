// Package fastpath serves the plain requests of well-behaved HTTP/1.1 clients, and hands every other connection to net/http.
//
// Between two requests net/http keeps a second goroutine reading from the client, to notice when it leaves; on a proxy that starts and
// stops it, the waking of threads for it costs as much as the proxying. Here it is started for requests that take long alone. What
// makes a request plain is decided by its head, before anything of it is used: see [parse]. A head that is in any way unusual, whether
// harmless or hostile, reaches net/http byte for byte, and so does everything that follows on its connection. So this package needs no
// opinion about anything that is not plain.
package fastpath
