package llmproxy

import "time"

// Once marks a creation that is sent again where its answer was not seen: under one key it happens once.
type Once struct {
	Key         [32]byte  // SHA-256 of who asks and of the key that was sent
	Fingerprint [32]byte  // of what is asked; another one under the same key is [ErrKeyReused]
	Until       time.Time // from this moment on the key is forgotten
}
