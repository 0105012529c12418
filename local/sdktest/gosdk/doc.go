// Package gosdk puts the official Go SDK through the suite. The SDK takes long to compile, and nothing but this test imports it.
package gosdk
