// Package client is the management API's client, generated from its OpenAPI document. The CLI is made with it.
package client
