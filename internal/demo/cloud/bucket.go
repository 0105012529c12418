package cloud

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// object is what lies in a bucket. There is one version of each.
type object struct {
	body         []byte
	contentType  string
	cacheControl string
}

// bucket answers for a bucket that stands in the path. All buckets are there.
func (c *Cloud) bucket(w http.ResponseWriter, r *http.Request, body []byte) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	query := r.URL.Query()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Method == http.MethodPut && key != "" && !strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked"):
		if c.objects == nil {
			c.objects = map[string]object{}
		}
		c.objects[path] = object{body, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control")}
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodGet && key != "":
		c.getObject(w, path)
	case r.Method == http.MethodGet && query.Get("list-type") == "2":
		c.list(w, "ListBucketResult", "Contents", bucket)
	case r.Method == http.MethodGet && query.Has("versions"):
		c.list(w, "ListVersionsResult", "Version", bucket)
	case r.Method == http.MethodPost && query.Has("delete"):
		c.deleteObjects(w, bucket, body)
	default:
		refuse(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (c *Cloud) getObject(w http.ResponseWriter, path string) {
	o, ok := c.objects[path]
	if !ok { // as to whom may not list
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code></Error>")) // the caller may have gone
		return
	}
	w.Header().Set("Content-Type", o.contentType)
	if o.cacheControl != "" {
		w.Header().Set("Cache-Control", o.cacheControl)
	}
	_, _ = w.Write(o.body) // as above
}

// list names what is in a bucket, on one page.
func (c *Cloud) list(w http.ResponseWriter, result, element, bucket string) {
	var out strings.Builder
	fmt.Fprintf(&out, "<%s><IsTruncated>false</IsTruncated>", result)
	for _, path := range slices.Sorted(maps.Keys(c.objects)) {
		if key, in := strings.CutPrefix(path, bucket+"/"); in {
			fmt.Fprintf(&out, "<%s><Key>", element)
			_ = xml.EscapeText(&out, []byte(key)) // a builder takes all
			fmt.Fprintf(&out, "</Key><VersionId>null</VersionId></%s>", element)
		}
	}
	fmt.Fprintf(&out, "</%s>", result)
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write([]byte(out.String())) // the caller may have gone
}

func (c *Cloud) deleteObjects(w http.ResponseWriter, bucket string, body []byte) {
	var in struct {
		Object []struct{ Key string }
	}
	if xml.Unmarshal(body, &in) != nil {
		refuse(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	for _, o := range in.Object {
		delete(c.objects, bucket+"/"+o.Key)
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write([]byte("<DeleteResult/>")) // the caller may have gone
}
