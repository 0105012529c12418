package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// contentsID never changes, as physicalID.
const contentsID = "bucket-contents"

// contents is the custom resource that stands for what lies in the bucket: CloudFormation deletes no bucket with something in it. When the
// stack goes and its Retention is Delete, all of it is deleted, its older versions too.
func contents(ctx context.Context, client *s3.Client, e *cfn.Event) error {
	if e.RequestType != cfn.RequestDelete || e.ResourceProperties["Retention"] != "Delete" {
		return nil
	}
	bucket, ok := e.ResourceProperties["Bucket"].(string)
	if !ok || bucket == "" {
		return errors.New("the property Bucket is missing")
	}
	return empty(ctx, client, bucket)
}

// empty deletes all that is in a bucket, older versions and marks of deletions too. A bucket that is not there is empty.
func empty(ctx context.Context, client *s3.Client, bucket string) error {
	pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var failed smithy.APIError
		if errors.As(err, &failed) && failed.ErrorCode() == "NoSuchBucket" {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list what is in %s: %w", bucket, err)
		}
		var all []types.ObjectIdentifier
		for _, v := range page.Versions {
			all = append(all, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			all = append(all, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if err := remove(ctx, client, bucket, all); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes objects, or the versions that are named.
func remove(ctx context.Context, client *s3.Client, bucket string, objects []types.ObjectIdentifier) error {
	if len(objects) == 0 {
		return nil
	}
	out, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)}})
	if err != nil {
		return fmt.Errorf("delete what is in %s: %w", bucket, err)
	}
	if len(out.Errors) > 0 {
		return fmt.Errorf("delete %s in %s: %s", aws.ToString(out.Errors[0].Key), bucket, aws.ToString(out.Errors[0].Message))
	}
	return nil
}
