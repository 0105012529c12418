// Package usage reads what a call cost from the upstream's own numbers: which model answered and how many units went in and came
// out. It works on what capture kept of an answer, its head and its tail as they came over the wire, and reads JSON answers and
// event streams, plain or compressed. A number it cannot be sure of stays unknown; it estimates nothing.
package usage
