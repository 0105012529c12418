// Package dynamo is the store that any number of processes and functions share: tokens, projects and audit in two DynamoDB tables.
//
// A spend is one conditional UpdateItem on the token's own row, so no two processes can take the last request twice, and no token
// slows another. What belongs to the project stands in its gate row, which is read consistently beside the update; nothing is
// remembered but which project a token belongs to, and that never changes. Management changes are transactions with their audit entry.
// docs/stores.md has the layout of the tables.
package dynamo
