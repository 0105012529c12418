package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// letter is a line of the dead letters.
type letter struct {
	Time        time.Time
	Destination string
	Reason      string
	Attempts    int
	Event       llmproxy.Event
}

func letters(t *testing.T, path string) []letter {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	var all []letter
	for line := range strings.Lines(string(data)) {
		var l letter
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		all = append(all, l)
	}
	return all
}

// running is a loop at work, inside a bubble where time is the test's.
type running struct {
	*Loop
	stop func() error
	dead string
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	cfg.Name = "backend"
	if cfg.DeadLetters == "" {
		cfg.DeadLetters = filepath.Join(t.TempDir(), "dead.jsonl")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	l := New(cfg)
	go func() { ended <- l.Run(ctx) }()
	return &running{l, func() error { cancel(); return <-ended }, cfg.DeadLetters}
}

func TestEventsArriveInOrderWithTheirUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(requests(250)...), &scripted{}
		r := run(t, Config{Source: src, Destination: dst})
		synctest.Wait()
		require.Equal(t, idsOf(requests(250)), dst.ids())
		require.Equal(t, 250, src.committed())
		require.Equal(t, 3, src.commits, "batches of 100")
		require.Equal(t, "gpt-4o", dst.took[0].Model)
		require.EqualValues(t, 7, *dst.took[0].Usage.Total)
		require.Nil(t, dst.took[0].Response.Body, "bodies go only where they are wanted")
		require.Nil(t, dst.took[0].Request.Body)

		src.add(request(250))
		synctest.Wait()
		require.Equal(t, 251, src.committed(), "an event that comes later")
		s := r.Stats()
		require.Equal(t, Stats{Since: s.Since, Delivered: 251, LastDelivery: s.LastDelivery}, s)
		require.Equal(t, time.Now(), s.LastDelivery)
		require.NoError(t, r.stop())
		require.True(t, dst.closed)
	})
}

func TestBodiesGoWhereTheyAreWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &scripted{bodies: true}
		r := run(t, Config{Source: newSource(request(0)), Destination: dst})
		synctest.Wait()
		require.NotNil(t, dst.took[0].Response.Body)
		require.NotNil(t, dst.took[0].Request.Body)
		require.NoError(t, r.stop())
	})
}

func TestFailuresAreTriedAgainAndNothingIsCommittedMeanwhile(t *testing.T) {
	for name, fails := range map[string]answer{"answers 500": answers500, "hangs": hangs, "answers 429": answers429After(0), "says nothing": takesNone} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logs := observer.New(zap.InfoLevel)
				src, dst := newSource(requests(3)...), &scripted{answers: []answer{fails, fails, fails}}
				r := run(t, Config{Source: src, Destination: dst, Log: zap.New(core)})
				pass(time.Millisecond)
				synctest.Wait()
				require.Zero(t, src.committed())
				if name != "hangs" {
					s := r.Stats()
					require.True(t, s.Failing)
					require.NotEmpty(t, s.LastError)
					require.Equal(t, 3, s.Pending)
					require.Equal(t, born, s.Oldest)
				}

				pass(5 * time.Minute)
				require.Equal(t, idsOf(requests(3)), dst.ids())
				require.Equal(t, 3, src.committed())
				require.Len(t, dst.calls, 4)
				s := r.Stats()
				require.EqualValues(t, 9, s.Retried)
				require.EqualValues(t, 3, s.Delivered)
				require.False(t, s.Failing)
				require.Zero(t, s.Pending)
				require.NotEmpty(t, s.LastError, "it is still told")
				require.Equal(t, 1, logs.FilterMessage("events are not delivered; they are kept and tried again").Len(), "one line, not one per try")
				require.Equal(t, 1, logs.FilterMessage("events are delivered again").Len())
				require.NoError(t, r.stop())
				require.Empty(t, letters(t, r.dead))
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &scripted{answers: []answer{answers429After(17 * time.Minute), answers429After(1000 * time.Hour)}}
		r := run(t, Config{Source: newSource(request(0)), Destination: dst})
		pass(17*time.Minute - 1)
		require.Equal(t, 1, dst.count())
		pass(2)
		synctest.Wait()
		require.Equal(t, 2, dst.count())
		pass(maxRetryAfter - time.Second)
		require.Equal(t, 2, dst.count())
		pass(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 3, dst.count(), "nobody stops us for longer than an hour")
		require.NoError(t, r.stop())
	})
}

