// Package suite is what every official SDK has to pass through the built program: [Run] starts a stand-in provider and the proxy in
// front of it, gives a small program written with the SDK one [Order] after another, and compares what the SDK reports with what the
// provider saw. [RunOnLambda] does the same with the
// function that AWS would run.
package suite
