package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
)

// Examination is what [Examine] found.
type Examination struct {
	Version  int64    // of the tables; 0 if there are none
	Newest   int64    // version that this program makes
	Problems []string // of the file's structure, the first few; none if it is whole
}

// Examine reads a whole database and changes nothing in it: not even its tables are brought up to date. Processes that have it open go
// on. It takes as long as reading the file does.
func Examine(ctx context.Context, path string) (x Examination, err error) {
	if _, err := os.Stat(path); err != nil {
		return x, err
	}
	if x.Newest, err = newestMigration(); err != nil {
		return x, err
	}
	query := url.Values{"mode": {"rw"}} // not rwc: what is not there is not made
	query.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", manageBusy.Milliseconds()))
	query.Add("_pragma", "query_only(1)")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	rows, err := db.QueryContext(ctx, `PRAGMA quick_check(5)`)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return x, err
		}
		if line != "ok" {
			x.Problems = append(x.Problems, line)
		}
	}
	if err := rows.Err(); err != nil {
		return x, err
	}
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM sqlite_schema WHERE name = ?`, goose.DefaultTablename).Scan(&there); err != nil || !there {
		return x, err
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+goose.DefaultTablename+` WHERE is_applied`).Scan(&x.Version)
	return x, err
}

// newestMigration is the number of the last file of migrations.
func newestMigration() (newest int64, err error) {
	known, err := knownMigrations()
	for n := range known {
		newest = max(newest, n)
	}
	return newest, err
}

// knownMigrations are the numbers of the files of migrations.
func knownMigrations() (map[int64]bool, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	known := make(map[int64]bool, len(entries))
	for _, entry := range entries {
		n, err := goose.NumericComponent(entry.Name())
		if err != nil {
			return nil, err
		}
		known[n] = true
	}
	return known, nil
}
