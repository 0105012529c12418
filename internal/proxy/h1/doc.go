// Package h1 is an HTTP/1.1 client for one origin that works on its caller's goroutine: it writes a request, reads the answer's head
// and lets the caller read the body, with no goroutine of its own in between but for bodies that are too large to be sent with the
// head. That halves what a call costs beside [http.Transport], and it knows exactly what a proxy must know: whether a byte of the
// request has left. It never sends a request twice. Answers are parsed by [http.ReadResponse].
package h1
