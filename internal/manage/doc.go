// Package manage is what operators do: projects, tokens, audit. [Service] has one function for each change, which checks every field,
// and stores the change together with the audit entry that tells of it. The management API, the set-up and the demo all call it.
package manage
