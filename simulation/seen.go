package simulation

// A Mark is a branch that is worth reaching: a run of many seeds that never
// came there proves nothing about it.
type Mark uint8

// Seen counts how often each mark was reached.
type Seen [numMarks]int

// Add adds the counts of o.
func (s *Seen) Add(o Seen) {
	for i, n := range o {
		s[i] += n
	}
}

// Never returns the names of the marks that were not reached.
func (s *Seen) Never() (names []string) {
	for i, n := range s {
		if n == 0 {
			names = append(names, Mark(i).String())
		}
	}
	return names
}

// The marks. The first ones follow the numbers of what they count.
const (
	refusedByLimit Mark = 0                  // + ledger.Limit - 1
	refusedByBound Mark = refusedByLimit + 8 // + fair.Bound - 1
	heldByGate     Mark = refusedByBound + 6 // + fair.Gate - 1
	faultHappened  Mark = heldByGate + 9     // + Fault
	otherMarks     Mark = faultHappened + Mark(numFaults)
)

// The other marks.
const (
	refusedForever Mark = otherMarks + iota
	refusedInQueue
	waitedForUnit
	spilledToDefault
	spilledToPriority
	spilledToFlex
	reservedServed
	reservedOverflow
	toppedUpBeyond
	levelBeyondFull
	leaseExpired
	lateSettle
	settledTwice
	released
	idInUse
	sameGrantAgain
	restored
	crashedInFlight
	leaseOverRestart
	midnightInFlight
	floorStart
	laneStart
	needStart
	abortedAndResumed
	abortedAgain
	requeued
	lostAfterFirst
	lostTooOften
	preempted
	prefixHit
	goneBeforeAdmission
	goneInQueue
	goneWhileReading
	goneMidStream
	goneTooLate
	unitUsedAfterDelete
	unitResizedInFlight
	staleMessage
	rowTriedAgain
	rowGivenUp
	unreachable
	healedWithQueue
	// Checks that were made, and not only passed by.
	gapChecked
	rateChecked
	replayChecked
	commuteChecked
	goneChecked
	numMarks
)

var otherNames = [...]string{
	"refused for ever", "refused in the queue", "waited for a unit", "spilled to default", "spilled to priority",
	"spilled to flex", "reserved tier served", "reserved tier overflowed", "topped up beyond the reserve",
	"level beyond 100 %", "lease expired", "settled after the lease expired", "settled twice", "released",
	"id in use", "granted again", "restored after a crash", "crashed in flight", "lease went on over a crash",
	"midnight in flight", "floor-due start", "lane start", "start in a hurry", "aborted and resumed", "aborted more than once",
	"requeued after a loss", "lost after the first token", "lost too often", "preempted", "prefix in the cache",
	"caller gone before admission", "caller gone in the queue", "caller gone while reading",
	"caller gone mid-stream", "caller gone too late", "unit used after its deletion", "unit resized in flight",
	"stale message", "row tried again", "row given up", "unreachable", "queue at the time of healing",
	"checked the gap of two tenants", "checked the rate of a unit", "checked a replay of events",
	"checked that settlements commute", "checked that an engine stopped",
}

// String returns the mark's name in reports.
func (m Mark) String() string {
	switch {
	case m >= numMarks:
		return ""
	case m >= otherMarks:
		return otherNames[m-otherMarks]
	case m >= faultHappened:
		return "fault " + Fault(m-faultHappened).String()
	case m >= heldByGate:
		return "gate " + gate(m-heldByGate+1)
	case m >= refusedByBound:
		return "refused by " + bound(m-refusedByBound+1)
	}
	return "refused by " + limit(m-refusedByLimit+1)
}
