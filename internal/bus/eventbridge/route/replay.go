package route

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// Settled is how long after an event its archive has it for sure.
const Settled = 10 * time.Minute

// Progress is how far a replay is.
type Progress struct {
	Name  string    // of the replay
	State string    // as AWS has it: STARTING, RUNNING, COMPLETED, ...
	Until time.Time // of the last event that was replayed; zero if there was none yet
}

// Replay brings the archived events of a time to the route's rule, and to no other, once more. It returns when that is done, and tells
// now and then how far it is. When ctx ends the replay goes on. Without an archive that is [ErrNotFound].
func (r *Route) Replay(ctx context.Context, from, to time.Time, progress func(Progress)) error {
	archive, err := r.archive(ctx)
	if err != nil {
		return err
	}
	name := "llm-proxy-" + time.Now().UTC().Format("20060102T150405.000")
	if _, err := r.clients.Bus.StartReplay(ctx, &eventbridge.StartReplayInput{
		ReplayName: &name, EventSourceArn: &archive, EventStartTime: &from, EventEndTime: &to,
		Destination: &ebtypes.ReplayDestination{Arn: &r.bus, FilterArns: []string{r.rule}},
	}); err != nil {
		return fmt.Errorf("start a replay of %s to the rule %s: %w", archive, r.rule, err)
	}
	for {
		out, err := r.clients.Bus.DescribeReplay(ctx, &eventbridge.DescribeReplayInput{ReplayName: &name})
		if err != nil {
			return fmt.Errorf("ask how far the replay %s is: %w", name, err)
		}
		progress(Progress{Name: name, State: string(out.State), Until: aws.ToTime(out.EventLastReplayedTime)})
		switch out.State {
		case ebtypes.ReplayStateCompleted:
			return nil
		case ebtypes.ReplayStateFailed, ebtypes.ReplayStateCancelled:
			return fmt.Errorf("the replay %s: %s: %s", name, out.State, aws.ToString(out.StateReason))
		}
		if err := wait(ctx, pollEvery); err != nil {
			return fmt.Errorf("the replay %s goes on on AWS: %w", name, err)
		}
	}
}

// archive is the ARN of the bus's archive; of several, one that takes events.
func (r *Route) archive(ctx context.Context) (string, error) {
	if r.bus == "" {
		return "", fmt.Errorf("a bus of the queue %s: %w; name the bus", r.Queue, ErrNotFound)
	}
	out, err := r.clients.Bus.ListArchives(ctx, &eventbridge.ListArchivesInput{EventSourceArn: &r.bus})
	if err != nil {
		return "", fmt.Errorf("look for archives of the bus %s: %w", r.bus, err)
	}
	for _, a := range out.Archives {
		if a.State != ebtypes.ArchiveStateEnabled {
			continue
		}
		found, err := r.clients.Bus.DescribeArchive(ctx, &eventbridge.DescribeArchiveInput{ArchiveName: a.ArchiveName})
		if err != nil {
			return "", fmt.Errorf("look at the archive %s: %w", aws.ToString(a.ArchiveName), err)
		}
		return aws.ToString(found.ArchiveArn), nil
	}
	return "", fmt.Errorf("an archive of the bus %s: %w, so nothing of it can be replayed", r.bus, ErrNotFound)
}
