package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// makeIt is what to do where nothing has been set up yet.
const makeIt = "llm-proxy setup, or to try it without a key: llm-proxy server --demo"

func (d *doctor) checkDataFolder(context.Context) {
	const check = "data folder"
	dir := d.settings.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail(check, makeIt, "%s is not there", dir)
		return
	case err != nil:
		d.fail(check, "give this user access to it", "%v", err)
		return
	case !info.IsDir():
		d.fail(check, "choose another with "+settingName("LLM_PROXY_DATA_DIR"), "%s is no folder", dir)
		return
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		d.fail(check, "run the server and this as the user who owns it", "%s cannot be written to: %v", dir, err)
		return
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		d.fail(check, "look at the disk", "%v", err)
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		d.warn(check, "chmod 700 "+dir, "%s has mode %04o: others can see what is in it", dir, mode)
		return
	}
	d.ok(check, "%s", dir)
}

func (d *doctor) checkKeyFile(context.Context) {
	const check = "key file"
	if d.settings.Store != storeSQLite {
		d.skip(check, "LLM_PROXY_STORE is %s: its keys are in Secrets Manager", d.settings.Store)
		return
	}
	path := keyFilePath(d.settings.DataDir)
	keys, err := readKeys(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail(check, makeIt, "%s is not there: provider keys can neither be sealed nor opened", path)
	case err != nil:
		fix := "restore it from a backup"
		if info, statErr := os.Stat(path); statErr == nil && info.Mode().Perm()&0o077 != 0 {
			fix = "chmod 600 " + path
		}
		d.fail(check, fix, "%v", err)
	default:
		d.keys = &keys
		d.ok(check, "%s, readable by its owner alone", path)
	}
}

// leastVariety is how many different characters a credential of chance has at least.
const leastVariety = 8

func (d *doctor) checkOperators(context.Context) {
	const check = "management credentials"
	fix := "llm-proxy setup makes good ones; or set MANAGEMENT_TOKEN (openssl rand -base64 32) and ADMIN_PASSWORD"
	var keys keyFile
	if d.keys != nil {
		keys = *d.keys
	}
	o, err := findOperators(d.settings, keys)
	if err != nil {
		problem, _, _ := strings.Cut(err.Error(), "\n")
		d.fail(check, fix, "a server refuses to start: %s", strings.TrimSuffix(problem, "."))
		return
	}
	for name, secret := range map[string]llmproxy.Secret{"MANAGEMENT_TOKEN": o.token, "ADMIN_PASSWORD": o.password} {
		different := map[rune]bool{}
		for _, r := range secret.Reveal() {
			different[r] = true
		}
		if len(different) < leastVariety {
			d.warn(check, fix, "%s is long enough, and easy to guess: it has %d different characters", name, len(different))
			return
		}
	}
	d.ok(check, "long enough")
}

// examineFor is how long reading a whole database may take.
const examineFor = 2 * time.Minute

func (d *doctor) checkDatabase(ctx context.Context) {
	const check = "database"
	if d.settings.Store != storeSQLite {
		d.skip(check, "LLM_PROXY_STORE is %s: the server's /health says whether it answers", d.settings.Store)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examineFor)
	defer cancel()
	path := d.settings.DB
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.fail(check, makeIt, "%s is not there", path)
		return
	}
	if err != nil {
		d.fail(check, "give this user access to it", "%v", err)
		return
	}
	x, err := sqlite.Examine(ctx, path)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		d.warn(check, "sqlite3 "+path+" 'PRAGMA quick_check'", "%s of %s could not be read within %s", path, humanize.IBytes(uint64(info.Size())), examineFor)
		return
	case err != nil:
		d.fail(check, "restore it from a backup", "%s cannot be read: %v", path, err)
		return
	case len(x.Problems) > 0:
		d.fail(check, "stop the server and restore it from a backup", "%s is damaged: %s", path, strings.Join(x.Problems, "; "))
		return
	case x.Version > x.Newest:
		d.fail(check, "use the newer program", "%s has tables of version %d, this program knows up to %d", path, x.Version, x.Newest)
		return
	case x.Version < x.Newest:
		d.warn(check, "start the server: it brings them up to date; make a copy before", "%s has tables of version %d, this program wants %d", path, x.Version, x.Newest)
		return
	}
	d.current = true
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		d.warn(check, "chmod 600 "+path+"*", "%s has mode %04o: others can read it", path, mode)
		return
	}
	d.ok(check, "%s is whole, tables of version %d, %s", path, x.Version, humanize.IBytes(uint64(info.Size())))
}

