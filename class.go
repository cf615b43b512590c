package outcrop

// A Class is the rank of a request in the scheduler of its model's engines.
// Classes are strictly ordered: a request of a higher class starts before all
// waiting ones of lower classes, but for the floors that keep these alive.
// Unlike a ServiceTier it is decided here and not asked for: a request within
// its provisioned units is provisioned, whatever tier it names.
type Class uint8

// The classes, the lowest first.
const (
	ClassBatch       Class = iota // rows of batch jobs
	ClassFlex                     // on demand, cheap, may wait for minutes
	ClassDefault                  // on demand
	ClassPriority                 // on demand, ahead of the others
	ClassProvisioned              // within purchased model units

	NumClasses = 5
)

// String returns the class's name in configuration, logs and metrics.
func (c Class) String() string {
	names := [NumClasses]string{"batch", "flex", "default", "priority", "provisioned"}
	if int(c) < len(names) {
		return names[c]
	}
	return ""
}
