// Package dispatch brings events to where they are wanted: a [Loop] reads them from a [Source] and hands them to one [Destination],
// each with a file of its own and a line in the table. Delivery is at least once, and an event's id tells a repetition; nothing is
// passed over in silence: an event is delivered, tried again, or in the dead letters with its reason.
package dispatch