func TestWaitsGrowWithFullJitterUpToTheirMost(t *testing.T) {
	l := New(Config{MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second})
	for failures, most := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 100: time.Second} {
		var least, longest time.Duration = time.Hour, 0
		for range 2000 {
			d := l.backoff(failures)
			least, longest = min(least, d), max(longest, d)
		}
		require.LessOrEqual(t, longest, most)
		require.Greater(t, longest, most*9/10, "after %d failures", failures)
		require.Less(t, least, most/10)
		require.Positive(t, least)
	}
}

func TestWhatWasTakenOfABatchIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &scripted{answers: []answer{takesFirst(2), takesFirst(1)}}
		src := newSource(requests(5)...)
		r := run(t, Config{Source: src, Destination: dst})
		pass(time.Minute)
		ids := idsOf(requests(5))
		require.Equal(t, [][]llmproxy.EventID{ids, ids[2:], ids[3:]}, dst.calls)
		require.Equal(t, 5, src.committed())
		require.NoError(t, r.stop())
	})
}

func TestPoisonGoesToTheDeadLettersAndDoesNotStopTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := requests(6)
		events[3].Path = "/v1/\x1b[31m\r\n\u202e"
		dst := &scripted{answers: []answer{answers500, refuses(events[1].ID, events[3].ID)}}
		src := newSource(events...)
		r := run(t, Config{Source: src, Destination: dst})
		pass(time.Minute)
		require.Equal(t, idsOf([]*llmproxy.Event{events[0], events[2], events[4], events[5]}), dst.ids())
		require.Equal(t, 6, src.committed())
		require.EqualValues(t, 2, r.Stats().Dead)
		require.NoError(t, r.stop())

		dead := letters(t, r.dead)
		require.Len(t, dead, 2)
		require.Equal(t, events[1].ID, dead[0].Event.ID)
		require.Equal(t, "backend", dead[0].Destination)
		require.Equal(t, `400: "/v1/chat/completions" is not welcome`, dead[0].Reason)
		require.Equal(t, 2, dead[0].Attempts)
		require.Equal(t, "gpt-4o", dead[0].Event.Model, "with what was read")
		require.Nil(t, dead[0].Event.Response.Body)
		require.Equal(t, events[3].Path, dead[1].Event.Path)
		info, err := os.Stat(r.dead)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	})
}

func TestAnEventThatFailsTooOftenIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &scripted{answers: []answer{takesFirst(1), answers500, answers500}}
		src := newSource(requests(3)...)
		r := run(t, Config{Source: src, Destination: dst, MaxAttempts: 3})
		pass(time.Minute)
		require.Equal(t, 3, src.committed())
		require.NoError(t, r.stop())
		dead := letters(t, r.dead)
		require.Len(t, dead, 2)
		require.Equal(t, "given up after 3 attempts: Internal Server Error", dead[0].Reason)
		require.Len(t, dst.calls, 3)
	})
}

func TestDeadLettersThatCannotBeWrittenHoldTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "later", "dead.jsonl")
		dst := &scripted{answers: slices.Repeat([]answer{refuses(request(1).ID)}, 200)} // more than tries, however short the random waits are
		src := newSource(requests(2)...)
		r := run(t, Config{Source: src, Destination: dst, DeadLetters: path, MaxBackoff: time.Second})
		pass(3 * time.Second)
		require.Zero(t, src.committed(), "an event is neither delivered nor kept elsewhere")
		require.True(t, r.Stats().Failing)
		require.Zero(t, r.Stats().Dead)
		require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
		pass(3 * time.Second)
		require.Equal(t, 2, src.committed())
		require.NoError(t, r.stop())
		require.Len(t, letters(t, path), 1)
	})
}

func TestADeadLetterIsNotWrittenAgainAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(requests(4)...)
		src.failNextCommits = 1 << 30 // killed before the commit
		poison := refuses(request(1).ID, request(2).ID)
		r := run(t, Config{Source: src, Destination: &scripted{answers: []answer{poison}}})
		pass(time.Second)
		require.NoError(t, r.stop())
		require.Len(t, letters(t, r.dead), 2)

		again := src.restart()
		r2 := run(t, Config{Source: again, Destination: &scripted{answers: []answer{poison}}, DeadLetters: r.dead})
		synctest.Wait()
		again.add(request(7))
		synctest.Wait()
		require.NoError(t, r2.stop())
		require.Len(t, letters(t, r.dead), 2, "the dead letters hold exactly the poison")
		require.Equal(t, 5, again.committed())

		third := again.restart()
		third.add(request(8))
		r3 := run(t, Config{Source: third, Destination: &scripted{answers: []answer{refuses(request(8).ID)}}, DeadLetters: r.dead})
		synctest.Wait()
		require.NoError(t, r3.stop())
		require.Len(t, letters(t, r.dead), 3)
	})
}

func TestAPanicOfTheDestinationPoisonsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := func(ctx context.Context, events []*llmproxy.Event) []Result { return make([]Result, len(events)) }
		dst := &scripted{answers: []answer{panics, one, panics, one}}
		src := newSource(requests(3)...)
		r := run(t, Config{Source: src, Destination: dst})
		synctest.Wait()
		require.Equal(t, 3, src.committed())
		require.NoError(t, r.stop())
		require.Equal(t, idsOf([]*llmproxy.Event{request(0), request(2)}), dst.ids())
		require.Equal(t, "panic: index out of range", letters(t, r.dead)[0].Reason)
	})
}

func TestDuplicatesAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := request(2)
		lost.Outcome, lost.Response.Body = llmproxy.Lost, nil
		src := newSource(request(0), request(1), request(0), lost, lost)
		dst := &scripted{}
		r := run(t, Config{Source: src, Destination: dst, BatchSize: 4})
		synctest.Wait()
		src.add(request(1), request(2), lost, request(2))
		synctest.Wait()
		require.Equal(t, idsOf([]*llmproxy.Event{request(0), request(1), lost, request(2)}), dst.ids(), "a real event says more than a lost one")
		require.EqualValues(t, 5, r.Stats().Duplicates)
		require.Equal(t, 9, src.committed())
		require.NoError(t, r.stop())
	})
}

func TestUsageThatCannotBeReadIsCountedAndTheEventDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := request(0)
		e.Response.Encoding = "gzip"
		dst := &scripted{}
		r := run(t, Config{Source: newSource(e), Destination: dst})
		synctest.Wait()
		require.Nil(t, dst.took[0].Usage)
		require.EqualValues(t, 1, r.Stats().Unmetered)
		require.NoError(t, r.stop())
	})
}

func TestSourceAndStartAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(requests(2)...), &scripted{failStart: 2}
		src.failNextRead, src.failNextCommits = errors.New("short record"), 2
		r := run(t, Config{Source: src, Destination: dst})
		synctest.Wait()
		require.Contains(t, r.Stats().LastError, "no such host")
		pass(time.Minute)
		require.Equal(t, 2, src.committed())
		require.Len(t, dst.calls, 1, "a commit that fails delivers nothing again")
		require.Contains(t, r.Stats().LastError, "the cursor cannot be written")
		require.False(t, r.Stats().Failing)
		require.NoError(t, r.stop())
	})
}

