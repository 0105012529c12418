// Package javascript puts the official JavaScript SDK through the suite.
package javascript
