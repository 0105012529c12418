// Package proxy is the path of one request, a file a step: allow, authorize, forward, capture, respond, event. [Handler.ServeHTTP]
// tells them from top to bottom. Checks go from free to dear, so that a refused request never reaches the upstream and a malformed
// one causes no I/O; bytes flow past the capture and nothing waits for a whole body; each admitted request ends in exactly one event.
package proxy