func TestItStopsWhereverItWaits(t *testing.T) {
	for name, prepare := range map[string]func(*memorySource, *scripted){
		"before it has started":    func(_ *memorySource, d *scripted) { d.failStart = 1 << 30 },
		"for events":               func(s *memorySource, _ *scripted) { s.cursor, s.read = 2, 2 },
		"for the backend":          func(_ *memorySource, d *scripted) { d.answers = []answer{hangs} },
		"between tries":            func(_ *memorySource, d *scripted) { d.answers = []answer{answers429After(time.Hour)} },
		"for the cursor":           func(s *memorySource, _ *scripted) { s.failNextCommits = 1 << 30 },
		"after a read that failed": func(s *memorySource, _ *scripted) { s.failNextRead = errors.New("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, dst := newSource(requests(2)...), &scripted{}
				prepare(src, dst)
				r := run(t, Config{Source: src, Destination: dst, MinBackoff: time.Hour, MaxBackoff: time.Hour})
				synctest.Wait()
				before := src.committed()
				began := time.Now()
				require.NoError(t, r.stop())
				if name == "for the backend" {
					require.Equal(t, DefaultGrace, time.Since(began), "what is under way has the grace, and no more")
				} else {
					require.Zero(t, time.Since(began), "at once")
				}
				require.Equal(t, before, src.committed())
				require.True(t, dst.closed)
			})
		})
	}
}

func TestWhatIsUnderWayIsDeliveredToItsEndWhenALoopIsToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(requests(3)...), &scripted{answers: []answer{func(ctx context.Context, events []*llmproxy.Event) []Result {
			select {
			case <-time.After(3 * time.Second):
				return make([]Result, len(events))
			case <-ctx.Done():
				return all(len(events), Retry(ctx.Err(), 0))
			}
		}}}
		r := run(t, Config{Source: src, Destination: dst})
		pass(time.Second)
		require.NoError(t, r.stop())
		require.Equal(t, 3, src.committed())
		require.Len(t, dst.ids(), 3)
	})
}

func TestALoopThatEndsInMidBatchNotesWhatIsDone(t *testing.T) {
	for _, kind := range []string{"events", "lost events"} {
		synctest.Test(t, func(t *testing.T) {
			events := requests(10)
			if kind == "lost events" {
				for _, e := range events {
					e.Outcome, e.Response.Body = llmproxy.Lost, nil
				}
			}
			poison := events[6].ID
			some := func(ctx context.Context, events []*llmproxy.Event) []Result { // 1, 3, 5 ... are busy, 6 is poison
				results := refuses(poison)(ctx, events)
				for i, e := range events {
					if e.ID.UUID[15]%2 == 1 {
						results[i] = Retry(errors.New("busy"), 0)
					}
				}
				return results
			}
			src, dst := newSource(events...), &scripted{answers: []answer{some}}
			dead := filepath.Join(t.TempDir(), "dead.jsonl")
			r := run(t, Config{Source: src, Destination: dst, DeadLetters: dead, MinBackoff: time.Hour, MaxBackoff: time.Hour})
			pass(0)
			require.NoError(t, r.stop())
			require.Zero(t, src.committed(), "events before it are not done")

			// The next process ends in mid-batch too, at another place.
			src = src.restart()
			dst.answers = []answer{takesFirst(1), hangs}
			r = run(t, Config{Source: src, Destination: dst, DeadLetters: dead, BatchSize: 4, MinBackoff: time.Hour, MaxBackoff: time.Hour})
			pass(0)
			require.NoError(t, r.stop())
			require.Zero(t, src.committed())

			src = src.restart()
			r = run(t, Config{Source: src, Destination: dst, DeadLetters: dead, BatchSize: 3})
			pass(time.Minute)
			require.NoError(t, r.stop())
			require.Equal(t, 10, src.committed())
			var want []llmproxy.EventID
			for _, e := range events {
				if e.ID != poison {
					want = append(want, e.ID)
				}
			}
			require.ElementsMatch(t, want, dst.ids(), "each once")
			require.Len(t, letters(t, dead), 1)
			var note loopNote
			require.NoError(t, json.Unmarshal(src.Note(), &note))
			require.Empty(t, note.Done, "the cursor is behind all of them")
		})
	}
}

