package manage

import "time"

// Limits are those of the program that serves, as GET /manage/info tells them. Zero is no such limit.
type Limits struct {
	RequestBytes           int64         // of a body, by the platform
	HeaderBytes            int64         // of a request's head
	Answer                 time.Duration // for a whole answer, by the platform
	MaxConcurrentPerToken  int           // requests of one token under way at once
	UnknownTokensPerMinute int           // that one source may try
	SignInFailures         int           // a minute
	SessionIdle            time.Duration // until an unused session ends
	Session                time.Duration // until any session ends
}

// Retention is how long the program keeps what no store keeps, as GET /manage/info tells it. Zero is not known, or no such bound.
type Retention struct {
	EventDays  int   // records of requests in the bucket
	EventBytes int64 // events that wait for a destination
	LogDays    int   // the application's log
}
