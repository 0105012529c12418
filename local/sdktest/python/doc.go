// Package python puts the official Python SDK through the suite.
package python
