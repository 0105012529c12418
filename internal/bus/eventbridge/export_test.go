package eventbridge

import "time"

// Insist lets the publisher ask a bus that refused for so long, however slow the machine is.
func (p *Publisher) Insist(d time.Duration) { p.insist = d }
