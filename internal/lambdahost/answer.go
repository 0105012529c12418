package lambdahost

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// streamType is the content type of an answer that begins with its head in JSON.
const streamType = "application/vnd.awslambda.http-integration-response"

// maxHead is the most that the head of an answer may have in bytes, with the eight zero bytes that end it.
const maxHead = 16 << 10

// head is what a function says of its answer.
type head struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Cookies []string          `json:"cookies"`
}

// errHead is an answer that is none.
var errHead = errors.New("the answer does not begin with a head of 16 KB at most and eight zero bytes")

// sendStream passes an answer on as it comes. One that breaks off after its head is broken off for the client too. A client that has
// gone changes nothing for the function: it is read to its end.
func (d *door) sendStream(w http.ResponseWriter, answer *result) {
	in := bufio.NewReaderSize(answer.body, maxHead)
	begin := head{Status: http.StatusOK}
	if answer.contentType == streamType {
		var err error
		if begin, err = readHead(in); err != nil {
			_, _ = io.Copy(io.Discard, in)
			d.fail(w, d.statusOf(err))
			return
		}
	}
	writeHead(w, begin)
	flusher, _ := w.(http.Flusher)
	flusher.Flush()
	buf := make([]byte, 32<<10)
	gone := false
	for {
		n, err := in.Read(buf)
		if n > 0 && !gone {
			_, writeErr := w.Write(buf[:n])
			gone = writeErr != nil && !errors.Is(writeErr, http.ErrBodyNotAllowed)
			flusher.Flush()
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			d.host.log.printf("an answer broke off: %v", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// readHead reads up to the eight zero bytes.
func readHead(in *bufio.Reader) (head, error) {
	var raw []byte
	zeros := 0
	for zeros < 8 {
		c, err := in.ReadByte()
		if err != nil {
			if err == io.EOF {
				err = errHead
			}
			return head{}, err
		}
		if c == 0 {
			zeros++
			continue
		}
		if zeros > 0 || len(raw) == maxHead {
			return head{}, errHead
		}
		raw = append(raw, c)
	}
	h := head{Status: http.StatusOK}
	if err := json.Unmarshal(raw, &h); err != nil {
		return head{}, errHead
	}
	if h.Status < 200 || h.Status > 599 {
		return head{}, errHead
	}
	return h, nil
}

// remapped are headers of an answer that the platform keeps for itself and hands on under another name.
var remapped = map[string]bool{"Content-Length": true, "Connection": true, "Date": true, "Server": true, "Www-Authenticate": true}

// writeHead gives the client status and headers.
func writeHead(w http.ResponseWriter, h head) {
	out := w.Header()
	for name, value := range h.Headers {
		name = http.CanonicalHeaderKey(name)
		switch {
		case remapped[name]:
			out.Set("X-Amzn-Remapped-"+name, value)
		case !hopByHop[name]:
			out.Set(name, value)
		}
	}
	if out.Get("Content-Type") == "" {
		out.Set("Content-Type", "application/octet-stream")
	}
	for _, cookie := range h.Cookies {
		out.Add("Set-Cookie", cookie)
	}
	w.WriteHeader(h.Status)
}

// sendWhole gives the client the answer of a function behind an API. One that has no status code is itself the body.
func (d *door) sendWhole(w http.ResponseWriter, answer *result) {
	raw, err := io.ReadAll(answer.body)
	if err != nil {
		d.fail(w, d.statusOf(err))
		return
	}
	var told struct {
		head
		Body   string `json:"body"`
		Base64 bool   `json:"isBase64Encoded"`
	}
	body := raw
	if err := json.Unmarshal(raw, &told); err != nil || told.Status == 0 {
		told.head = head{Status: http.StatusOK, Headers: map[string]string{"content-type": "application/json"}}
	} else if body = []byte(told.Body); told.Base64 {
		if body, err = base64.StdEncoding.DecodeString(told.Body); err != nil {
			d.fail(w, d.failure)
			return
		}
	}
	if told.Status < 200 || told.Status > 599 {
		d.fail(w, d.failure)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	writeHead(w, told.head)
	_, _ = w.Write(body) //nolint:gosec // what the function answers is its own; the client may have gone
}
