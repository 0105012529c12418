package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-lambda-go/cfn"

	"github.com/sofatutor/llm-proxy/internal/seal/rotate"
)

// physicalID never changes: another one would have CloudFormation delete what it thinks is the old resource.
const physicalID = "sealing-key"

// change derives the public key, after a rotation where the version was raised. A lower version, as in a rollback, changes nothing.
func change(ctx context.Context, keeper *rotate.Keeper, e *cfn.Event) (map[string]any, error) {
	version, err := sealingKeyVersion(e.ResourceProperties)
	if err != nil {
		return nil, err
	}
	if e.RequestType == cfn.RequestUpdate {
		before, err := sealingKeyVersion(e.OldResourceProperties)
		if err != nil {
			return nil, err
		}
		if version > before {
			if err := keeper.Rotate(ctx, fmt.Sprintf("%s version %d", e.StackID, version)); err != nil {
				return nil, err
			}
		}
	}
	public, err := keeper.PublicKey(ctx)
	return map[string]any{"PublicKey": public}, err
}

// sealingKeyVersion reads the property, which CloudFormation sends as text.
func sealingKeyVersion(properties map[string]any) (int, error) {
	version, err := strconv.Atoi(fmt.Sprint(properties["SealingKeyVersion"]))
	if err != nil || version < 1 {
		return 0, fmt.Errorf("SealingKeyVersion is %q, it must be a number from 1", fmt.Sprint(properties["SealingKeyVersion"]))
	}
	return version, nil
}
