package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// secretFor is how long a secret is used before it is read again: a new key holds after that.
const secretFor = 5 * time.Minute

// secretsReader is what is asked of Secrets Manager.
type secretsReader interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// readSecret returns the settings that a secret holds, in the form of an environment. No error quotes one of them.
func readSecret(ctx context.Context, secrets secretsReader, id string) ([]string, error) {
	out, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return nil, fmt.Errorf("read the destination's secret: %w", err)
	}
	var values map[string]string
	if out.SecretString == nil || json.Unmarshal([]byte(*out.SecretString), &values) != nil {
		return nil, fmt.Errorf("the secret %s is no JSON object of strings", id)
	}
	var environ []string
	for name, value := range values {
		if !isDestinationSetting(name) {
			return nil, fmt.Errorf("the secret %s has %q, which is no setting of a destination", id, name)
		}
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	return environ, nil
}

// ofDestinations are the settings that a secret may hold: what a destination is reached with. Where events come from is the template's.
var ofDestinations = []string{"Helicone", "Lunary", "Webhook"}

func isDestinationSetting(name string) bool {
	for field := range reflect.TypeFor[settings]().Fields() {
		if variable, _, _ := strings.Cut(field.Tag.Get("env"), ","); variable == name {
			return slices.ContainsFunc(ofDestinations, func(d string) bool { return strings.HasPrefix(field.Name, d) })
		}
	}
	return false
}
