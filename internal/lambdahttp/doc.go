// Package lambdahttp serves an [http.Handler] from a Lambda function: [Stream] behind a function URL that streams, [Buffered] behind
// an API Gateway HTTP API. A handler finds what net/http's server would give it, so one handler serves both doors: a body of known
// length, the raw request target, [http.ServerContextKey], panics that end one answer and not the process. An answer that breaks off
// looks broken to the caller. What must be done after an answer is done when the caller has its last byte and before the runtime asks
// for the next invocation, since from then on the process may be frozen.
package lambdahttp
