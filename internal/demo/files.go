package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// uploaded is a file of a multipart request.
type uploaded struct {
	Field, Name string
	Size        int64
	SHA256      string // in hex

	content []byte
}

// maxField is how long a field of a form may be that is no file.
const maxField = 1 << 20

// readForm reads a multipart body; of any other it leaves everything.
func (c *call) readForm(body io.Reader) error {
	kind, params, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil //nolint:nilerr // it is not a form then, and endpoints that want one say so
	}
	c.form = map[string]string{}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the form: %w", err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("read the form's %q: %w", part.FormName(), err)
		}
		if part.FileName() == "" {
			if len(content) > maxField {
				return fmt.Errorf("the form's %q is longer than %d bytes", part.FormName(), maxField)
			}
			c.form[part.FormName()] = string(content)
			continue
		}
		sum := sha256.Sum256(content)
		c.files = append(c.files, uploaded{part.FormName(), part.FileName(), int64(len(content)), hex.EncodeToString(sum[:]), content})
	}
}

// formAsJSON is the JSON that says the same as a form: numbers and truth values are what they look like, the rest is text.
func formAsJSON(form map[string]string) []byte {
	members := map[string]any{}
	for name, field := range form {
		members[name] = field
		var v any
		if json.Unmarshal([]byte(field), &v) != nil {
			continue
		}
		switch v.(type) {
		case float64, bool:
			members[name] = v
		}
	}
	return encode(members)
}

type file struct {
	ID            string  `json:"id"`
	Object        string  `json:"object"`
	Bytes         int64   `json:"bytes"`
	CreatedAt     int64   `json:"created_at"`
	ExpiresAt     *int64  `json:"expires_at"`
	Filename      string  `json:"filename"`
	Purpose       string  `json:"purpose"`
	Status        string  `json:"status"`
	StatusDetails *string `json:"status_details"`

	content []byte
}

// files are the uploaded files, oldest first. Beyond maxKept bytes in all, or maxFiles, the oldest go; the newest one always stays.
type files struct {
	mu    sync.Mutex
	kept  []*file
	bytes int64
	ever  int
}

const (
	maxKept  = 16 << 20
	maxFiles = 1000
)

func (fs *files) add(f *file) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.ever++
	f.ID = fmt.Sprintf("file-demo-%06d", fs.ever)
	fs.kept = append(fs.kept, f)
	fs.bytes += f.Bytes
	for len(fs.kept) > 1 && (fs.bytes > maxKept || len(fs.kept) > maxFiles) {
		fs.bytes -= fs.kept[0].Bytes
		fs.kept = fs.kept[1:]
	}
}

// find returns the file, which may be taken out; nil if there is none.
func (fs *files) find(id string, remove bool) *file {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i := slices.IndexFunc(fs.kept, func(f *file) bool { return f.ID == id })
	if i < 0 {
		return nil
	}
	f := fs.kept[i]
	if remove {
		fs.kept = slices.Delete(fs.kept, i, i+1)
		fs.bytes -= f.Bytes
	}
	return f
}

func (fs *files) newestFirst() []*file {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	all := slices.Clone(fs.kept)
	slices.Reverse(all)
	return all
}

func uploadFile(p *provider, c *call) answer {
	switch {
	case len(c.files) == 0:
		return c.missing("file")
	case c.form["purpose"] == "":
		return c.missing("purpose")
	}
	up := c.files[0]
	f := &file{Object: "file", Bytes: up.Size, CreatedAt: time.Now().Unix(), Filename: up.Name, Purpose: c.form["purpose"], Status: "processed", content: up.content}
	p.files.add(f)
	return object(f)
}

func listFiles(p *provider, _ *call) answer {
	var l struct {
		Object  string  `json:"object"`
		Data    []*file `json:"data"`
		FirstID string  `json:"first_id,omitempty"`
		LastID  string  `json:"last_id,omitempty"`
		HasMore bool    `json:"has_more"`
	}
	l.Object, l.Data = "list", p.files.newestFirst()
	if len(l.Data) > 0 {
		l.FirstID, l.LastID = l.Data[0].ID, l.Data[len(l.Data)-1].ID
	} else {
		l.Data = []*file{}
	}
	return object(l)
}

func oneFile(p *provider, c *call) answer {
	if f := p.files.find(c.id, false); f != nil {
		return object(f)
	}
	return c.noFile()
}

func fileContent(p *provider, c *call) answer {
	f := p.files.find(c.id, false)
	if f == nil {
		return c.noFile()
	}
	a := plain(http.StatusOK, "application/octet-stream", nil)
	a.body, a.length = bytes.NewReader(f.content), f.Bytes
	a.header = http.Header{"Content-Disposition": {"attachment; filename=\"" + strings.Map(printable, f.Filename) + "\""}}
	return a
}

// printable leaves of a name what may stand in a header.
func printable(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return '_'
	}
	return r
}

func deleteFile(p *provider, c *call) answer {
	if p.files.find(c.id, true) == nil {
		return c.noFile()
	}
	return object(struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Deleted bool   `json:"deleted"`
	}{c.id, "file", true})
}

func (c *call) noFile() answer {
	return c.fail(http.StatusNotFound, "invalid_request_error", "", "No such File object: "+c.id)
}
