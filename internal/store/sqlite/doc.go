// Package sqlite is the store of one machine: tokens, projects and audit in one SQLite file in WAL mode, which any number of processes
// may share. A spend is one prepared statement on a connection of its own; spends that pile up share one transaction. Management writes
// go over another connection that syncs each commit to the disk, and the ledger over a third one, in short transactions.
package sqlite