// mostNamed is how many things of a kind are named in one finding.
const mostNamed = 3

func (d *doctor) checkProviderKeys(ctx context.Context) {
	const check = "provider keys"
	if d.keys == nil || !d.current {
		d.skip(check, "they need key file and database")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examineFor)
	defer cancel()
	store, err := sqlite.Open(ctx, sqlite.Config{Path: d.settings.DB})
	if err != nil {
		d.fail(check, "see the line about the database", "%v", err)
		return
	}
	defer func() {
		if err := store.Close(); err != nil {
			d.fail(check, "see the line about the database", "%v", err)
		}
	}()
	opener := seal.NewOpener(seal.Static(llmproxy.NewSecret(d.keys.SealingSecret)))
	opened, references := 0, 0
	var broken []string
	var page llmproxy.Page
	for more := true; more; {
		var projects []llmproxy.Project
		if projects, more, err = store.Projects(ctx, llmproxy.ProjectFilter{}, page); err != nil {
			d.fail(check, "see the line about the database", "%v", err)
			return
		}
		for i := range projects {
			page.After = projects[i].ID.UUID
			d.used[projects[i].Provider] = projects[i].Name
			switch _, err := opener.Open(ctx, &projects[i]); {
			case projects[i].KeyRef != "":
				references++
			case err != nil:
				broken = append(broken, fmt.Sprintf("%q (%s)", projects[i].Name, projects[i].ID))
			default:
				opened++
			}
		}
	}
	switch {
	case len(broken) > 0:
		named := strings.Join(broken[:min(len(broken), mostNamed)], ", ")
		if len(broken) > mostNamed {
			named += " and others"
		}
		d.fail(check, "restore the key file that goes with this database, or set the provider keys of these projects anew", "the sealing key does not open %d of %d: projects %s", len(broken), len(broken)+opened, named)
	case opened+references == 0:
		d.warn(check, makeIt, "there is no project yet")
	case references > 0:
		d.warn(check, "set the keys of these projects themselves: a server on one machine reads no references", "%d open, %d are references to secrets elsewhere", opened, references)
	default:
		d.ok(check, "the sealing key opens every one (%d)", opened)
	}
}

// Backlogs from which a destination is behind.
const (
	oldBacklog = 10 * time.Minute
	bigBacklog = 1 << 30 // bytes; the spool keeps 10 GiB
)

func (d *doctor) checkSpool(context.Context) {
	dir := spoolDir(d.settings.DataDir)
	names, err := spool.Followers(dir)
	if err != nil {
		d.fail("events", "give this user access to "+dir, "%v", err)
		return
	}
	if d.settings.EventLog != "" && !slices.Contains(names, eventLogName) {
		names = append(names, eventLogName)
	}
	if len(names) == 0 {
		d.ok("events", "no destination follows")
	}
	for _, name := range names {
		d.checkBacklog(dir, name)
	}
}

// eventLogName is the follower that writes the event log.
const eventLogName = "file"

