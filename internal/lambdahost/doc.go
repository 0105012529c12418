// Package lambdahost runs a built Lambda binary on this machine and serves it as AWS would: behind a function URL that streams, behind
// an API Gateway HTTP API, or invoked directly. It speaks the Runtime API and the Extensions API to the process and is strict where AWS
// is strict: one invocation at a time per process, further processes on demand, nothing inherited from the environment, SIGSTOP the
// moment the next invocation is asked for and SIGKILL at the deadline. It is for development and tests; what only AWS can tell (IAM,
// quotas, throttling, exact bytes of a failed stream) it does not claim to know.
package lambdahost