// TestARealEventIsDeliveredThoughALostOneWasNoted: it says more, also where the lost one was done in mid-batch by the process before.
func TestARealEventIsDeliveredThoughALostOneWasNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := request(0)
		lost.Outcome, lost.Response.Body = llmproxy.Lost, nil
		src, dst := newSource(lost, request(1)), &scripted{answers: []answer{takesFirst(1)}}
		r := run(t, Config{Source: src, Destination: dst, MinBackoff: time.Hour, MaxBackoff: time.Hour})
		pass(0)
		require.NoError(t, r.stop())
		src = src.restart()
		src.add(request(0))
		r = run(t, Config{Source: src, Destination: dst})
		pass(time.Minute)
		require.NoError(t, r.stop())
		require.Equal(t, []llmproxy.EventID{lost.ID, request(1).ID, lost.ID}, dst.ids())
		require.Equal(t, llmproxy.Complete, dst.took[2].Outcome)
	})
}

func TestANoteThatCannotBeKeptIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logged := observer.New(zap.WarnLevel)
		src, dst := newSource(requests(2)...), &scripted{answers: []answer{takesFirst(1)}}
		src.failNextCommits = 1 << 30
		r := run(t, Config{Source: src, Destination: dst, MinBackoff: time.Hour, MaxBackoff: time.Hour, Log: zap.New(log)})
		pass(0)
		require.NoError(t, r.stop())
		require.NotEmpty(t, logged.FilterMessage("the next start sends some events again").All())
	})
}

func TestEveryEventEndsInTheBackendOrInTheDeadLetters(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			events := requests(100)
			var poison []llmproxy.EventID
			for _, e := range events {
				if random.IntN(20) == 0 {
					poison = append(poison, e.ID)
				}
			}
			refused := refuses(poison...)
			moods := []answer{refused, answers500, answers429After(3 * time.Second), hangs, takesNone, func(ctx context.Context, events []*llmproxy.Event) []Result {
				results := refused(ctx, events)
				for i := random.IntN(len(events)); i < len(events); i++ {
					results[i] = Retry(errors.New("busy"), 0)
				}
				return results
			}}
			mood := func(ctx context.Context, events []*llmproxy.Event) []Result {
				return moods[random.IntN(len(moods))](ctx, events)
			}
			answers := make([]answer, 2000)
			for i := range answers {
				answers[i] = mood
			}
			src, dst, dead := newSource(events...), &scripted{answers: answers}, filepath.Join(t.TempDir(), "dead.jsonl")
			for src.committed() < len(events) { // one process after another, each ended somewhere
				src = src.restart()
				src.failNextCommits = random.IntN(3)
				size, lifetime := 1+random.IntN(20), time.Duration(random.Int64N(int64(time.Minute)))
				r := run(t, Config{Source: src, Destination: dst, DeadLetters: dead, BatchSize: size, MaxBackoff: time.Second})
				pass(lifetime)
				require.NoError(t, r.stop())
			}
			distinct := map[llmproxy.EventID]bool{}
			for _, id := range dst.ids() {
				distinct[id] = true
			}
			var buried []llmproxy.EventID
			for _, l := range letters(t, dead) {
				buried = append(buried, l.Event.ID)
				require.False(t, distinct[l.Event.ID])
			}
			require.Equal(t, poison, buried, "the dead letters hold exactly the poison, once and in order")
			require.Len(t, distinct, len(events)-len(poison))
		})
	}
}

