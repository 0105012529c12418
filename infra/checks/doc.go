// Package checks holds tests of the repository itself: that imports point down, that secrets are never compared byte by byte, that
// workflows run pinned actions with few permissions, that links in documents lead somewhere. It has no code of its own.
package checks