func (d *doctor) checkBacklog(dir, name string) {
	check := "events for " + name
	bytes, oldest, _, err := spool.Backlog(dir, name)
	size := humanize.IBytes(uint64(bytes))
	age := d.now().Sub(oldest).Round(time.Second)
	start := "start llm-proxy dispatcher for it; if it is not wanted any more, remove its cursor files in " + dir
	if name == eventLogName {
		start = "start the server with " + settingName("LLM_PROXY_EVENT_LOG") + ": it delivers them"
	}
	if name == ledgerName {
		start = "start the server: it keeps the ledger"
	}
	switch {
	case err != nil:
		d.fail(check, "look at the files in "+dir, "%v", err)
	case bytes > bigBacklog:
		d.fail(check, start+", or see in its log why they are not taken; beyond 10 GiB the oldest are lost", "%s wait to be delivered", size)
	case !oldest.IsZero() && age > oldBacklog:
		d.warn(check, start+", or see in its log why they are not taken", "%s wait to be delivered, the oldest event for %s", size, age)
	default:
		d.ok(check, "%s wait to be delivered", size)
	}
}

func (d *doctor) checkDeadLetters(context.Context) {
	const check = "dead letters"
	names, err := spool.Followers(spoolDir(d.settings.DataDir))
	if err != nil {
		return // told with the events
	}
	if !slices.Contains(names, eventLogName) {
		names = append(names, eventLogName)
	}
	found := false
	for _, name := range names {
		found = d.countDeadLetters(check, name) || found
	}
	if !found {
		d.ok(check, "none")
	}
}

// countDeadLetters tells of a dispatcher's dead letters and reports whether there was anything to tell.
func (d *doctor) countDeadLetters(check, name string) bool {
	path := dispatch.DeadLettersPath(d.settings.DataDir, name)
	files, err := dispatch.DeadLetterFiles(path)
	total := 0
	for _, file := range files {
		n, countErr := countLines(file)
		if errors.Is(countErr, fs.ErrNotExist) {
			continue
		}
		total += n
		err = errors.Join(err, countErr)
	}
	switch {
	case err != nil:
		d.warn(check, "give this user access to it", "%v", err)
	case total > 0:
		d.warn(check, "see why: llm-proxy dispatcher dead-letters list --name "+name+"; when the reason is gone, llm-proxy dispatcher redrive with the dispatcher's settings",
			"events given up for %s: %d, in %s", name, total, path)
	default:
		return false
	}
	return true
}

func countLines(path string) (n int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 64<<10)
	for {
		chunk, err := r.ReadSlice('\n')
		switch {
		case err == nil:
			n++
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(chunk) > 0 {
				n++
			}
			return n, nil
		default:
			return n, err
		}
	}
}

func (d *doctor) checkEventLog(context.Context) {
	const check = "event log"
	path := d.settings.EventLog
	if path == "" {
		d.skip(check, "none is set; %s names one", settingName("LLM_PROXY_EVENT_LOG"))
		return
	}
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		d.fail(check, "mkdir -p "+folder, "the folder %s is not there", folder)
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if file, err = os.CreateTemp(folder, ".doctor-*"); err == nil {
			defer os.Remove(file.Name())
		}
	}
	if err != nil {
		d.fail(check, "give the server's user access to it", "%s cannot be written to: %v", path, err)
		return
	}
	_ = file.Close()
	d.ok(check, "%s can be written to", path)
}

// Free disk space below which it is time to act.
const (
	littleSpace = 1 << 30
	noSpace     = 100 << 20
)

func (d *doctor) checkDisk(context.Context) {
	const check = "disk space"
	free, err := freeSpace(d.settings.DataDir)
	fix := "make room, or move the data to a larger disk"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.skip(check, "the data folder is not there")
	case err != nil:
		d.warn(check, "look with df", "%v", err)
	case free < noSpace:
		d.fail(check, fix, "%s are free at %s: events are lost when there is none", humanize.IBytes(free), d.settings.DataDir)
	case free < littleSpace:
		d.warn(check, fix, "%s are free at %s", humanize.IBytes(free), d.settings.DataDir)
	default:
		d.ok(check, "%s are free", humanize.IBytes(free))
	}
}
