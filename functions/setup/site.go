package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// site is the custom resource that stands for the admin site in its bucket. Its id is the bucket's name: with another bucket
// CloudFormation has the one before emptied, which it could not delete otherwise. Files are the built site.
func site(ctx context.Context, client *s3.Client, files fs.FS, e *cfn.Event) (id string, err error) {
	switch bucket, _ := e.ResourceProperties["Bucket"].(string); {
	case e.RequestType == cfn.RequestDelete && e.PhysicalResourceID == noSite:
		return noSite, nil
	case e.RequestType == cfn.RequestDelete:
		return e.PhysicalResourceID, empty(ctx, client, e.PhysicalResourceID)
	case bucket == "":
		return cmp.Or(e.PhysicalResourceID, noSite), errors.New("the property Bucket is missing")
	default:
		return bucket, publish(ctx, client, bucket, files)
	}
}

// noSite is the id of a site that never had a bucket. None can have that name.
const noSite = "no_site"

// The page that the distribution serves at its root, and what takes its place where the site was not built.
const (
	index       = "index.html"
	placeholder = "placeholder.html"
)

// object is a file of the site as it lies in the bucket.
type object struct{ key, file string }

// objects are the files, the page last: when it is there, all that it loads is.
func objects(files fs.FS) ([]object, error) {
	var all []object
	page := ""
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "."): // hidden ones are the build's own
			return err
		case name == index, name == placeholder && page == "": // the walk is in order, so a real page comes first
			page = name
		case name != placeholder:
			all = append(all, object{name, name})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the site: %w", err)
	}
	if page == "" {
		return nil, fmt.Errorf("the site has no %s", index)
	}
	return append(all, object{index, page}), nil
}

// publish puts the files into the bucket and takes away what is no longer among them. The page comes after what it loads, and what the
// one before has loaded goes last.
func publish(ctx context.Context, client *s3.Client, bucket string, files fs.FS) error {
	all, err := objects(files)
	if err != nil {
		return err
	}
	current := map[string]bool{}
	for _, o := range all {
		current[o.key] = true
		content, err := fs.ReadFile(files, o.file)
		if err != nil {
			return fmt.Errorf("read the site: %w", err)
		}
		_, err = client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &bucket, Key: &o.key, Body: bytes.NewReader(content), ContentType: aws.String(contentType(o.key)), CacheControl: aws.String(cacheControl(o.key)),
		})
		if err != nil {
			return fmt.Errorf("put %s into %s: %w", o.key, bucket, err)
		}
	}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list what is in %s: %w", bucket, err)
		}
		var old []types.ObjectIdentifier
		for _, o := range page.Contents {
			if !current[aws.ToString(o.Key)] {
				old = append(old, types.ObjectIdentifier{Key: o.Key})
			}
		}
		if err := remove(ctx, client, bucket, old); err != nil {
			return err
		}
	}
	return nil
}

// cacheControl lets browsers and the distribution keep what has its hash in its name for good, and ask about the rest each time.
func cacheControl(name string) string {
	if strings.HasPrefix(name, "assets/") {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// contentTypes are told with each object: browsers are told not to guess, and mime's table is that of the machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".wasm": "application/wasm",
}

func contentType(name string) string {
	if kind, ok := contentTypes[strings.ToLower(path.Ext(name))]; ok {
		return kind
	}
	return "application/octet-stream"
}
