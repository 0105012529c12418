// Package aws holds the tests of the stack: what its template promises, and that it deploys and works on a stand-in for AWS. make aws
// installs what they need and runs them.
package aws
