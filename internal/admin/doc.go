// Package admin lets an operator sign in from a browser. A session is a random secret in a cookie that no script can read; the store has
// its hash. Nothing of it is remembered in the process, so that a sign-out holds everywhere at once. [Handler] answers under /admin,
// serves the site (its source is in ui, a program of its own) and is an authenticator of the management API.
package admin
