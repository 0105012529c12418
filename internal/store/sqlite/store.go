package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/zap"
	_ "modernc.org/sqlite" // the driver "sqlite"
	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Config says where the database is and how it is written.
type Config struct {
	Path string // the file; made with mode 0600 if it is not there
	// FullSync syncs each spend to the disk too. Without it a power cut may lose the spends of the last moments; management changes
	// are synced always, and the end of the process loses nothing either way.
	FullSync bool
	Log      *zap.Logger // nil logs nothing
}

// Store keeps tokens, projects, audit entries and the ledger of requests. It is safe for concurrent use.
type Store struct {
	path    string
	log     *zap.Logger
	readers *sql.DB
	writer  *sql.DB       // management writes; one connection
	turn    chan struct{} // held by whoever writes, so that our own connections do not wait for each other inside SQLite
	spends  *spender
	ledger  *ledger
	// ledgerReaders read usage: rows come without the driver's detours.
	ledgerReaders *sqlitex.Pool
	audited       chan struct{} // see AuditStored
	moving        sync.Mutex
	mover         *zombie.Conn // moves the log into the database, one at a time; nil until it has to
	stop          context.CancelFunc
	stopped       sync.WaitGroup

	closing  sync.Once
	closed   chan struct{} // closed when nothing is written any more
	closeErr error
}

// How long SQLite waits for another process's write.
const (
	spendBusy  = 700 * time.Millisecond
	manageBusy = 5 * time.Second
)

//go:embed migrations
var migrations embed.FS

// Open opens the database, makes it if it is not there, and brings its tables up to date. A database of a newer program is refused.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if err := makeFile(cfg.Path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{path: cfg.Path, log: cfg.Log, turn: make(chan struct{}, 1), closed: make(chan struct{}), audited: make(chan struct{}, 1)}
	if err := s.open(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", cfg.Path, err), s.closeConnections())
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx)) // until Close
	s.stop = stop
	s.stopped.Go(func() { s.checkpointLoop(background) })
	return s, nil
}

func (s *Store) open(ctx context.Context, cfg Config) error {
	var err error
	if s.writer, err = sql.Open("sqlite", dsn(cfg.Path, manageBusy, "synchronous(FULL)", "wal_autocheckpoint(0)")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writer); err != nil {
		return err
	}
	if s.readers, err = sql.Open("sqlite", dsn(cfg.Path, manageBusy, "query_only(1)")); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(4)
	s.readers.SetMaxIdleConns(4)
	if s.spends, err = openSpender(s, cfg.Path, cfg.FullSync); err != nil {
		return err
	}
	if s.ledger, err = openLedger(s, cfg.Path); err != nil {
		return err
	}
	if s.ledgerReaders, err = sqlitex.NewPool(cfg.Path, sqlitex.PoolOptions{Flags: zombie.OpenReadOnly, PoolSize: usageReaders, PrepareConn: func(conn *zombie.Conn) error {
		conn.SetBusyTimeout(manageBusy)
		return nil
	}}); err != nil {
		return err
	}
	return s.ledger.fillSums(ctx)
}

// makeFile makes the database's file readable by its owner alone; SQLite gives its companions the same mode.
func makeFile(path string) error {
	if path == "" {
		return errors.New("no file is named")
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist): // not opened: closing it again would drop the locks that this process has on it
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s is not there", filepath.Dir(path))
	case err != nil:
		return err
	}
	return file.Close()
}

func dsn(path string, busy time.Duration, pragmas ...string) string {
	query := url.Values{"_txlock": {"immediate"}}
	query.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()))
	query.Add("_pragma", "journal_mode(WAL)")
	for _, p := range pragmas {
		query.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// Of processes that open a new database at once, one makes its tables, and the others may meet it halfway: they look again.
const (
	migrateTries = 20
	migratePause = 50 * time.Millisecond
)

// migrate brings the tables up to date. Each step is a transaction, so what fails has changed nothing.
func migrate(ctx context.Context, db *sql.DB) error {
	for try := 1; ; try++ {
		err := migrateOnce(ctx, db)
		if err == nil || errors.Is(err, errNewer) || try == migrateTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(migratePause):
		}
	}
}

var errNewer = errors.New("use the newer program")

