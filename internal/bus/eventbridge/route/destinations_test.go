package route

import (
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestQueuesTellOfTheirDestinations(t *testing.T) {
	w := &cloud.Way{}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	clients := NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Retryer: func() aws.Retryer { return aws.NopRetryer{} }, Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""),
	})
	queue := server.URL + "/1/" + cloud.WayQueue
	d := NewDestinations(clients, map[string]string{"webhook": queue})
	w.Put(cloud.WayQueue, "a", "b")
	w.Put(cloud.WayDead, "c", "d", "e")
	all, err := d.Destinations(t.Context())
	require.NoError(t, err)
	two, three := int64(2), int64(3)
	require.Equal(t, []llmproxy.Destination{{Name: "webhook", Kind: "webhook", State: llmproxy.DestinationOK, Backlog: &two, DeadLetters: &three}}, all, "what nobody keeps is not told")

	all, err = NewDestinations(clients, map[string]string{"webhook": queue, "ledger": queue}).Destinations(t.Context())
	require.NoError(t, err)
	require.Equal(t, "ledger", all[0].Name)
	require.Contains(t, all[0].NoTest, "/manage/requests", "a test event would be passed over")
	require.Empty(t, all[1].NoTest)

	// A queue without one for its dead letters is no destination's; that it is wrong is seen beside the others.
	all, err = NewDestinations(clients, map[string]string{"webhook": queue, "s3": server.URL + "/1/" + cloud.WayDead}).Destinations(t.Context())
	require.NoError(t, err)
	require.Equal(t, llmproxy.DestinationFailing, all[0].State)
	require.Contains(t, all[0].LastError, "redrive policy")
	require.Nil(t, all[0].Backlog, "unknown, and not zero")
	require.Equal(t, llmproxy.DestinationOK, all[1].State)

	test, err := d.TestDestination(t.Context(), "webhook")
	require.NoError(t, err)
	require.Equal(t, llmproxy.TestQueued, test.Result)
	queued := w.In(cloud.WayQueue)[2].Body
	require.Equal(t, test.ID.String(), gjson.Get(queued, "detail.id").Str)
	require.True(t, gjson.Get(queued, "detail.test").Bool())

	letters, err := d.RedriveDestination(t.Context(), "webhook")
	require.NoError(t, err)
	require.EqualValues(t, 3, letters)
	require.Len(t, w.In(cloud.WayQueue), 6)
	w.Answer(nil, []string{"RUNNING"})
	_, err = d.RedriveDestination(t.Context(), "webhook")
	require.ErrorIs(t, err, llmproxy.ErrElsewhere)

	_, err = d.TestDestination(t.Context(), "pigeon")
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	_, err = d.RedriveDestination(t.Context(), "pigeon")
	require.ErrorIs(t, err, llmproxy.ErrNotFound)
	w.Refuse("SendMessage")
	_, err = d.TestDestination(t.Context(), "webhook")
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	w.Refuse("GetQueueAttributes")
	_, err = d.Destinations(t.Context())
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	_, err = d.RedriveDestination(t.Context(), "webhook")
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
	_, err = NewDestinations(clients, map[string]string{"webhook": queue}).Destinations(t.Context())
	require.ErrorIs(t, err, llmproxy.ErrUnavailable)
}