func TestADamagedNoteIsAnError(t *testing.T) {
	src := newSource()
	src.note = []byte("{")
	err := New(Config{Name: "backend", Source: src, Destination: &scripted{}}).Run(t.Context())
	require.ErrorContains(t, err, "dispatch to backend: the note beside the cursor")
}

func TestDestinationsAreOpenedByName(t *testing.T) {
	require.Equal(t, []string{"file", "webhook", "helicone", "lunary", "s3", "cloudwatch", "eventbridge", "ledger"}, Names())
	d, err := Open("file", Settings{File: FileConfig{Path: "events.jsonl"}})
	require.NoError(t, err)
	require.IsType(t, &File{}, d)
	_, err = Open("file", Settings{})
	require.ErrorContains(t, err, "needs a path")
	_, err = Open("pigeon", Settings{})
	require.EqualError(t, err, `there is no destination "pigeon"; there are: file, webhook, helicone, lunary, s3, cloudwatch, eventbridge, ledger`)
}

// failsAt answers 500 to one event, each time, and takes all others.
func failsAt(id llmproxy.EventID) answer {
	return func(_ context.Context, events []*llmproxy.Event) []Result {
		results := make([]Result, len(events))
		for i, e := range events {
			if e.ID == id {
				results[i] = Retry(errors.New("500: cannot digest this"), 0)
			}
		}
		return results
	}
}

func TestAnEventThatAlwaysFailsDoesNotStandBeforeOthersAndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(request(0)), &scripted{answers: slices.Repeat([]answer{failsAt(request(0).ID)}, 10_000)}
		r := run(t, Config{Source: src, Destination: dst})
		pass(10 * time.Minute)
		require.Empty(t, dst.ids())
		require.Empty(t, letters(t, r.dead), "alone it may be the backend's fault")
		for i := 1; i <= 30; i++ {
			src.add(request(i))
			pass(2 * time.Minute)
			require.Len(t, dst.ids(), i, "it does not wait for the one that fails")
		}
		require.Equal(t, 31, src.committed())
		require.NoError(t, r.stop())
		dead := letters(t, r.dead)
		require.Len(t, dead, 1)
		require.Equal(t, request(0).ID, dead[0].Event.ID)
		require.Contains(t, dead[0].Reason, "in 20 of which others were taken: 500: cannot digest this")
		require.Greater(t, dead[0].Attempts, 20)
	})
}

func TestAnOutageCostsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(requests(1000)...), &scripted{answers: append([]answer{takesFirst(40)}, slices.Repeat([]answer{answers500}, 3000)...)}
		r := run(t, Config{Source: src, Destination: dst})
		pass(24 * time.Hour)
		require.Zero(t, src.committed())
		require.LessOrEqual(t, r.Stats().Pending, 2*100, "memory is bounded")
		dst.mu.Lock()
		dst.answers = nil
		dst.mu.Unlock()
		pass(5 * time.Minute)
		require.Equal(t, 1000, src.committed())
		require.Len(t, dst.ids(), 1000)
		require.NoError(t, r.stop())
		require.Empty(t, letters(t, r.dead))
	})
}

// sparing returns fewer events than it is asked for and has, as a source does whose events have large bodies.
type sparing struct{ *memorySource }

func (s sparing) Read(ctx context.Context, n int) ([]*llmproxy.Event, error) {
	return s.memorySource.Read(ctx, min(n, 2))
}

func TestEventsWithLargeBodiesAreDeliveredTogetherThoughTheyAreReadInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := requests(10)
		for _, e := range events {
			e.Response.Body.Head = append(e.Response.Body.Head, bytes.Repeat([]byte{' '}, largeRead/2)...)
		}
		src, dst := newSource(events...), &scripted{}
		r := run(t, Config{Source: sparing{src}, Destination: dst, BatchSize: 6})
		pass(time.Second)
		require.Equal(t, idsOf(events), dst.ids())
		require.NoError(t, r.stop())
		require.Equal(t, 2, src.commits, "of six and of four")
	})
}
