package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sofatutor/llm-proxy/internal/manage"
)

// exportFlags are how a listing is exported.
type exportFlags struct {
	format, output, cursor string
	csv                    func(w io.Writer, goesOn bool) manage.CSV
}

// exportHelp says what is common to exports.
const exportHelp = `Cells of a CSV that a spreadsheet would take for a formula are quoted with an
apostrophe.

The server is asked for a page at a time, and again where it does not answer. A
file is there under its name once it is whole, and has ".part" behind it until
then. Where an export stops it says with which --cursor the same words go on: at
the end of what was written.`

func (x *exportFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&x.format, "format", "jsonl", "jsonl or csv")
	flags.StringVarP(&x.output, "output", "o", "-", "file to write; - is standard output")
	flags.StringVar(&x.cursor, "cursor", "", "go on where an export has stopped, which said this")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"jsonl", "csv"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("cursor", cobra.NoFileCompletions)
}

func (x *exportFlags) check() error {
	if x.format != "jsonl" && x.format != "csv" {
		return usageError("--format: %q is neither jsonl nor csv", x.format)
	}
	return nil
}

// span is the time that an export is narrowed to. A cursor belongs to it as it was sent, so one that was given as some time ago is told.
type span struct{ from, to *time.Time }

func (s span) String() (flags string) {
	if s.from != nil {
		flags += "--from " + s.from.Format(time.RFC3339Nano) + " "
	}
	if s.to != nil {
		flags += "--to " + s.to.Format(time.RFC3339Nano) + " "
	}
	return flags
}

// askPage asks for a page of a listing.
type askPage func(ctx context.Context, limit int64, cursor *string) (*http.Response, error)

// export writes all pages of a listing, newest first.
func (a *manageAPI) export(x *exportFlags, within span, page askPage) (err error) {
	out, err := openExport(a.cmd.OutOrStdout(), x.output, x.cursor != "")
	if err != nil {
		return err
	}
	written, last, cursor := 0, "", x.cursor
	show := progressOf(a.cmd, x.output)
	defer func() {
		show("")
		goesOn := written > 0 || x.cursor != ""
		err = out.close(err, goesOn)
		if err != nil && goesOn {
			err = fmt.Errorf("the export stopped after %d entries%s and is not whole: %w\nIt goes on with the same words and %s--cursor %s", written, last, err, within, cursor)
		}
	}()
	to := x.writer(out)
	for {
		items, next, err := a.pageAgain(page, cursor)
		if err != nil {
			return err
		}
		if err := to.Write(items); err != nil {
			return err
		}
		if err := out.whole(); err != nil {
			return err
		}
		written += len(items)
		last = lastOf(items)
		show(fmt.Sprintf("%d entries%s", written, last))
		if next == "" {
			return nil
		}
		cursor = next
	}
}

// lastOf says of when the last of some entries is.
func lastOf(items []json.RawMessage) string {
	var entry struct{ Time time.Time }
	if len(items) == 0 || json.Unmarshal(items[len(items)-1], &entry) != nil {
		return ""
	}
	return ", back to " + entry.Time.UTC().Format(time.RFC3339)
}

// exportTries are those of a page, exportPause is waited after the first of them, and twice as long after each.
const exportTries = 4

var exportPause = time.Second

// pageAgain asks for a page, and again if the server does not answer.
func (a *manageAPI) pageAgain(page askPage, cursor string) (items []json.RawMessage, next string, err error) {
	after := &cursor
	if cursor == "" {
		after = nil
	}
	for try := range exportTries {
		if try > 0 {
			select {
			case <-time.After(exportPause << (try - 1)):
			case <-a.cmd.Context().Done():
				return nil, "", err
			}
		}
		var body []byte
		var header http.Header
		body, header, err = a.call(func(ctx context.Context) (*http.Response, error) { return page(ctx, maxPage, after) })
		if err == nil {
			if err := json.Unmarshal(body, &items); err != nil {
				return nil, "", fmt.Errorf("%s answered with something that is no list: %w", a.origin, err)
			}
			next, err = nextCursor(header.Get("Link"))
			return items, next, err
		}
		if exitCode(err) != exitUnreachable {
			break
		}
	}
	return nil, "", err
}

// pageWriter takes pages as the API's JSON has them.
type pageWriter interface {
	Write(items []json.RawMessage) error
}

func (x *exportFlags) writer(out io.Writer) pageWriter {
	if x.format == "csv" {
		return x.csv(out, x.cursor != "")
	}
	return jsonLines{out}
}

// jsonLines writes each entry as a line, as the API has it.
type jsonLines struct{ out io.Writer }

func (l jsonLines) Write(items []json.RawMessage) error {
	var page bytes.Buffer
	for _, item := range items {
		if err := json.Compact(&page, item); err != nil {
			return err
		}
		page.WriteByte('\n')
	}
	_, err := l.out.Write(page.Bytes())
	return err
}

// exportFile is where an export goes: standard output, or a file that has its name once it is whole.
type exportFile struct {
	io.Writer
	file *os.File // nil is standard output
	name string
	end  int64 // of what is known to be whole pages
}

func openExport(stdout io.Writer, name string, goesOn bool) (*exportFile, error) {
	if name == "-" {
		return &exportFile{Writer: stdout}, nil
	}
	flags := os.O_CREATE | os.O_TRUNC | os.O_WRONLY
	if goesOn {
		flags = os.O_WRONLY
	}
	file, err := os.OpenFile(name+".part", flags, 0o600)
	if goesOn && errors.Is(err, os.ErrNotExist) {
		return nil, usageError("--output: %s.part, which an export has left, is not there", name)
	}
	if err != nil {
		return nil, err
	}
	x := &exportFile{Writer: file, file: file, name: name}
	if x.end, err = file.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return x, nil
}

// whole says that all that was written is whole pages.
func (x *exportFile) whole() (err error) {
	if x.file != nil {
		x.end, err = x.file.Seek(0, io.SeekCurrent)
	}
	return err
}

// close gives the file its name. After a failure whole pages are left under the other name, or nothing if keep is not set.
func (x *exportFile) close(failure error, keep bool) error {
	if x.file == nil {
		return failure
	}
	part := x.file.Name()
	if failure != nil && keep {
		failure = errors.Join(failure, x.file.Truncate(x.end))
	}
	if err := x.file.Close(); failure == nil {
		failure = err
	}
	switch {
	case failure == nil:
		return os.Rename(part, x.name)
	case !keep:
		return errors.Join(failure, os.Remove(part))
	}
	return failure
}

// progressOf shows on a terminal how far an export is, in a line that the next one replaces; an empty one ends it. It shows nothing where
// the export itself goes to a terminal.
func progressOf(cmd *cobra.Command, output string) func(text string) {
	if cmd.ErrOrStderr() != os.Stderr || !term.IsTerminal(int(os.Stderr.Fd())) || output == "-" && term.IsTerminal(int(os.Stdout.Fd())) {
		return func(string) {}
	}
	return func(text string) { fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text) }
}