func migrateOnce(ctx context.Context, db *sql.DB) error {
	if current(ctx, db) {
		return nil
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	if newest := sources[len(sources)-1].Version; have > newest {
		return fmt.Errorf("its tables are of version %d, this program knows up to %d: %w", have, newest, errNewer)
	}
	_, err = provider.Up(ctx)
	return err
}

// appliedSQL reads what goose notes of migrations; 0 is that of its own table.
const appliedSQL = `SELECT version_id, is_applied FROM ` + goose.DefaultTablename + ` WHERE version_id <> 0`

// current says whether exactly the migrations of this program have been applied, as goose notes them: then there is nothing to do, and
// one query has told so where goose needs several transactions. Whatever it does not understand, a database without tables too, is goose's.
func current(ctx context.Context, db *sql.DB) (is bool) {
	known, err := knownMigrations()
	if err != nil {
		return false
	}
	rows, err := db.QueryContext(ctx, appliedSQL)
	if err != nil {
		return false
	}
	defer func() { is = rows.Close() == nil && is }()
	applied := make(map[int64]bool, len(known))
	for rows.Next() {
		var version int64
		var done bool
		if err := rows.Scan(&version, &done); err != nil || !done || !known[version] {
			return false
		}
		applied[version] = true
	}
	return rows.Err() == nil && len(applied) == len(known)
}

// Close ends the store. Spends under way end first; what comes later is refused. To close it again changes nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.stop()
		s.stopped.Wait()
		s.ledger.mu.Lock()
		defer s.ledger.mu.Unlock()
		s.turn <- struct{}{} // for good
		close(s.closed)
		s.closeErr = s.closeConnections()
	})
	return s.closeErr
}

// errClosed is what a write after Close gets.
var errClosed = errors.New("the database is closed")

func (s *Store) closeConnections() error {
	var errs []error
	if s.spends != nil {
		errs = append(errs, s.spends.close())
	}
	if s.ledger != nil {
		errs = append(errs, s.ledger.close())
	}
	if s.ledgerReaders != nil {
		errs = append(errs, s.ledgerReaders.Close())
	}
	if s.mover != nil {
		errs = append(errs, s.mover.Close())
	}
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(errs...)
}

// Ping reads from the database, to tell whether it can be.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	return unavailable(s.readers.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM projects LIMIT 1)`).Scan(&n))
}

// write runs change, which may add audit entries, in one transaction that is on the disk when write returns.
func (s *Store) write(ctx context.Context, change func(tx *sql.Tx) error) error {
	if err := s.transact(ctx, change); err != nil {
		return err
	}
	select {
	case s.audited <- struct{}{}:
	default:
	}
	return nil
}

// transact runs change in one transaction that is on the disk when transact returns.
func (s *Store) transact(ctx context.Context, change func(tx *sql.Tx) error) (err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.closed:
		return unavailable(errClosed)
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}()
	if err := change(tx); err != nil {
		return err
	}
	return unavailable(tx.Commit())
}

// ignoreDone drops the error of a rollback that came after the transaction's end.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// unavailable marks a database's error as such; nil stays nil.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", llmproxy.ErrUnavailable, err)
}

// The log in front of the database is moved into it beside the requests, never by one of them.
const (
	checkpointEvery = time.Second
	checkpointAt    = 1 << 20               // bytes of log from which it is moved
	checkpointHard  = 32 << 20              // bytes from which writers wait a moment, so that it can begin anew
	checkpointBusy  = 20 * time.Millisecond // ... and how long at most, for those who read it or write
)

func (s *Store) checkpointLoop(ctx context.Context) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.checkpoint(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the database's log could not be moved into it", zap.Error(err))
		}
	}
}

// checkpoint moves the log into the database where it has grown. A state that somebody holds can be neither moved past nor overwritten.
func (s *Store) checkpoint(ctx context.Context) (err error) {
	if err := s.spends.letGo(); err != nil {
		return err
	}
	info, err := os.Stat(s.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < checkpointAt {
		return nil
	}
	if err != nil {
		return err
	}
	mode := "PASSIVE"
	if info.Size() >= checkpointHard {
		mode = "FULL" // another process's spends let go of their state too, or each would wait for the other's for ever
		s.turn <- struct{}{}
		defer func() { <-s.turn }()
		if err := s.spends.teller.letGo(); err != nil {
			return err
		}
	} else {
		defer func() { err = errors.Join(err, s.spends.letGo()) }()
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	if s.mover == nil {
		if s.mover, err = zombie.OpenConn(s.path, zombie.OpenReadWrite); err != nil {
			return err
		}
		s.mover.SetBusyTimeout(checkpointBusy)
	}
	s.mover.SetInterrupt(ctx.Done())
	return sqlitex.ExecuteTransient(s.mover, "PRAGMA wal_checkpoint("+mode+")", nil)
}
