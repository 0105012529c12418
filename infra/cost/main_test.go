package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePageIsComputed(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(&out, "../..", false))
	page, err := os.ReadFile("../../docs/cost.md")
	require.NoError(t, err)
	require.Equal(t, out.String(), string(page), "run make generate")
}

func TestWhatCostsIsCounted(t *testing.T) {
	got := count(`Resources:
  One:
    Type: AWS::SecretsManager::Secret
  Two:
    Type: AWS::SecretsManager::Secret
    Condition: HasSite
    Properties: {}
  Three:
    Type: AWS::SecretsManager::Secret
    Condition: HasWebhook
  Alarm:
    Type: AWS::CloudWatch::Alarm
  Board:
    Type: AWS::CloudWatch::Dashboard
  Source:
    Type: AWS::Lambda::EventSourceMapping
  OneRule:
    Type: AWS::Events::Rule
  OtherRule:
    Type: AWS::Events::Rule
    Condition: HasLunary
  OtherAlarm:
    Type: AWS::CloudWatch::Alarm
    Condition: HasMetrics
  OtherBoard:
    Type: AWS::CloudWatch::Dashboard
    Condition: HasMetrics
  Secret:
    Type: AWS::SecretsManager::Secret
    Condition: HasMetrics
  Function:
    Type: AWS::Serverless::Function
          Properties: {Schedule: rate(1 hour)}
`)
	require.Equal(t, stack{secrets: 2, alarms: 1, dashboards: 1, queues: 1, hourly: 1, destinations: 1, metricAlarms: 1, metricDashboards: 1}, got)
}

func TestATableAddsUp(t *testing.T) {
	require.Equal(t, "| a month | |\n|---|---|\n| x | 1.20 |\n| y | 0.30 |\n| **sum** | **1.50** |\n", table("| a month | |", []line{{"x", "", 1.2}, {"y", "", 0.3}}))
	require.Equal(t, "| | how much | |\n|---|---|---|\n| x | 2 M | 1.20 |\n| **sum** | | **1.20** |\n", table("| | how much | |", []line{{"x", "2 M", 1.2}}))
	require.Equal(t, []string{"5.00", "0.10", "0.625", "0.0000133334"}, []string{shown(5), shown(0.1), shown(0.625), shown(0.0000133334)})
}

func TestEachDestinationHasThreeMetricsAndIsReadByFour(t *testing.T) {
	lines := metrics(stack{destinations: 2})
	require.Equal(t, "6", lines[0].much)
	require.InDelta(t, 1.80, lines[0].dollars, 1e-9)
	reads := lines[len(lines)-1]
	require.Contains(t, reads.what, "8 metrics a minute")
	require.InDelta(t, 0.8448, reads.dollars, 1e-9)
}

func TestPlacesAndTablesBelongTogether(t *testing.T) {
	const page = "a\n<!-- cost: idle -->\nold\n<!-- /cost -->\nb\n"
	filled, err := fill(page, map[string]string{"idle": "new\n"})
	require.NoError(t, err)
	require.Equal(t, "a\n<!-- cost: idle -->\nnew\n<!-- /cost -->\nb\n", filled)
	_, err = fill(page, map[string]string{"idle": "new\n", "other": ""})
	require.ErrorContains(t, err, `no place for "other"`)
	_, err = fill(page, map[string]string{})
	require.ErrorContains(t, err, `no table "idle"`)
	require.Panics(t, func() { price("moon") })
}

func TestItIsWrittenWhereItIsAskedTo(t *testing.T) {
	root := t.TempDir()
	require.ErrorContains(t, run(nil, root, true), "template.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(root, "template.yaml"), nil, 0o600))
	require.ErrorContains(t, run(nil, root, true), "cost.md")
	require.NoError(t, os.Mkdir(filepath.Join(root, "docs"), 0o700))
	path := filepath.Join(root, "docs", "cost.md")
	require.NoError(t, os.WriteFile(path, []byte("<!-- cost: idle -->\n<!-- /cost -->\n<!-- cost: million -->\n<!-- /cost -->\n<!-- cost: metrics -->\n<!-- /cost -->\n<!-- cost: prices -->\n<!-- /cost -->\n"), 0o600))
	require.NoError(t, run(nil, root, true))
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(page), "| Lambda, requests | 1 M | 0.20 |")
	require.Contains(t, string(page), "| alarm | 0 | 0.00 |", "of a template without any")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.Error(t, run(nil, root, true), "a page without places")
}
